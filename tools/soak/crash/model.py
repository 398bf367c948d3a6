"""What a disk may hold when the power goes: a page cache that was not synced, and directories that were not. Pure.

Only fsync and fdatasync make anything durable: a file's contents and length, or a directory's entries. Everything else
may be there, or not, in any order, in pieces of 4 KiB; a length may be there without the data, which then reads as
zeros. That is stricter than ext4 or F2FS are.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from tools.soak.crash.trace import Call, TraceError

PAGE_BYTES = 4096
Snapshot = dict[str, bytes]
"""Path, relative to the folder, and contents of every file."""


@dataclass(slots=True)
class _Inode:
    durable: bytes = b""
    current: bytearray = field(default_factory=bytearray)
    dirty: list[tuple[int, int]] = field(default_factory=list)
    """Offset and end of what was written since the last sync, in order."""


@dataclass(frozen=True, slots=True)
class _Change:
    """Of a directory: entries set or, with None, removed, all at once."""

    folder: str
    entries: tuple[tuple[str, int | None], ...]


class Disk:
    """Takes calls in order; `states` gives what may be found after a power cut just then."""

    def __init__(self, folder: str, files: Snapshot) -> None:
        """`files` are there, durably, in `folder`."""
        self._root = folder.rstrip("/") + "/"
        self._inodes: list[_Inode] = []
        self._entries: dict[str, int] = {}
        for path, data in files.items():
            self._entries[path] = self._new(data)
        self._durable = dict(self._entries)
        self._pending: list[_Change] = []
        self._fds: dict[int, int | str | None] = {}
        """An inode, a directory, or None for what lies elsewhere."""

    def take(self, call: Call) -> bool:
        """Apply a call; return whether it touched the folder.

        Raises:
            TraceError: it is one that the model cannot follow.
        """
        match call.name:
            case "openat":
                return self._open(call)
            case "rename":
                return self._rename(*call.paths)
            case "unlink":
                return self._unlink(call.paths[0])
            case "mkdir":
                return False  # folders are made once, before anything is recorded
        target = self._fds.get(call.fd)
        if target is None:
            return False
        if isinstance(target, str):
            if call.name not in ("fsync", "fdatasync"):
                raise TraceError(f"{call.name} on the directory {target}")
            self._sync_folder(target)
            return True
        self._change(self._inodes[target], call)
        return True

    def is_stdout(self, call: Call) -> bool:
        """Whether the call is a line that the process says."""
        return call.name == "write" and call.fd == 1

    def states(self, dice: random.Random, variants: int = 3) -> Iterator[tuple[str, Snapshot]]:
        """Yield what the disk may hold, each with a name; duplicates are left out."""
        seen: set[int] = set()
        for name, snapshot in self._states(dice, variants):
            key = hash(tuple(sorted(snapshot.items())))
            if key not in seen:
                seen.add(key)
                yield name, snapshot

    def _states(self, dice: random.Random, variants: int) -> Iterator[tuple[str, Snapshot]]:
        everything = self._apply(self._pending)
        yield "nothing that was not synced", self._with(self._durable, lambda inode: inode.durable)
        if not self._pending and not any(inode.dirty for inode in self._inodes):
            return
        yield "everything", self._with(everything, lambda inode: bytes(inode.current))
        yield "names without data", self._with(everything, lambda inode: inode.durable)
        yield "lengths without data", self._with(everything, _zeroed)
        yield "data without names", self._with(self._durable, lambda inode: bytes(inode.current))
        for _ in range(variants):
            some = [change for change in self._pending if dice.random() < 0.5]
            yield "some pages, some names, reordered", self._with(self._apply(some), lambda inode: _torn(inode, dice))
            yield "cut anywhere", self._with(everything, lambda inode: _cut(inode, dice))

    def _with(self, entries: dict[str, int], contents: Callable[[_Inode], bytes]) -> Snapshot:
        return {path: contents(self._inodes[number]) for path, number in sorted(entries.items())}

    def _apply(self, changes: list[_Change]) -> dict[str, int]:
        entries = dict(self._durable)
        for change in changes:
            for path, number in change.entries:
                if number is None:
                    entries.pop(path, None)
                else:
                    entries[path] = number
        return entries

    def _new(self, data: bytes = b"") -> int:
        self._inodes.append(_Inode(data, bytearray(data)))
        return len(self._inodes) - 1

    def _name(self, path: str) -> str | None:
        if path + "/" == self._root:
            return ""
        return path[len(self._root) :] if path.startswith(self._root) else None

    def _open(self, call: Call) -> bool:
        name = self._name(call.paths[0])
        self._fds[call.fd] = None
        if name is None:
            return False
        if "O_DIRECTORY" in call.flags:
            self._fds[call.fd] = name
            return False
        if name in self._entries:
            number = self._entries[name]
            if "O_TRUNC" in call.flags:
                self._inodes[number].current.clear()
                self._inodes[number].dirty.append((0, 0))
        elif "O_CREAT" in call.flags:
            number = self._new()
            self._set(name, number)
        else:
            self._fds[call.fd] = name  # a directory, opened as such a file is
            return False
        self._fds[call.fd] = number
        return "O_CREAT" in call.flags

    def _set(self, name: str, number: int | None, *also: tuple[str, int | None]) -> None:
        self._pending.append(_Change(_folder(name), ((name, number), *also)))
        for path, inode in ((name, number), *also):
            if inode is None:
                self._entries.pop(path, None)
            else:
                self._entries[path] = inode

    def _rename(self, old: str, new: str) -> bool:
        before, after = self._name(old), self._name(new)
        if before is None or after is None:
            return False
        self._set(after, self._entries[before], (before, None))
        return True

    def _unlink(self, path: str) -> bool:
        name = self._name(path)
        if name is None:
            return False
        self._set(name, None)
        return True

    def _sync_folder(self, folder: str) -> None:
        done = [change for change in self._pending if change.folder == folder]
        self._pending = [change for change in self._pending if change.folder != folder]
        for change in done:
            for path, number in change.entries:
                if number is None:
                    self._durable.pop(path, None)
                else:
                    self._durable[path] = number

    def _change(self, inode: _Inode, call: Call) -> None:
        match call.name:
            case "write" | "writev":
                # All that the recorder appends to is opened with O_APPEND, or is new.
                self._write(inode, len(inode.current), call.data)
            case "pwrite64" | "pwritev":
                self._write(inode, call.offset, call.data)
            case "fsync" | "fdatasync":
                inode.durable = bytes(inode.current)
                inode.dirty.clear()
            case "ftruncate":
                del inode.current[call.size :]
                inode.current.extend(bytes(call.size - len(inode.current)))
                inode.dirty.append((call.size, call.size))
            case "fallocate":
                if "PUNCH_HOLE" not in call.flags:
                    raise TraceError(f"fallocate with {call.flags}")
                end = min(len(inode.current), call.offset + call.size)
                inode.current[call.offset : end] = bytes(end - call.offset)
                inode.dirty.append((call.offset, end))
            case _:
                raise TraceError(f"{call.name} on a file")

    @staticmethod
    def _write(inode: _Inode, offset: int, data: bytes) -> None:
        end = offset + len(data)
        inode.current.extend(bytes(max(0, end - len(inode.current))))
        inode.current[offset:end] = data
        inode.dirty.append((offset, end))


def _folder(name: str) -> str:
    parent = str(PurePosixPath(name).parent)
    return "" if parent == "." else parent


def _zeroed(inode: _Inode) -> bytes:
    """The length is that of all writes; what was not synced reads as it was, or as zeros."""
    if not inode.dirty:
        return inode.durable
    return (inode.durable + bytes(len(inode.current)))[: len(inode.current)]


def _torn(inode: _Inode, dice: random.Random) -> bytes:
    """Some pages reached the disk, others did not."""
    if not inode.dirty:
        return inode.durable
    found = bytearray(_zeroed(inode))
    for page in range(0, len(found), PAGE_BYTES):
        if dice.random() < 0.5:
            found[page : page + PAGE_BYTES] = inode.current[page : page + PAGE_BYTES]
    return bytes(found)


def _cut(inode: _Inode, dice: random.Random) -> bytes:
    """What was appended got as far as some byte."""
    if not inode.dirty:
        return inode.durable
    low, high = sorted((len(inode.durable), len(inode.current)))
    return bytes(inode.current[: dice.randint(low, high)])
