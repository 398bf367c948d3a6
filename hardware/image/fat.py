"""Reads and changes the partition that a Pi starts from, a FAT file system, by mtools(1) at its offset in the image."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hardware.image.errors import ImageError
from hardware.image.programs import run


class Fat:
    """One file system inside an image of a card."""

    def __init__(self, image: Path, offset_bytes: int, epoch_s: int) -> None:
        self._at = f"{image}@@{offset_bytes}"
        self._folder = image.parent
        self._epoch_s = epoch_s

    def read(self, name: str) -> bytes | None:
        """Return what a file holds; None if it is not there.

        Raises:
            ImageError: the file system cannot be read.
        """
        done = run(["mtype", "-i", self._at, f"::{name}"], self._epoch_s, ok=(0, 1))
        if done.returncode == 0:
            return done.stdout
        if b"not found" in done.stderr.lower() or b"no match" in done.stderr.lower():
            return None
        raise ImageError(f"its boot partition holds no FAT file system that can be read; fetch it again ({name})")

    def write(self, name: str, data: bytes) -> None:
        """Put a file there, in place of one of that name.

        Raises:
            ImageError: it does not fit.
        """
        with tempfile.TemporaryDirectory(dir=self._folder) as held:
            path = Path(held) / "file"
            path.write_bytes(data)
            run(["mcopy", "-o", "-i", self._at, path, f"::{name}"], self._epoch_s)
        if self.read(name) != data:
            raise ImageError(f"{name} does not read back as it was written; is this disk full or failing?")

    def remove(self, name: str) -> None:
        """Take a file away, where it is there."""
        if self.read(name) is not None:
            run(["mdel", "-i", self._at, f"::{name}"], self._epoch_s)


def check_fat(image: Path, offset_bytes: int, size_bytes: int, epoch_s: int, name: str) -> None:
    """Check the file system as a whole, on a copy.

    Raises:
        ImageError: it is damaged; `name` says of which file.
    """
    with tempfile.NamedTemporaryFile(dir=image.parent, suffix=".fat") as copy, image.open("rb") as source:
        source.seek(offset_bytes)
        left = size_bytes
        while left and (block := source.read(min(left, 1 << 20))):
            copy.write(block)
            left -= len(block)
        copy.flush()
        done = run(["fsck.vfat", "-n", copy.name], epoch_s, ok=tuple(range(256)))
    if done.returncode:
        raise ImageError(f"{name}: its boot partition is damaged or no FAT file system; fetch it again")
