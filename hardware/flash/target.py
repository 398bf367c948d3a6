"""What a card is, and why it is not written to: mounted, the system's own, read-only, too small, or no card at all."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from hardware.flash.errors import FlashError

_SECTOR_BYTES = 512
"""Of sysfs, whatever the device's own sectors are."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the kernel tells about block devices; others in tests."""

    sys: Path = Path("/sys")
    proc: Path = Path("/proc")


@dataclass(frozen=True, slots=True)
class Target:
    """One card, or a file that stands for one."""

    path: Path
    size_bytes: int
    model: str
    serial: str
    block: bool
    """It is a block device."""

    @property
    def described(self) -> str:
        """Return it in one line, for the person who is asked."""
        size = f"{self.size_bytes / 1e9:.1f} GB"
        return f"{self.path}: {self.model or 'unknown model'}, {size}, serial {self.serial or '-'}"


def same_as(path: Path) -> tuple[str, int, int]:
    """Return what is the same for two names of one card, or of one file.

    Raises:
        FlashError: there is none.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise FlashError(f"{path}: {error.strerror}") from None
    if stat.S_ISBLK(status.st_mode):
        return ("card", status.st_rdev, 0)
    return ("file", status.st_dev, status.st_ino)


def look_at(path: Path, image_bytes: int, places: Places = Places()) -> Target:
    """Return what is there.

    Raises:
        FlashError: it must not, or cannot, be written.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise FlashError(f"{path}: {error.strerror}: is the card in its reader?") from None
    if stat.S_ISREG(status.st_mode):
        target = Target(path, status.st_size, "a file", "", block=False)
        if not os.access(path, os.W_OK):
            raise FlashError(f"{path} is read-only")
    elif stat.S_ISBLK(status.st_mode):
        target = _block_device(path, status.st_rdev, places)
    else:
        raise FlashError(f"{path} is neither a card nor a file")
    if target.size_bytes < image_bytes:
        raise FlashError(
            f"{path} is too small: it has {target.size_bytes} bytes, the image {image_bytes}; take a larger card"
        )
    return target


def _block_device(path: Path, number: int, places: Places) -> Target:
    folder = places.sys / "dev" / "block" / f"{os.major(number)}:{os.minor(number)}"
    try:
        folder = folder.resolve(strict=True)
    except OSError:
        raise FlashError(f"{path}: the kernel knows no such block device") from None
    if (folder / "partition").exists():
        raise FlashError(f"{path} is a partition: name the whole card, {path.parent / folder.parent.name}")
    if _read(folder / "ro") != "0":
        raise FlashError(f"{path} is read-only: slide the card's lock, or take another")
    for used in [folder, *(item for item in folder.iterdir() if (item / "partition").exists())]:
        _check_unused(path, used, places)
    size = int(_read(folder / "size") or 0) * _SECTOR_BYTES
    if not size:
        raise FlashError(f"{path}: there is no card in the reader")
    model = " ".join(filter(None, (_read(folder / "device" / "vendor"), _read(folder / "device" / "model"))))
    model = model or _read(folder / "device" / "name")
    return Target(path, size, model, _read(folder / "device" / "serial"), block=True)


def _check_unused(path: Path, folder: Path, places: Places) -> None:
    number = _read(folder / "dev")
    for line in _lines(places.proc / "self" / "mountinfo"):
        fields = line.split()
        if len(fields) > 4 and fields[2] == number:
            system = fields[4] in ("/", "/boot", "/boot/firmware", "/usr", "/var", "/home")
            what = "holds this computer's system" if system else f"is mounted at {fields[4]}: unmount it first"
            raise FlashError(f"{path} {what}; nothing was written")
    if any(line.split()[0].endswith(f"/{folder.name}") for line in _lines(places.proc / "swaps")[1:] if line.split()):
        raise FlashError(f"{path} holds this computer's swap; nothing was written")
    holders = folder / "holders"
    if holders.is_dir() and any(holders.iterdir()):
        raise FlashError(f"{path} is part of something larger (a volume group, a RAID); nothing was written")


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def _lines(path: Path) -> list[str]:
    return _read(path).splitlines()
