"""Counts per unit and week, as CSV (RFC 4180). What could single a person out is not counted on its own.

No device, no officer, no place, no time finer than a week. A week with fewer recordings than `SMALLEST` is counted with
its neighbours under ``few``: in a small unit a single recording is a person.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

SMALLEST = 5
FEW = "few"
PURPOSES = ("a", "b", "c", "d", "e")
DECISIONS = ("undecided", "kept", "not-needed")
_HOUR_NS = 3600 * 1_000_000_000
HEADER = (
    "unit", "week", "recordings", "hours", "median_minutes",
    *(f"purpose_{letter}" for letter in PURPOSES), "purpose_unclassified",
    *(f"decision_{name.replace('-', '_')}" for name in DECISIONS), "destroyed",
    "ended_by_fault", "median_offload_delay_hours",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FigureRow:
    """What of one recording is counted."""

    begun_utc_ns: int
    duration_ns: int
    purpose: str
    decision: str
    destroyed: bool
    faulty: bool
    """It ended by a fault, or was cut."""
    offload_delay_ns: int
    """From its end to the station."""


@dataclass(slots=True)
class _Cell:
    rows: list[FigureRow] = field(default_factory=list)


def figures(unit: str, rows: Iterable[FigureRow]) -> str:
    """Return the CSV."""
    weeks: dict[str, _Cell] = {}
    for row in rows:
        weeks.setdefault(_week(row.begun_utc_ns), _Cell()).rows.append(row)
    few = _Cell([row for cell in weeks.values() if len(cell.rows) < SMALLEST for row in cell.rows])
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(HEADER)
    for week in sorted(weeks):
        if len(weeks[week].rows) >= SMALLEST:
            writer.writerow(_line(unit, week, weeks[week].rows))
    if few.rows:
        writer.writerow(_line(unit, FEW, few.rows) if len(few.rows) >= SMALLEST else [unit, FEW, f"<{SMALLEST}"])
    return out.getvalue()


def _line(unit: str, week: str, rows: list[FigureRow]) -> list[object]:
    known = [row.purpose for row in rows if row.purpose in PURPOSES]
    return [
        unit, week, len(rows), round(sum(row.duration_ns for row in rows) / _HOUR_NS, 1),
        round(_median([row.duration_ns for row in rows]) / 60e9, 1),
        *(known.count(letter) for letter in PURPOSES), len(rows) - len(known),
        *(sum(row.decision == name for row in rows) for name in DECISIONS),
        sum(row.destroyed for row in rows), sum(row.faulty for row in rows),
        round(_median([max(0, row.offload_delay_ns) for row in rows]) / _HOUR_NS, 1),
    ]  # fmt: skip


def _median(values: list[int]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return float(ordered[middle]) if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _week(time_ns: int) -> str:
    year, week, _ = datetime.fromtimestamp(max(0, time_ns) // 1_000_000_000, UTC).isocalendar()
    return f"{year}-W{week:02d}"
