"""Taking segments in: verified, linked to what this station saw before, durable, on record; only then receipted.

The order makes a crash, a second station or a repetition harmless:

1. the file is verified as a whole, by the device's identity, and its neighbours in the chain must fit;
2. its bytes are durable in the body store, under a name that holds their digest;
3. one transaction writes what is known about them;
4. the receipt is signed. A receipt that is lost is made again from the database: it confirms the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from station.audit.log import Act, AuditLog, Entry
from station.custody.bodies import BodyStore
from station.custody.database import Database, DatabaseError
from station.custody.purposes import Purposes
from station.custody.tables import AssignmentRow, DeviceRow, RecordingRow, SegmentRow, StatedRow
from station.errors import StationError
from storage.chain import Tip
from storage.particulars import Previous
from storage.receipt import Receipt
from storage.segment_report import SegmentReport, Status, verify_segment
from storage.signer import Signer

DAY_NS = 86_400_000_000_000
_STATION = "station"


class IntakeError(StationError):
    """A segment is not taken in, for the reason given; nothing is receipted."""


class AlarmError(IntakeError):
    """What a device shows contradicts what it showed before: rolled back, forked, or not what it should be."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What this station knows of a device's chain."""

    segment: int
    """The highest closed one that it ever showed; 0 for none."""
    chain: bytes


@dataclass(frozen=True, slots=True)
class Shown:
    """Where a device says that its chain stands: the last segment that it closed."""

    segment: int
    chain: bytes


@dataclass(frozen=True, slots=True)
class Received:
    """A segment that was verified while it arrived."""

    path: Path
    report: SegmentReport
    digest: bytes
    """SHA-256 of the file, of the very bytes that were checked."""


