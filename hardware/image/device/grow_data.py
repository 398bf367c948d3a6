"""``grow_data.py /dev/disk/by-partuuid/…``: lets the last partition reach to the end of the card.

The table is one sector, written at once: pulled at any moment, the card has the old table or the new one. The kernel is
told afterwards; where it was not, the next start finds the new table. The file system in it grows when it is mounted.
Exit status: 0 it reaches there now, 1 it could not be done (the device works with what it has).
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

_SECTOR = 512
_ALIGN = 2048
_TABLE_AT, _ENTRY = 446, struct.Struct("<B3sB3sII")
_MAX_SECTORS = 2**32 - 1
_LIMIT_S = 30


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


def grow(disk: Path, number: int, sectors: int) -> int | None:
    """Write the new table; return the partition's new length in sectors, None if nothing was to be done.

    Raises:
        GrowError, OSError: it cannot be done.
    """
    fd = os.open(disk, os.O_RDWR | os.O_CLOEXEC)
    try:
        old = os.pread(fd, _SECTOR, 0)
        new = grown(old, number, sectors)
        if new == old:
            return None
        if os.pwrite(fd, new, 0) != _SECTOR:
            raise GrowError("the card took only a part of its table")
        os.fsync(fd)
    finally:
        os.close(fd)
    return int(_ENTRY.unpack_from(new, _TABLE_AT + 16 * (number - 1))[5])


def main(arguments: list[str], sys_block: Path = Path("/sys/class/block")) -> int:
    """Run it."""
    try:
        part = Path(arguments[0]).resolve(strict=True)
        folder = (sys_block / part.name).resolve(strict=True)
        number = int((folder / "partition").read_text("ascii"))
        sectors = int((folder.parent / "size").read_text("ascii"))
        disk = Path("/dev") / folder.parent.name
        length = grow(disk, number, sectors)
        if length is None and int((folder / "size").read_text("ascii")) == _told(disk, number):
            return 0
        # A length is what the kernel wants, which does not read the table of a disk in use.
        length = length or _told(disk, number)
        subprocess.run(["resizepart", str(disk), str(number), str(length)], check=True, timeout=_LIMIT_S)
        sys.stdout.write(f"the data partition has {length * _SECTOR // 10**6} MB\n")
    except (GrowError, OSError, ValueError, IndexError, subprocess.SubprocessError) as error:
        sys.stderr.write(f"grow-data: {error}\n")
        return 1
    return 0


def _told(disk: Path, number: int) -> int:
    with disk.open("rb") as table:
        return int(_ENTRY.unpack_from(table.read(_SECTOR), _TABLE_AT + 16 * (number - 1))[5])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
