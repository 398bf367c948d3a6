"""Brings one segment here: what live view left on the shelf, the rest from the device, from where it broke off."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from station.custody.intake import Received
from station.dock.client import DeviceClient, Listed
from station.dock.errors import DeviceLiesError
from station.dock.sink import SegmentSink
from station.dock.stream_check import StreamCheck
from station.errors import StationError
from station.live.shelf import Piece
from storage.errors import FormatError
from storage.layout import HEADER_BYTES, parse_header

_BLOCK_BYTES = 1024 * 1024
_SPARE_BYTES = 64 * 1024 * 1024
"""Of the station's disk, which something else may need."""


class Shelf(Protocol):
    """What live view has left here: `station.live.shelf.LiveShelf`."""

    def pieces(self, device: bytes, segment: int) -> tuple[Path, list[Piece]]:
        """Return the file and its records, in order of number."""
        ...


class Fetcher:
    """Fetches the segments of one device into `folder`, one after another."""

    def __init__(
        self,
        client: DeviceClient,
        identity: bytes,
        folder: Path,
        shelf: Shelf | None,
        progress: Callable[[int], None],
    ) -> None:
        """`progress` gets counts of bytes that have arrived."""
        self._client = client
        self._identity = identity
        self._folder = folder / client.device.hex()
        self._shelf = shelf
        self._progress = progress
        self.from_shelf_bytes = 0
        self.resumed_bytes = 0

    def fetch(self, item: Listed, *, threads: bool = True) -> Received:
        """Return the whole segment, in a file, verified while it came.

        Raises:
            DeviceGoneError: in the middle; what has come is kept, and the next call goes on there.
            DeviceLiesError: it is not what the device listed, or no sound segment of it; nothing of it is kept.
            StationError: this station's disk does not take it.
        """
        path = self._folder / f"{item.number:010d}.part"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            free = shutil.disk_usage(self._folder).free
            if free < item.size_bytes + _SPARE_BYTES:
                raise StationError(f"this station's disk is full: {self._folder} has no room for segment {item.number}")
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise StationError(f"this station cannot keep what arrives in {self._folder}: {error.strerror}") from None
        try:
            try:
                checked = self._fill(fd, path, item, use_shelf=True, threads=threads)
            except FormatError:
                # What was kept from an earlier time, or by live view, may be what does not fit: all anew, once.
                self._client.reconnect()
                os.ftruncate(fd, 0)
                checked = self._fill(fd, path, item, use_shelf=False, threads=threads)
        except FormatError as error:
            os.ftruncate(fd, 0)
            path.unlink(missing_ok=True)
            raise DeviceLiesError(f"segment {item.number}: {error}") from None
        except OSError as error:
            raise StationError(f"this station cannot keep what arrives in {path}: {error.strerror}") from None
        finally:
            os.close(fd)
        return checked

    def _fill(self, fd: int, path: Path, item: Listed, *, use_shelf: bool, threads: bool) -> Received:
        check = StreamCheck(self._identity, item.number)
        with SegmentSink(fd, check, threads=threads) as sink:
            self._take_up(fd, sink, item)
            shelved, pieces = self._pieces(item.number) if use_shelf else (Path(), {})
            while sink.size_bytes < item.size_bytes:
                sink.drain()
                piece = pieces.get(check.next_chunk) if check.at_boundary else None
                if piece is not None and sink.size_bytes + piece.size_bytes <= item.size_bytes:
                    self._copy(sink, shelved, piece)
                else:
                    self._read(check, sink, item, pieces)
            digest = sink.finish()
            report = check.finish(path)
            if digest != item.digest:
                raise FormatError("it is not what the device listed: another digest")
        return Received(path, report, item.digest)

    def _take_up(self, fd: int, sink: SegmentSink, item: Listed) -> None:
        """Check what an earlier time has left."""
        if os.fstat(fd).st_size > item.size_bytes:
            os.ftruncate(fd, 0)
        while block := os.pread(fd, _BLOCK_BYTES, sink.size_bytes):
            sink.seen(block)
        self.resumed_bytes += sink.size_bytes
        self._progress(sink.size_bytes)

    def _pieces(self, number: int) -> tuple[Path, dict[int, Piece]]:
        if self._shelf is None:
            return Path(), {}
        path, pieces = self._shelf.pieces(self._client.device, number)
        return path, {piece.number: piece for piece in pieces}

    def _copy(self, sink: SegmentSink, path: Path, piece: Piece) -> None:
        try:
            with path.open("rb") as file:
                file.seek(piece.offset)
                record = file.read(piece.size_bytes)
        except OSError:
            record = b""
        if len(record) != piece.size_bytes:
            raise FormatError("what live view kept is gone")
        sink.put(record)
        self.from_shelf_bytes += len(record)
        self._progress(len(record))

    def _read(self, check: StreamCheck, sink: SegmentSink, item: Listed, pieces: dict[int, Piece]) -> None:
        """Read from the device up to what is on the shelf again, or to the end."""
        at = sink.size_bytes
        later = any(number > check.next_chunk for number in pieces)
        end = item.size_bytes
        if later and check.at_boundary:
            # One record: how long it is, it says itself.
            head = bytearray()
            for block in self._client.read(item.number, at, min(at + HEADER_BYTES, end), item.size_bytes):
                head += block
            end = min(end, at + parse_header(bytes(head)).record_bytes)
        for block in self._client.read(item.number, at, end, item.size_bytes):
            sink.put(block)
            self._progress(len(block))
            if later:
                sink.drain()
                if check.at_boundary and check.next_chunk in pieces:
                    break
        if sink.size_bytes < end:
            self._client.reconnect()
