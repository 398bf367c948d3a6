"""What an old identity leaves behind: is something recorded just now, what is still there, and setting it aside."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from firmware.errors import EnrolError
from storage.durable import replace_file, sync_directory
from storage.errors import FormatError
from storage.inventory import SEGMENTS, SUFFIX
from storage.layout import HEADER_BYTES, parse_header

_LOCKS = Path("/proc/locks")
_JOURNAL = bytes(16)


class RecorderRunsError(EnrolError):
    """The recorder has the store. It ends by itself as soon as nothing is recorded, and finishes this at its start."""


@dataclass(frozen=True, slots=True)
class Left:
    """Footage that no station has receipted: what is receipted is destroyed."""

    segments: int
    size_bytes: int


def recorder_runs(flash: Path, locks: Path = _LOCKS) -> bool:
    """Whether a recorder has the store open. It only looks: a lock of our own could keep one from starting."""
    try:
        found = flash.stat()
        lines = locks.read_text("ascii", "replace").splitlines()
    except OSError:
        return False
    place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    return any(" FLOCK " in line and place in line.split() for line in lines)


def recording_runs(flash: Path, locks: Path = _LOCKS) -> bool:
    """Whether something is recorded just now: a recorder runs, and its newest segment is none of the journal's."""
    if not recorder_runs(flash, locks):
        return False
    newest = max((flash / SEGMENTS).glob(f"*{SUFFIX}"), default=None)
    return newest is not None and _is_media(newest)


def left(flash: Path) -> Left:
    """Return what footage is there."""
    media = [path for path in (flash / SEGMENTS).glob(f"*{SUFFIX}") if _is_media(path)]
    return Left(len(media), sum(path.stat().st_size for path in media))


@contextmanager
def store_locked(flash: Path) -> Iterator[None]:
    """Hold a store as a recorder does; where there is none, nothing is held.

    Raises:
        RecorderRunsError: a recorder has it.
    """
    try:
        fd = os.open(flash, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield
        return
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RecorderRunsError("the recorder runs: it finishes this by itself once nothing is recorded") from None
        yield
    finally:
        os.close(fd)


def set_aside(flash: Path, public: bytes | None, name: str) -> Path | None:
    """Move a store with segments to ``NAME`` beside it, with its ``device.pub``; return where it is, or None.

    Raises:
        OSError: the medium refused. It may be called again.
    """
    if not any((flash / SEGMENTS).glob(f"*{SUFFIX}")):
        return None
    target, number = flash.with_name(f"{flash.name}.{name}"), 1
    while target.exists():
        number += 1
        target = flash.with_name(f"{flash.name}.{name}-{number}")
    if public is not None:
        replace_file(flash / "device.pub", public, mode=0o644)
    flash.rename(target)
    sync_directory(flash.parent)
    return target


def _is_media(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return parse_header(file.read(HEADER_BYTES)).place.recording != _JOURNAL
    except (OSError, FormatError):
        return False
