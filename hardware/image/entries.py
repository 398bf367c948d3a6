"""What is put into a root file system: files, folders and links, each with owner and mode; and what is taken out."""

from __future__ import annotations

import posixpath
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hardware.image.errors import ImageError

_MAX_NAME_BYTES = 255


@dataclass(frozen=True, slots=True)
class Entry:
    """One of them. `mode` holds the kind as well, as in stat(2)."""

    path: str
    """Absolute."""
    mode: int
    data: bytes = b""
    """What a file holds, or where a link leads."""
    uid: int = 0
    gid: int = 0

    @property
    def is_folder(self) -> bool:
        """It is a folder."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_link(self) -> bool:
        """It is a symbolic link."""
        return stat.S_ISLNK(self.mode)


def file(path: str, data: bytes | str, mode: int = 0o644, uid: int = 0, gid: int = 0) -> Entry:
    """Make a file."""
    return Entry(path, stat.S_IFREG | mode, data.encode() if isinstance(data, str) else data, uid, gid)


def folder(path: str, mode: int = 0o755, uid: int = 0, gid: int = 0) -> Entry:
    """Make a folder."""
    return Entry(path, stat.S_IFDIR | mode, b"", uid, gid)


def link(path: str, target: str) -> Entry:
    """Make a symbolic link."""
    return Entry(path, stat.S_IFLNK | 0o777, target.encode())


class Overlay:
    """What is to be laid over a root. A later entry takes the place of an earlier one of the same path."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self.removed: set[str] = set()
        """What must not be there afterwards."""

    def add(self, entries: Iterable[Entry]) -> None:
        """Take them in.

        Raises:
            ImageError: a path that leaves the root, or that no file system takes.
        """
        for entry in entries:
            self._entries[_checked(entry.path)] = entry

    def remove(self, paths: Iterable[str]) -> None:
        """Have them gone, where they are there."""
        self.removed.update(_checked(path) for path in paths)

    def get(self, path: str) -> Entry | None:
        """Return the entry of that path."""
        return self._entries.get(path)

    def __iter__(self) -> Iterator[Entry]:
        """Parents before what is in them, and always in the same order."""
        return iter(sorted(self._entries.values(), key=lambda entry: entry.path.split("/")))

    @property
    def size_bytes(self) -> int:
        """How much the files hold together."""
        return sum(len(entry.data) for entry in self._entries.values())

    @property
    def count(self) -> int:
        """How many entries there are."""
        return len(self._entries)

    def folders(self) -> list[str]:
        """Return every folder that must be there, named or only implied; parents first."""
        found = {entry.path for entry in self._entries.values() if entry.is_folder}
        for entry in self._entries.values():
            found.update(parents(entry.path))
        return sorted(found, key=lambda path: path.split("/"))


def parents(path: str) -> list[str]:
    """Return the folders above it, without the root itself."""
    parts = path.strip("/").split("/")[:-1]
    return ["/" + "/".join(parts[: number + 1]) for number in range(len(parts))]


def _checked(path: str) -> str:
    names = path.split("/")[1:]
    good = path.startswith("/") and path.strip("/") and not path.startswith("//") and posixpath.normpath(path) == path
    if not good or any(len(name.encode()) > _MAX_NAME_BYTES for name in names) or not path.isprintable():
        raise ImageError(f"{path!r} is no path for a file of the image")
    return path
