"""Writes an image, flushes it, reads it back past the cache, and compares digests (SHA-256, FIPS 180-4)."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import mmap
import os
import re
import stat
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hardware.flash.errors import FlashError
from hardware.flash.target import Target
from hardware.image.disk import FAT32, LINUX, SECTOR_BYTES, parse_three

_BLOCK_BYTES = 4 * 1024 * 1024
_BLKFLSBUF = 0x1261
"""ioctl(2): drop what is cached of a block device."""
_BLKDISCARD = 0x1277
"""ioctl(2): what the card holds from here on, and for so long, is wanted no more."""
_ALIGN = 4096
_PACKED = (b"\xfd7zXZ", b"\x1f\x8b", b"PK\x03\x04", b"\x28\xb5\x2f\xfd", b"BZh")
_SUM = re.compile(r"([0-9a-f]{64}) [ *]")


@dataclass(frozen=True, slots=True)
class Image:
    """What is to be written."""

    path: Path
    size_bytes: int
    digest: bytes


def load_image(path: Path) -> Image:
    """Hash an image, once for all cards; where a ``.sha256`` lies beside it, it must say the same.

    Raises:
        FlashError: it cannot be read, is none of a card's, or was damaged since its digest was taken.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise FlashError(f"the image {path} is no file")
        with path.open("rb") as file:
            _check_table(path, file.read(SECTOR_BYTES))
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").digest()
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise FlashError(f"cannot read the image {path}: {error.strerror}") from None
    _check_sum(path, digest)
    return Image(path, size, digest)


def _check_table(path: Path, sector: bytes) -> None:
    if sector.startswith(_PACKED):
        raise FlashError(f"the image {path} is compressed: unpack it first, for a card starts from what is written")
    if len(sector) < SECTOR_BYTES or sector[510:] != b"\x55\xaa":
        raise FlashError(f"{path} is no image of a card: it has no partition table")
    if [part.kind for part in parse_three(sector)] not in ([kind, LINUX, LINUX] for kind in FAT32):
        raise FlashError(
            f"{path} is not an image of a device, which has three partitions: give what `make image` made, not the base"
        )


def _check_sum(path: Path, digest: bytes) -> None:
    beside = path.with_name(f"{path.name}.sha256")
    try:
        text = beside.read_text("ascii")
    except FileNotFoundError:
        return
    except (OSError, ValueError):
        raise FlashError(f"cannot read {beside}, which says what the image must be") from None
    found = _SUM.match(text)
    if found is None or bytes.fromhex(found[1]) != digest:
        raise FlashError(f"{path} is not what {beside.name} says: it was damaged or changed; fetch or make it again")


def write(image: Image, target: Target, progress: Callable[[str, int], None]) -> bool:
    """Write and check; `progress` gets ``writing`` or ``checking``, and bytes done since.

    Return whether the card took the order to drop all that it held before.

    Raises:
        FlashError: the card was pulled, refuses, or does not hold what was written.
    """
    where = target.path
    try:
        dropped = _copy(image, target, progress)
        found = _read_back(image, target, progress)
    except OSError as error:
        raise FlashError(
            f"{where}: {error.strerror or error}: was the card pulled? Put it back and write it again"
        ) from None
    if found != image.digest:
        raise FlashError(f"{where} does not hold what was written: the card is worn or a fake; throw it away")
    return dropped


def _copy(image: Image, target: Target, progress: Callable[[str, int], None]) -> bool:
    # O_EXCL on a block device: whoever mounts it meanwhile is told that it is busy.
    flags = os.O_WRONLY | os.O_CLOEXEC | (os.O_EXCL if target.block else 0)
    fd = os.open(target.path, flags)
    digest = hashlib.sha256()
    try:
        dropped = target.block and _forget(fd, target)
        with image.path.open("rb") as source:
            buffer = memoryview(bytearray(_BLOCK_BYTES))
            while count := source.readinto(buffer):
                digest.update(buffer[:count])
                at = 0
                while at < count:
                    at += os.write(fd, buffer[at:count])
                progress("writing", count)
        os.fsync(fd)
    finally:
        os.close(fd)
    if digest.digest() != image.digest:
        raise FlashError(f"the image {image.path} changed while it was written: write {target.path} again")
    return dropped


def _forget(fd: int, target: Target) -> bool:
    """Have the card drop what it held: behind the image's end there may be another device's keys."""
    try:
        fcntl.ioctl(fd, _BLKDISCARD, struct.pack("=QQ", 0, target.size_bytes))
    except OSError:
        # Not every card or reader can: docs/FLASH.md says what is left then. One that was pulled is noticed next.
        return False
    return True


def _read_back(image: Image, target: Target, progress: Callable[[str, int], None]) -> bytes:
    fd = _open_past_the_cache(target)
    digest = hashlib.sha256()
    left = image.size_bytes
    try:
        # Direct reading wants memory at a page's boundary.
        with mmap.mmap(-1, _BLOCK_BYTES) as page, memoryview(page) as buffer:
            while left:
                count = os.readv(fd, [buffer])
                if not count:
                    raise OSError(5, "it ends before the image does")
                used = min(count, left)
                digest.update(buffer[:used])
                left -= used
                progress("checking", used)
    finally:
        os.close(fd)
    return digest.digest()


def _open_past_the_cache(target: Target) -> int:
    """Open for reading what is on the card, not what the kernel remembers of it."""
    fd = os.open(target.path, os.O_RDONLY | os.O_CLOEXEC)
    if target.block:
        with contextlib.suppress(OSError):  # root's to do; direct reading alone is enough, too
            fcntl.ioctl(fd, _BLKFLSBUF)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    if target.size_bytes % _ALIGN:
        return fd
    try:
        direct = os.open(target.path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECT)
    except OSError:
        return fd  # a file system that has no direct reading
    os.close(fd)
    return direct
