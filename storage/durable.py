"""How bytes reach a disk and stay there: write, sync, rename, sync the directory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path


def sync_directory(path: Path) -> None:
    """Make creations, renames and removals in a directory durable.

    Raises:
        OSError: the directory cannot be opened or synced.
    """
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_all(fd: int, buffers: Sequence[bytes | memoryview]) -> int:
    """Write every byte of `buffers` in order, going on after short writes; return the number of bytes.

    Raises:
        OSError: the medium refused; some bytes may have been written.
    """
    views = [memoryview(buffer).cast("B") for buffer in buffers if len(buffer)]
    total = 0
    while views:
        written = os.writev(fd, views)
        total += written
        while views and written >= len(views[0]):
            written -= len(views.pop(0))
        if written:
            views[0] = views[0][written:]
    return total


def replace_file(path: Path, data: bytes, *, mode: int = 0o600, erase_old: bool = False) -> None:
    """Put `data` into `path` so that after a crash either the old or the new content is there, whole.

    With `erase_old` the old content is overwritten once the new one is durable. On flash memory a translation layer
    may keep the old cells for a while all the same: docs/FORMAT.md says so.

    Raises:
        OSError: the medium refused; the old content stands.
    """
    temporary = path.with_name(path.name + ".new")
    if erase_old:
        _erase(temporary)  # a crash may have left it, with secrets in it
    temporary.unlink(missing_ok=True)
    old = _open_existing(path) if erase_old else -1
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            write_all(fd, [data])
            os.fsync(fd)
        finally:
            os.close(fd)
        temporary.replace(path)
        sync_directory(path.parent)
        _overwrite(old)
    finally:
        if old >= 0:
            os.close(old)


def _erase(path: Path) -> None:
    fd = _open_existing(path)
    try:
        _overwrite(fd)
    finally:
        if fd >= 0:
            os.close(fd)


def _overwrite(fd: int) -> None:
    if fd >= 0:
        os.pwrite(fd, bytes(os.fstat(fd).st_size), 0)
        os.fdatasync(fd)


def _open_existing(path: Path) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1
