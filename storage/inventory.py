"""Finding segment files: a store, a folder with the segments of one recording, or a single file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from storage.errors import InputError

SUFFIX = ".seg"
SEGMENTS = "segments"
TORN = "torn"
_NAME = re.compile(r"(\d{10})\.seg")


class Scope(Enum):
    """How much of a device's chain was given, and so how much can be said about what is missing."""

    STORE = "store"
    """All that the device has: it must begin with segment 1 and have no hole."""
    EXCERPT = "excerpt"
    """Some segments: between the first and the last there must be no hole; nothing is said about the rest."""
    SEGMENT = "segment"
    """One file: nothing is said about the rest of its recording."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """The files to verify, in order of name."""

    scope: Scope
    paths: tuple[Path, ...]


def segment_name(number: int) -> str:
    """Return the file name of a segment."""
    return f"{number:010d}{SUFFIX}"


def segment_number(path: Path) -> int | None:
    """Return the number that a segment file's name gives, or None."""
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else None


def shown(path: Path) -> str:
    """Return a file's name for people: whatever is not printable is escaped, as it comes from the evidence."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in path.name)


def take_inventory(path: Path) -> Inventory:
    """List the segment files that `path` stands for.

    Raises:
        InputError: nothing there, not readable, or no segment in it.
    """
    try:
        if path.is_dir():
            store = (path / SEGMENTS).is_dir()
            folder = path / SEGMENTS if store else path
            paths = sorted(item for item in folder.iterdir() if item.suffix == SUFFIX)
            if not paths:
                raise InputError(f"{path} holds no segment: give a store, a folder of {SUFFIX} files, or one such file")
            return Inventory(Scope.STORE if store else Scope.EXCERPT, tuple(paths))
        if path.is_file():
            return Inventory(Scope.SEGMENT, (path.resolve(),))
        if path.exists():
            raise InputError(f"{path} is neither a folder nor a regular file")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    raise InputError(f"there is no {path}")
