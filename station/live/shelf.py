"""Keeps the sealed chunks that arrived live, so that the dock need not fetch them again. A cache: verified, not owed.

One file a segment: the records as they came, one after another, each of which says its own number. Bounded in bytes;
what is oldest goes first. The recordings' own time limit holds here too: see `forget`.
"""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

from station.errors import StationError
from storage.errors import FormatError
from storage.reader import SegmentReader, TornError

_SUFFIX = ".live"
_NAME = re.compile(r"(\d{10})\.live")
_OPEN_FILES = 64


@dataclass(frozen=True, slots=True)
class Piece:
    """A whole record in a file of the shelf."""

    number: int
    offset: int
    size_bytes: int


@dataclass(slots=True)
class _Kept:
    path: Path
    size_bytes: int
    numbers: set[int] = field(default_factory=set)
    arrived_utc_ns: int = 0


class LiveShelf:
    """The folder `root`, one folder a device. For one thread; `pieces` opens files of its own."""

    def __init__(self, root: Path, limit_bytes: int) -> None:
        """Take stock.

        Raises:
            StationError: the folder cannot be used.
        """
        self._root = root
        self._limit_bytes = limit_bytes
        self._files: OrderedDict[tuple[bytes, int], _Kept] = OrderedDict()
        self._open: OrderedDict[tuple[bytes, int], int] = OrderedDict()
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._take_stock()
        except OSError as error:
            raise StationError(f"cannot keep live chunks in {root}: {error.strerror}") from None
        self.size_bytes = sum(kept.size_bytes for kept in self._files.values())

    def highest(self, device: bytes) -> int:
        """Return the highest segment of a device that is here; 0 for none."""
        return max((segment for owner, segment in self._files if owner == device), default=0)

    def add(self, device: bytes, segment: int, number: int, record: bytes, utc_ns: int) -> None:
        """Keep a record that was verified; one that is here already is not kept twice.

        Raises:
            StationError: the disk does not take it.
        """
        where = (device, segment)
        kept = self._files.get(where)
        if kept is not None and number in kept.numbers:
            return
        try:
            if kept is None:
                folder = self._root / device.hex()
                folder.mkdir(mode=0o700, exist_ok=True)
                kept = self._files[where] = _Kept(folder / f"{segment:010d}{_SUFFIX}", 0, set(), utc_ns)
            written = os.write(self._descriptor(where, kept.path), record)
            if written != len(record):
                self._drop(where)
                raise StationError(f"{kept.path}: the disk is full: live chunks are not kept")
        except OSError as error:
            self._drop(where)
            raise StationError(f"cannot keep live chunks in {self._root}: {error.strerror}") from None
        kept.numbers.add(number)
        kept.size_bytes += len(record)
        self.size_bytes += len(record)
        while self.size_bytes > self._limit_bytes and len(self._files) > 1:
            self._drop(next(iter(self._files)))

    def pieces(self, device: bytes, segment: int) -> tuple[Path, list[Piece]]:
        """Return the file and the records of a segment that are here, in order of number.

        They were verified when they came; whoever uses them verifies them again.
        """
        path = self._root / device.hex() / f"{segment:010d}{_SUFFIX}"
        found: dict[int, Piece] = {}
        try:
            with SegmentReader(path) as reader:
                for record in reader.records():
                    header = record.header
                    found.setdefault(header.chunk, Piece(header.chunk, record.offset, header.record_bytes))
        except (OSError, FormatError):
            pass  # what was read until here is here; the rest is fetched
        return path, sorted(found.values(), key=lambda piece: piece.number)

    def forget(self, device: bytes, segment: int) -> None:
        """Remove a segment: the custody store has it, or it is destroyed. Another process may have put it here."""
        self._drop((device, segment))
        (self._root / device.hex() / f"{segment:010d}{_SUFFIX}").unlink(missing_ok=True)

    def forget_older_than(self, utc_ns: int) -> list[tuple[bytes, int]]:
        """Remove what arrived before a time, by this station's clock, and return what that was."""
        old = [where for where, kept in self._files.items() if kept.arrived_utc_ns < utc_ns]
        for where in old:
            self._drop(where)
        return old

    def close(self) -> None:
        """Close the files. Idempotent."""
        while self._open:
            os.close(self._open.popitem()[1])

    def _descriptor(self, where: tuple[bytes, int], path: Path) -> int:
        fd = self._open.get(where)
        if fd is None:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            self._open[where] = fd
            if len(self._open) > _OPEN_FILES:
                os.close(self._open.popitem(last=False)[1])
        return fd

    def _drop(self, where: tuple[bytes, int]) -> None:
        kept = self._files.pop(where, None)
        fd = self._open.pop(where, None)
        if fd is not None:
            os.close(fd)
        if kept is not None:
            self.size_bytes -= kept.size_bytes
            kept.path.unlink(missing_ok=True)

    def _take_stock(self) -> None:
        """List what an earlier run kept; a torn last record, cut off by the end of that run, is cut away."""
        found = []
        for path in self._root.glob(f"*/*{_SUFFIX}"):
            match = _NAME.fullmatch(path.name)
            try:
                device = bytes.fromhex(path.parent.name)
            except ValueError:
                continue
            if match and len(device) == 16 and path.is_file() and not path.is_symlink():
                found.append((path.stat().st_mtime_ns, device, int(match[1]), path))
        for arrived_ns, device, segment, path in sorted(found):
            kept = _Kept(path, 0, arrived_utc_ns=arrived_ns)
            try:
                with SegmentReader(path) as reader:
                    for record in reader.records():
                        kept.numbers.add(record.header.chunk)
                        kept.size_bytes = record.offset + record.header.record_bytes
            except TornError:
                os.truncate(path, kept.size_bytes)
            except FormatError:
                path.unlink()
                continue
            if kept.numbers:
                self._files[device, segment] = kept
            else:
                path.unlink(missing_ok=True)
