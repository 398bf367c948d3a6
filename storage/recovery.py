"""What a boot does about how the last run ended. Never deletes, may run again after being cut off itself.

Only the last segment can be torn: every earlier one was closed and synced before the next was opened. Its sound
chunks stay. What follows them is first copied to `torn/`, durably, and only then cut from the segment. A recorder that
was killed may have left chunks that no sync has reached: they are made durable before anything is built on them.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from storage.chain import Tip, genesis
from storage.durable import sync_directory
from storage.errors import FormatError, StoreError, StoreFailedError
from storage.inventory import SEGMENTS, SUFFIX, TORN, segment_name, segment_number
from storage.keyfiles import device_id
from storage.layout import HEADER_BYTES, parse_header
from storage.particulars import Previous
from storage.segment_report import SegmentReport, Status, verify_segment

_COPY_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Recovery:
    """How the last run ended, and what was set aside."""

    previous: Previous
    """What the next opening must say it follows."""
    how: str
    """``new`` for a device that never wrote, a closing's reason, or ``cut``."""
    recording: bytes | None
    """The recording that was cut, if one was."""
    part: int
    """The last part of that recording."""
    torn_bytes: int
    """Bytes set aside, zero if the end was clean."""
    last_monotonic_ns: int
    last_boot: bytes


def recover(root: Path, identity: bytes) -> Recovery:
    """Bring a store's last segment to its sound prefix and say where the chain stands.

    Raises:
        StoreError: more than a torn opening stands after this device's last segment: another's flash, or changed.
        StoreFailedError: the flash cannot be read or written.
    """
    try:
        return _recover(root, identity)
    except OSError as error:
        raise StoreFailedError(f"cannot recover the store {root}: {error.strerror}") from error


def _recover(root: Path, identity: bytes) -> Recovery:
    unborn: Path | None = None
    for number in _numbers_down(root / SEGMENTS):
        path = root / SEGMENTS / segment_name(number)
        report = verify_segment(path, identity)
        if report.first is not None:
            torn_bytes = _set_aside_whole(root, unborn)
            rest = path.stat().st_size - report.sound_bytes
            if rest:
                torn_bytes += rest
                _set_aside_tail(root, path, report.sound_bytes)
                report = verify_segment(path, identity)
            stand = _stand(report, torn_bytes)
            _make_durable(path)
            return stand
        # A crash leaves one torn opening at most. Nothing is moved before that is known to be all.
        if unborn is not None or _is_anothers(path, identity):
            raise StoreError(f"{path} is not what this device wrote ({report.error}); take the device in")
        unborn = path
    torn_bytes = _set_aside_whole(root, unborn)
    return Recovery(Previous(0, 0, genesis(identity)), "new", None, 0, torn_bytes, 0, bytes(16))


def _stand(report: SegmentReport, torn_bytes: int) -> Recovery:
    first, last, tip, opening = report.first, report.last, report.tip, report.opening
    if first is None or last is None or tip is None or opening is None:
        raise StoreError(f"{report.path.name} has no sound opening")
    closed = report.status is Status.CLOSED
    media = opening.media
    return Recovery(
        previous=Previous(first.place.segment, report.sound_chunks, Tip(tip.chain, tip.signature)),
        how=report.reason or "closed" if closed else "cut",
        recording=first.place.recording if media and (not closed or report.reason == "rotation") else None,
        part=opening.part,
        torn_bytes=torn_bytes,
        last_monotonic_ns=last.stamp.monotonic_ns + last.stamp.duration_ns,
        last_boot=last.place.boot,
    )


def _make_durable(path: Path) -> None:
    """Sync a segment and its name: its key is erased next, and without the key it could not be opened again."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
    sync_directory(path.parent)


def _numbers_down(folder: Path) -> list[int]:
    """Return the numbers of the segment files, highest first; at most the first two can matter."""
    numbers = [segment_number(path) for path in folder.iterdir() if path.suffix == SUFFIX]
    return sorted((number for number in numbers if number is not None), reverse=True)


def _is_anothers(path: Path, identity: bytes) -> bool:
    with path.open("rb") as file:
        start = file.read(HEADER_BYTES)
    try:
        return parse_header(start).place.device != device_id(identity)
    except FormatError:
        return False  # torn: whose it was to be does not show


def _set_aside_tail(root: Path, path: Path, sound_bytes: int) -> None:
    copy = root / TORN / f"{path.stem}.{sound_bytes}.new"
    digest = hashlib.sha256()
    with path.open("rb") as file, copy.open("wb") as tail:
        file.seek(sound_bytes)
        while block := file.read(_COPY_BYTES):
            digest.update(block)
            tail.write(block)
        tail.flush()
        os.fsync(tail.fileno())
    # Named by content: doing it again after a crash in between changes nothing.
    copy.replace(copy.with_name(f"{path.stem}.{sound_bytes}.{digest.hexdigest()[:8]}.torn"))
    sync_directory(root / TORN)
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.ftruncate(fd, sound_bytes)
        os.fsync(fd)
    finally:
        os.close(fd)


def _set_aside_whole(root: Path, path: Path | None) -> int:
    if path is None:
        return 0
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:8]
        os.fsync(file.fileno())
        size = os.fstat(file.fileno()).st_size
    path.rename(root / TORN / f"{path.stem}.0.{digest}.torn")
    sync_directory(root / TORN)
    sync_directory(root / SEGMENTS)
    return size
