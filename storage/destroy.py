"""Destroying a segment so that it can be proved (docs/RETENTION.md).

The order makes a crash at any instant harmless:

1. the statement about it is durable in the chain (`Segment.destruction`);
2. the file is renamed from `.seg` to `.gone`, durably: from now on it is no longer evidence;
3. it is overwritten, and that is durable; its blocks are given back to the medium, where that can be told of it;
4. it is unlinked, durably.

A crash before 2 leaves a segment whose destruction is on record: it is stated and destroyed again. A crash after it
leaves a `.gone` file, which the next boot finishes: its statement was durable before it got that name.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from storage.destruction import Destroyed
from storage.durable import sync_directory
from storage.errors import StoreFailedError, UnsoundError
from storage.inventory import SEGMENTS, TORN, segment_name
from storage.particulars import Previous
from storage.segment_report import SegmentReport, Status, verify_segment

GONE = ".gone"
_BLOCK_BYTES = 1024 * 1024
_KEEP_SIZE, _PUNCH_HOLE = 0x01, 0x02
"""Modes of fallocate(2)."""
_CANNOT = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})


def examine(root: Path, number: int, identity: bytes) -> Destroyed:
    """Read a segment that is to be destroyed and return what is to be stated about it.

    Raises:
        UnsoundError: it is not sound: what is broken or another's is for people to look at, not to destroy.
        StoreFailedError: it cannot be read.
    """
    path = root / SEGMENTS / segment_name(number)
    try:
        report = verify_segment(path, identity)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
            size_bytes = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise StoreFailedError(f"cannot read {path}: {error.strerror}") from error
    return _stub(report, number, size_bytes, digest)


def _stub(report: SegmentReport, number: int, size_bytes: int, digest: bytes) -> Destroyed:
    first, tip, opening = report.first, report.tip, report.opening
    sound = report.status in (Status.CLOSED, Status.CUT) and report.torn_bytes == 0
    if first is None or tip is None or opening is None or not sound or first.place.segment != number:
        raise UnsoundError(
            f"{report.path} is not destroyed: it is not what it should be ({report.error}); take the device in"
        )
    return Destroyed(
        segment=number,
        recording=first.place.recording,
        part=opening.part,
        opened_utc_ns=max(0, first.stamp.utc_ns),
        previous=opening.previous,
        last=Previous(number, report.sound_chunks, tip),
        size_bytes=size_bytes,
        digest=digest,
    )


@dataclass(frozen=True, slots=True)
class Shredded:
    """What became of a file."""

    size_bytes: int
    discarded: bool
    """The medium was told that the blocks are free; what it does with that is its own affair."""


def destroy(root: Path, number: int, *, stop: Callable[[], bool] = lambda: False) -> Shredded | None:
    """Destroy a segment whose destruction is durable on record, and what a crash had set aside of it.

    `stop` is asked between blocks of a mebibyte; None says that it was obeyed: the next boot, or the next call, goes
    on. Idempotent.

    Raises:
        StoreFailedError: the medium refused.
    """
    folder = root / SEGMENTS
    path = folder / segment_name(number)
    try:
        _rename_torn(root / TORN, path.stem)
        gone = path.with_suffix(GONE)
        if path.exists():
            path.rename(gone)
            sync_directory(folder)
        shredded: Shredded | None = Shredded(0, discarded=False)
        if gone.exists():
            shredded = shred(gone, stop=stop)
        if shredded is not None:
            finish(root, stop=stop, only=path.stem)
    except OSError as error:
        raise StoreFailedError(f"cannot destroy {path}: {error.strerror}") from error
    return shredded


def unfinished(root: Path) -> list[Path]:
    """Return the files that were given up to destruction and are still there.

    Raises:
        OSError: the store cannot be listed.
    """
    return sorted(path for folder in (SEGMENTS, TORN) for path in (root / folder).iterdir() if path.suffix == GONE)


def finish(root: Path, *, stop: Callable[[], bool] = lambda: False, only: str = "") -> int:
    """Finish what a crash, or a stop, left of earlier destructions; return how many files were destroyed.

    Raises:
        StoreFailedError: the medium refused.
    """
    count = 0
    try:
        for path in unfinished(root):
            if path.name.startswith(only):
                if shred(path, stop=stop) is None:
                    break
                count += 1
    except OSError as error:
        raise StoreFailedError(f"cannot finish destroying in {root}: {error.strerror}") from error
    return count


def shred(path: Path, *, stop: Callable[[], bool] = lambda: False) -> Shredded | None:
    """Overwrite, discard and unlink a file; None if `stop` said so before that was done.

    Raises:
        OSError: the medium refused.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        size_bytes = os.fstat(fd).st_size
        for offset, length in _blocks(size_bytes):
            if stop():
                return None
            _overwrite(fd, offset, length)
        os.fdatasync(fd)
        discarded = bool(size_bytes) and _discard(fd, size_bytes)
    finally:
        os.close(fd)
    path.unlink()
    sync_directory(path.parent)
    return Shredded(size_bytes, discarded)


def _blocks(size_bytes: int) -> Iterator[tuple[int, int]]:
    for offset in range(0, size_bytes, _BLOCK_BYTES):
        yield offset, min(_BLOCK_BYTES, size_bytes - offset)


def _overwrite(fd: int, offset: int, length: int) -> None:
    zeros = memoryview(bytes(length))
    while zeros:
        written = os.pwrite(fd, zeros, offset)
        zeros, offset = zeros[written:], offset + written


def _discard(fd: int, size_bytes: int) -> bool:
    """Give the blocks back, so that a file system mounted with `discard` tells the medium; False where it cannot."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.fallocate64(fd, _PUNCH_HOLE | _KEEP_SIZE, ctypes.c_int64(0), ctypes.c_int64(size_bytes)) == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT:
        return False
    raise OSError(number, os.strerror(number))


def _rename_torn(folder: Path, stem: str) -> None:
    found = [path for path in folder.iterdir() if path.name.startswith(f"{stem}.") and path.suffix != GONE]
    for path in found:
        path.rename(path.with_suffix(GONE))
    if found:
        sync_directory(folder)
