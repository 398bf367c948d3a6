"""The partition table of a card: the master boot record of PCs, which a Raspberry Pi starts from."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from hardware.image.errors import ImageError

SECTOR_BYTES = 512
FAT32, LINUX = (0x0B, 0x0C), 0x83
_TABLE_AT, _ID_AT, _ENTRY = 446, 440, struct.Struct("<B3sB3sII")
_EXTENDED = (0x05, 0x0F, 0x85)
_PROTECTIVE = 0xEE
# Where cylinders, heads and sectors no longer reach, every field has its largest value.
_FAR = b"\xfe\xff\xff"


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition, in sectors of 512 bytes."""

    kind: int
    start: int
    sectors: int
    boot: int = 0

    @property
    def end(self) -> int:
        """The sector after its last."""
        return self.start + self.sectors

    @property
    def start_bytes(self) -> int:
        """Where it begins."""
        return self.start * SECTOR_BYTES

    @property
    def size_bytes(self) -> int:
        """How large it is."""
        return self.sectors * SECTOR_BYTES


def parse_table(sector: bytes, disk_bytes: int, name: str) -> list[Partition]:
    """Return the partitions of a base image: a FAT32 one to start from, then the root, and no more.

    Raises:
        ImageError: it is something else; `name` says which file.
    """
    if len(sector) < SECTOR_BYTES or sector[510:512] != b"\x55\xaa":
        raise ImageError(f"{name} has no partition table: it is not an image of a card")
    found = [_ENTRY.unpack_from(sector, _TABLE_AT + 16 * number) for number in range(4)]
    parts = [Partition(kind, start, count, boot) for boot, _, kind, _, start, count in found if kind]
    if parts and parts[0].kind == _PROTECTIVE:
        raise ImageError(f"{name} has a GPT, and not the partition table of Raspberry Pi OS")
    if len(parts) != 2 or any(part.kind in _EXTENDED for part in parts) or not (found[0][2] and found[1][2]):
        raise ImageError(
            f"{name} has {len(parts)} partitions, and Raspberry Pi OS Lite has two: "
            "take the image as it was published, never started"
        )
    boot, root = parts
    if boot.kind not in FAT32 or root.kind != LINUX:
        raise ImageError(f"{name} is not Raspberry Pi OS: its partitions are not FAT32 and Linux")
    if boot.start < 1 or root.start < boot.end or not boot.sectors or not root.sectors:
        raise ImageError(f"{name}: its partitions overlap; the file is damaged")
    if root.end * SECTOR_BYTES > disk_bytes:
        raise ImageError(f"{name} is cut short: its partitions reach beyond its end; fetch it again")
    return parts


def parse_three(sector: bytes) -> list[Partition]:
    """Return the partitions of an image that was made here."""
    found = [_ENTRY.unpack_from(sector, _TABLE_AT + 16 * number) for number in range(3)]
    return [Partition(kind, start, count, boot) for boot, _, kind, _, start, count in found]


def disk_id(sector: bytes) -> int:
    """Return the disk's signature, of which a PARTUUID is made."""
    return int(struct.unpack_from("<I", sector, _ID_AT)[0])


def with_table(sector: bytes, parts: list[Partition]) -> bytes:
    """Return the sector with these partitions in place of its own; signature and code stay."""
    table = b"".join(
        _ENTRY.pack(part.boot, _FAR, part.kind, _FAR, part.start, part.sectors) for part in parts
    )  # fmt: skip
    return sector[:_TABLE_AT] + table.ljust(64, b"\0") + b"\x55\xaa"
