"""Verifying one segment file: reading it, checking it, and saying what holds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from storage.chain import Tip
from storage.check import CheckedChunk, SegmentCheck
from storage.destruction import Destruction
from storage.errors import ForeignError, FormatError, UnsignedError
from storage.layout import Header
from storage.media_summary import MediaSummary, summarise
from storage.particulars import Opening
from storage.reader import SegmentReader, TornError
from storage.verdict import Verdict


class Status(Enum):
    """How a segment stands."""

    CLOSED = "closed"
    """Whole: from its opening to a closing that says why."""
    CUT = "cut"
    """Sound, but without a closing: the recorder was stopped in the middle."""
    BROKEN = "broken"
    """Something in it is not what the device wrote."""
    UNSIGNED = "unsigned"
    """It carries no signature."""


_VERDICTS = {
    Status.CLOSED: Verdict.AUTHENTIC,
    Status.CUT: Verdict.MISSING_PARTS,
    Status.BROKEN: Verdict.NOT_AUTHENTIC,
    Status.UNSIGNED: Verdict.NOT_SIGNED,
}


@dataclass(frozen=True, slots=True)
class StatedDestruction:
    """A statement and the chunk that makes it."""

    destruction: Destruction
    header: Header


@dataclass(frozen=True, slots=True)
class SegmentReport:
    """What was found in one segment file. Only what a good signature vouches for counts as found."""

    path: Path
    status: Status
    error: str | None
    """Where and how the segment is broken or cut, in one line."""
    first: Header | None
    """The opening's header; None where not even the opening is sound."""
    opening: Opening | None
    last: Header | None
    """The header of the last sound chunk."""
    tip: Tip | None
    """Where the chain stands after the last sound chunk."""
    reason: str | None
    """Why the segment was closed."""
    media: MediaSummary
    sound_chunks: int
    sound_bytes: int
    """Length of the sound prefix of the file."""
    torn_bytes: int
    """Bytes of an incomplete record after the whole ones."""
    destructions: tuple[StatedDestruction, ...] = ()
    """What the sound chunks say was destroyed."""
    chunks: tuple[CheckedChunk, ...] = ()
    """The sound chunks, where `verify_segment` was told to keep them."""

    @property
    def verdict(self) -> Verdict:
        """The verdict on this segment taken alone."""
        return _VERDICTS[self.status]


def verify_segment(path: Path, identity: bytes, *, keep_chunks: bool = False) -> SegmentReport:
    """Verify one segment file against a device's identity (raw public key).

    Raises:
        OSError: the file cannot be read. Whatever the file holds is part of the report instead.
    """
    check = SegmentCheck(identity)
    error: FormatError | None = None
    torn_bytes = 0
    with SegmentReader(path) as reader:
        try:
            for record in reader.records():
                check.add(record.header, record.head, record.body_digest(), record.signature, record.offset)
        except TornError as found:
            torn_bytes = found.left_bytes
        except FormatError as found:
            error = found
    report = conclude(path, check, error, torn_bytes)
    return report if keep_chunks else replace(report, chunks=())


def unreadable(path: Path, why: str) -> SegmentReport:
    """Return the report on a file that is there and cannot be read."""
    text = f"the file cannot be read: {why}"
    return SegmentReport(path, Status.BROKEN, text, None, None, None, None, None, MediaSummary(), 0, 0, 0)


def conclude(path: Path, check: SegmentCheck, error: FormatError | None, torn_bytes: int) -> SegmentReport:
    """Return the report on a file whose records `check` was fed; with `error`, and the bytes of a torn record."""
    sound = check.sound()
    chunks = tuple(check.chunks[:sound])
    sound_bytes = chunks[-1].offset + chunks[-1].header.record_bytes if chunks else 0
    status, text = _judge(check, sound, sound_bytes, error, torn_bytes)
    last = chunks[-1] if chunks else None
    return SegmentReport(
        path=path,
        status=status,
        error=text,
        first=chunks[0].header if chunks else None,
        opening=check.opening if chunks else None,
        last=last.header if last else None,
        tip=last.tip if last else None,
        reason=check.reason if status is Status.CLOSED else None,
        media=summarise(chunks),
        sound_chunks=sound,
        sound_bytes=sound_bytes,
        torn_bytes=torn_bytes,
        destructions=tuple(
            StatedDestruction(stated, chunks[number].header) for number, stated in check.destructions if number < sound
        ),
        chunks=chunks,
    )


def _judge(
    check: SegmentCheck, sound: int, sound_bytes: int, error: FormatError | None, torn_bytes: int
) -> tuple[Status, str | None]:
    taken = len(check.chunks)
    if sound < taken:
        offset = check.chunks[sound].offset
        return Status.BROKEN, f"chunk {sound} at offset {offset} does not match its signature or what it follows"
    if error is not None:
        unsigned = not taken and isinstance(error, (UnsignedError, ForeignError))
        return (Status.UNSIGNED if unsigned else Status.BROKEN), f"{error} (chunk {taken}, offset {sound_bytes})"
    if not taken:
        return Status.UNSIGNED, "its opening chunk is incomplete" if torn_bytes else "the file is empty"
    if check.reason is None:
        rest = f"; {torn_bytes} bytes of an incomplete one follow" if torn_bytes else ""
        return Status.CUT, f"no closing chunk: cut after chunk {taken - 1}{rest}"
    if torn_bytes:
        return Status.BROKEN, f"{torn_bytes} bytes follow the closing chunk"
    return Status.CLOSED, None
