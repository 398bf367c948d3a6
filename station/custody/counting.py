"""What of the custody store is counted for a trial's figures."""

from __future__ import annotations

from sqlalchemy import select

from station.custody.database import Database
from station.custody.tables import RecordingRow, SegmentRow
from station.figures.figures import FigureRow

_WELL = frozenset({"stop", "rotation"})


def figure_rows(database: Database) -> list[FigureRow]:
    """Return a row for each recording. Errors as in `Database.session`."""
    found = []
    with database.session() as session:
        for row in session.scalars(select(RecordingRow)):
            parts = session.scalars(
                select(SegmentRow).where(SegmentRow.recording == row.id).order_by(SegmentRow.number)
            ).all()
            if parts:
                found.append(
                    FigureRow(
                        row.begun_utc_ns, sum(part.duration_ns for part in parts), row.purpose, row.decision,
                        row.destroyed_utc_ns is not None, any(part.closed not in _WELL for part in parts),
                        parts[-1].received_utc_ns - parts[-1].ended_utc_ns,
                    )
                )  # fmt: skip
    return found