class Intake:
    """One station's intake. Thread-safe: many bays use it at once."""

    def __init__(
        self,
        database: Database,
        bodies: BodyStore,
        audit: AuditLog,
        signer: Signer,
        utc_ns: Callable[[], int],
        *,
        keep_days: int = 28,
        purposes: Callable[[Path], Purposes] = lambda _path: {},
    ) -> None:
        """`purposes` reads what officers said on the device; without it, purposes are chosen here alone."""
        self._database = database
        self._bodies = bodies
        self._audit = audit
        self._signer = signer
        self._utc_ns = utc_ns
        self._keep_ns = keep_days * DAY_NS
        self._purposes = purposes

    def identity(self, device: bytes) -> bytes:
        """Return the public identity key of an enrolled device.

        Raises:
            IntakeError: not enrolled, or revoked, with the reason.
        """
        with self._database.session() as session:
            row = session.get(DeviceRow, device.hex())
        if row is None:
            raise IntakeError(f"device {device.hex()} is not enrolled at this station: nothing is taken from it")
        if row.revoked:
            raise IntakeError(f"device {device.hex()} is revoked: {row.revoked}; nothing is taken from it")
        return row.identity

    def check_shown(self, device: bytes, shown: Shown) -> None:
        """Compare where a device's chain stands with what it showed before, and remember it.

        Raises:
            AlarmError: it was rolled back, or forked. It stays on record.
        """
        with self._database.session() as session:
            row = session.get(DeviceRow, device.hex(), with_for_update=True)
            if row is None:
                raise IntakeError(f"device {device.hex()} is not enrolled at this station")
            known = session.get(SegmentRow, (device.hex(), shown.segment))
            trouble = ""
            if shown.segment < row.seen_segment:
                trouble = (
                    f"its chain ends at segment {shown.segment}, and it showed segment {row.seen_segment} before: "
                    "it was rolled back"
                )
            elif shown.segment == row.seen_segment and shown.segment and shown.chain != row.seen_chain:
                trouble = f"its segment {shown.segment} is another than it showed before: its chain forked"
            elif known is not None and known.chain != shown.chain:
                trouble = f"its segment {shown.segment} is another than the one that is here: its chain forked"
            else:
                row.seen_segment, row.seen_chain = shown.segment, shown.chain
        if trouble:
            self._alarm(device, trouble)

    def held(self, device: bytes, number: int, digest: bytes) -> bytes | None:
        """Return the receipt for a segment that is here, or was and was destroyed by this station; None if neither.

        Raises:
            AlarmError: what is here under that number is another.
        """
        with self._database.session() as session:
            row = session.get(SegmentRow, (device.hex(), number))
        if row is None:
            return None
        if row.digest != digest:
            self._alarm(device, f"its segment {number} is another than the one that is here: its chain forked")
        return self._receipt(device, row)

    def take(self, device: bytes, number: int, received: Path, checked: Received | None = None) -> bytes:
        """Take a segment in and return the receipt. The file is moved away; it is verified here, unless it was already.

        Raises:
            IntakeError: not sound, or another's; nothing is taken.
            AlarmError: it does not fit the chain that is here.
            StationError: body store, database or audit log do not take it; it can be tried again.
        """
        identity = self.identity(device)
        if checked is None:
            checked = Received(received, verify_segment(received, identity), _digest(received))
        report, digest = checked.report, checked.digest
        self._check(report, number)
        if (receipt := self.held(device, number, digest)) is not None:
            return receipt
        self._check_neighbours(device, report, number)
        row, recording = self._describe(device, report, digest, received.stat().st_size)
        try:
            said = self._purposes(received)
        except OSError as error:
            raise IntakeError(f"cannot read {received}: {error.strerror}") from None
        until = datetime.fromtimestamp(max(0, row.due_utc_ns) // 1_000_000_000, UTC)
        self._bodies.put(row.body, received, until)
        self._audit.write(Entry(_STATION, "", Act.INGEST, f"{device.hex()}/{number}", details={"digest": digest.hex()}))
        try:
            with self._database.session() as session:
                self._record(session, row, recording, report)
                session.flush()
                _take_purposes(session, said)
        except DatabaseError:
            # Another station may have been quicker with the very same: then it is here.
            if (receipt := self.held(device, number, digest)) is None:
                raise
            return receipt
        return self._receipt(device, row)

    def holes(self, device: bytes) -> list[tuple[int, int]]:
        """Return the ranges of segments that ought to be here and are not: neither received, nor stated destroyed."""
        with self._database.session() as session:
            numbers = set(session.scalars(select(SegmentRow.number).where(SegmentRow.device == device.hex())))
            numbers |= set(session.scalars(select(StatedRow.number).where(StatedRow.device == device.hex())))
            row = session.get(DeviceRow, device.hex())
        top = row.seen_segment if row else 0
        holes: list[tuple[int, int]] = []
        for number in range(1, top + 1):
            if number in numbers:
                continue
            if holes and holes[-1][1] == number - 1:
                holes[-1] = (holes[-1][0], number)
            else:
                holes.append((number, number))
        return holes

    def report_holes(self, device: bytes) -> list[tuple[int, int]]:
        """Put the holes in a device's chain on record, before anything of it is erased; return them."""
        holes = self.holes(device)
        if holes:
            text = ", ".join(f"{first}" if first == last else f"{first}-{last}" for first, last in holes)
            self._audit.write(
                Entry(_STATION, "", Act.ALARM, device.hex(), details={"what": "holes in its chain", "segments": text})
            )
        return holes

    def _check(self, report: SegmentReport, number: int) -> None:
        sound = report.status is Status.CLOSED or (report.status is Status.CUT and not report.torn_bytes)
        if not sound or report.first is None:
            raise IntakeError(f"segment {number} is not taken: {report.error}")
        if report.first.place.segment != number:
            raise IntakeError(f"segment {number} is not taken: it says that it is segment {report.first.place.segment}")

    def _check_neighbours(self, device: bytes, report: SegmentReport, number: int) -> None:
        assert report.opening is not None  # noqa: S101 - a sound report has its opening and its tip
        assert report.tip is not None  # noqa: S101
        with self._database.session() as session:
            before = session.get(SegmentRow, (device.hex(), number - 1))
            after = session.get(SegmentRow, (device.hex(), number + 1))
        previous = report.opening.previous
        if before is not None and (before.chain, before.chunks) != (previous.tip.chain, previous.chunks):
            self._alarm(device, f"its segment {number} does not follow on the segment {number - 1} that is here")
        if after is not None and after.previous_chain != report.tip.chain:
            self._alarm(device, f"the segment {number + 1} that is here does not follow on its segment {number}")

    def _describe(self, device: bytes, report: SegmentReport, digest: bytes, size: int) -> tuple[SegmentRow, str]:
        first, last, tip, opening = report.first, report.last, report.tip, report.opening
        if first is None or last is None or tip is None or opening is None:
            raise IntakeError("the segment has no sound opening")
        number = first.place.segment
        now_ns = self._utc_ns()
        recording = first.place.recording.hex() if any(first.place.recording) else ""
        # A device's clock may be wrong; no recording stays longer because of it.
        begun_ns = min(first.stamp.utc_ns, now_ns)
        row = SegmentRow(
            device=device.hex(),
            number=number,
            recording=recording,
            part=opening.part,
            begun_utc_ns=begun_ns,
            ended_utc_ns=min(last.stamp.utc_ns + last.stamp.duration_ns, now_ns),
            duration_ns=report.media.duration_ns,
            size_bytes=size,
            digest=digest,
            previous_chain=opening.previous.tip.chain,
            chunks=report.sound_chunks,
            chain=tip.chain,
            signature=tip.signature,
            closed=report.reason or "",
            body=f"{device.hex()}/{number:010d}-{digest.hex()}.seg",
            received_utc_ns=now_ns,
            due_utc_ns=begun_ns + self._keep_ns,
        )
        return row, recording

    def _record(self, session: Session, row: SegmentRow, recording: str, report: SegmentReport) -> None:
        if session.get(SegmentRow, (row.device, row.number)) is not None:
            return  # another bay, or another station, was quicker with the same
        if recording:
            known = session.get(RecordingRow, recording)
            if known is None:
                session.add(
                    RecordingRow(
                        id=recording,
                        device=row.device,
                        begun_utc_ns=row.begun_utc_ns,
                        officer=_officer(session, row),
                        due_utc_ns=row.due_utc_ns,
                    )
                )
            elif row.begun_utc_ns < known.begun_utc_ns:
                known.begun_utc_ns = row.begun_utc_ns
                if known.decision == "undecided":
                    known.due_utc_ns = row.due_utc_ns
            session.flush()
        session.add(row)
        for stated in report.destructions:
            what = stated.destruction.what
            if session.get(StatedRow, (row.device, what.segment)) is None:
                session.add(
                    StatedRow(
                        device=row.device,
                        number=what.segment,
                        reason=stated.destruction.reason.value,
                        stated_in=row.number,
                    )
                )
        found = session.get(DeviceRow, row.device)
        if found is not None and row.number > found.seen_segment:
            found.seen_segment, found.seen_chain = row.number, row.chain

    def _receipt(self, device: bytes, row: SegmentRow) -> bytes:
        last = Previous(row.number, row.chunks, Tip(row.chain, row.signature))
        receipt = Receipt(device, row.number, last, row.size_bytes, row.digest, row.received_utc_ns)
        return receipt.sign(self._signer)

    def _alarm(self, device: bytes, what: str) -> None:
        self._audit.write(Entry(_STATION, "", Act.ALARM, device.hex(), details={"what": what}))
        raise AlarmError(f"ALARM, device {device.hex()}: {what}; keep the device, and find out why")


def _officer(session: Session, row: SegmentRow) -> str:
    """Return whom the device was assigned to when this was recorded."""
    found = session.scalars(
        select(AssignmentRow)
        .where(AssignmentRow.device == row.device, AssignmentRow.from_utc_ns <= row.begun_utc_ns)
        .order_by(AssignmentRow.from_utc_ns.desc())
        .limit(1)
    ).first()
    return found.officer if found else ""


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _take_purposes(session: Session, said: Purposes) -> None:
    """The officer's word on the device holds until somebody decides here."""
    for recording, letter in said.items():
        row = session.get(RecordingRow, recording)
        if row is not None and row.decision == "undecided":
            row.purpose = letter
