"""``grow_data.py /dev/disk/by-partuuid/…``: lets the last partition reach to the end of the card.

The table is one sector, written at once: pulled at any moment, the card has the old table or the new one. The kernel is
told before the card is closed: udev looks at it again then, and takes away a partition of which kernel and table
differ. The file system in it grows when it is mounted.
Exit status: 0 it reaches there now, 1 it could not be done (the device works with what it has).
"""

from __future__ import annotations

import array
import fcntl
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path

_SECTOR = 512
_ALIGN = 2048
_TABLE_AT, _ENTRY = 446, struct.Struct("<B3sB3sII")
_MAX_SECTORS = 2**32 - 1
_BLKPG, _RESIZE = 0x1269, 3
"""linux/blkpg.h: change one partition of a disk that is in use."""
Tell = Callable[[int, int, int, int], None]


class GrowError(Exception):
    """One line: what is in the way."""


def grown(sector: bytes, number: int, sectors: int) -> bytes:
    """Return the table in which partition `number` (from 1) ends at a disk's end; the same if it does already.

    Raises:
        GrowError: it is no table, there is no such partition, or something lies after it.
    """
    if len(sector) != _SECTOR or sector[510:] != b"\x55\xaa":
        raise GrowError("the card has no partition table")
    parts = [_ENTRY.unpack_from(sector, _TABLE_AT + 16 * index) for index in range(4)]
    if not 1 <= number <= 4 or not parts[number - 1][2]:
        raise GrowError(f"the card has no partition {number}")
    boot, first, kind, last, start, count = parts[number - 1]
    if any(other[2] and other[4] > start for other in parts):
        raise GrowError(f"something lies after partition {number}")
    end = min(sectors, _MAX_SECTORS) // _ALIGN * _ALIGN
    if end <= start + count:
        return sector
    entry = _ENTRY.pack(boot, first, kind, last, start, end - start)
    at = _TABLE_AT + 16 * (number - 1)
    return sector[:at] + entry + sector[at + 16 :]


def tell_kernel(fd: int, number: int, start: int, count: int) -> None:
    """Tell the kernel where partition `number` of an open disk lies, in sectors.

    Raises:
        OSError: it does not take it.
    """
    part = struct.pack("=qqi64s64s4x", start * _SECTOR, count * _SECTOR, number, b"", b"")
    held = array.array("b", part)
    fcntl.ioctl(fd, _BLKPG, struct.pack("=iii4xQ", _RESIZE, 0, len(part), held.buffer_info()[0]))


def grow(disk: Path, number: int, sectors: int, known: int, tell: Tell = tell_kernel) -> int:
    """Write the new table, where it is to change; return the partition's length in sectors.

    `known` is the length that the kernel knows: where it is another, the kernel is told.

    Raises:
        GrowError, OSError: it cannot be done.
    """
    fd = os.open(disk, os.O_RDWR | os.O_CLOEXEC)
    try:
        old = os.pread(fd, _SECTOR, 0)
        new = grown(old, number, sectors)
        if new != old:
            if os.pwrite(fd, new, 0) != _SECTOR:
                raise GrowError("the card took only a part of its table")
            os.fsync(fd)
        start, count = _ENTRY.unpack_from(new, _TABLE_AT + 16 * (number - 1))[4:]
        if count != known:
            tell(fd, number, start, count)
    finally:
        os.close(fd)
    return int(count)


def main(arguments: list[str], sys_block: Path = Path("/sys/class/block")) -> int:
    """Run it."""
    try:
        part = Path(arguments[0]).resolve(strict=True)
        folder = (sys_block / part.name).resolve(strict=True)
        number = int((folder / "partition").read_text("ascii"))
        sectors = int((folder.parent / "size").read_text("ascii"))
        disk = Path("/dev") / folder.parent.name
        length = grow(disk, number, sectors, int((folder / "size").read_text("ascii")))
        sys.stdout.write(f"the data partition has {length * _SECTOR // 10**6} MB\n")
    except (GrowError, OSError, ValueError, IndexError) as error:
        sys.stderr.write(f"grow-data: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
