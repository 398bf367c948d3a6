"""Reading a segment file record by record, in memory bounded by the format's largest record."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import NamedTuple

from storage.errors import ForeignError, FormatError
from storage.layout import HEADER_BYTES, SIGNATURE_BYTES, Header, parse_header

_INITIAL_BYTES = 1024 * 1024


class TornError(FormatError):
    """The file ends inside a record: the recorder was cut off there."""

    def __init__(self, offset: int, left_bytes: int) -> None:
        super().__init__(f"the file ends inside a record: {left_bytes} bytes are left at offset {offset}")
        self.offset = offset
        self.left_bytes = left_bytes


class Record(NamedTuple):
    """One record as it stands in the file. `head` and `body` are valid until the next record is read."""

    header: Header
    offset: int
    head: memoryview
    body: memoryview
    signature: bytes

    def body_digest(self) -> bytes:
        """Return the SHA-256 of the body."""
        return hashlib.sha256(self.body).digest()


class SegmentReader:
    """Reads the records of one file in order. A context manager; not thread-safe."""

    def __init__(self, path: Path) -> None:
        # The opener, so that a refused file (a folder, say) is closed again; no link is followed, no pipe waited for.
        self._file = FileIO(path, "r", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK))
        self._buffer = memoryview(bytearray(_INITIAL_BYTES))

    def __enter__(self) -> SegmentReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._file.close()

    def records(self) -> Iterator[Record]:
        """Yield every whole record from the beginning of the file.

        Raises:
            TornError: the file ends inside a record.
            FormatError: something that is not a record begins where one should.
            OSError: the file cannot be read.
        """
        offset = 0
        self._file.seek(0)
        while True:
            got = self._fill(0, HEADER_BYTES)
            if not got:
                return
            if got < HEADER_BYTES:
                self._refuse_foreign(got)
                raise TornError(offset, got)
            header = parse_header(self._buffer[:HEADER_BYTES])
            length = header.record_bytes
            if length > len(self._buffer):
                self._grow(length, offset)
            got += self._fill(HEADER_BYTES, length)
            if got < length:
                raise TornError(offset, got)
            head = HEADER_BYTES + header.particulars_bytes
            end = length - SIGNATURE_BYTES
            view = self._buffer
            yield Record(header, offset, view[:head], view[head:end], bytes(view[end:length]))
            offset += length

    def at(self, offset: int, length: int) -> memoryview:
        """Read `length` bytes at `offset`; valid until the next read.

        Raises:
            FormatError: the file has become shorter.
            OSError: the file cannot be read.
        """
        if length > len(self._buffer):
            self._buffer = memoryview(bytearray(length))
        self._file.seek(offset)
        if self._fill(0, length) < length:
            raise FormatError(f"the file changed while it was read: no {length} bytes at offset {offset}")
        return self._buffer[:length]

    def _fill(self, start: int, end: int) -> int:
        at = start
        while at < end:
            count = self._file.readinto(self._buffer[at:end])
            if not count:
                break
            at += count
        return at - start

    def _grow(self, length: int, offset: int) -> None:
        """Make room for a record, but not for one that the file cannot hold: a lying length costs nothing."""
        if os.fstat(self._file.fileno()).st_size - offset < length:
            raise TornError(offset, max(0, os.fstat(self._file.fileno()).st_size - offset))
        old = self._buffer
        self._buffer = memoryview(bytearray(length))
        self._buffer[:HEADER_BYTES] = old[:HEADER_BYTES]

    def _refuse_foreign(self, got: int) -> None:
        """A short rest is a torn record only if it begins like one."""
        start = bytes(self._buffer[: min(got, 4)])
        if not b"GTG1".startswith(start):
            raise ForeignError("no chunk begins here (wrong magic)")
