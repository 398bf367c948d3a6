"""Checks a segment while its bytes arrive: nobody waits for the end to learn that it is another's."""

from __future__ import annotations

import hashlib

from storage.check import SegmentCheck
from storage.errors import FormatError
from storage.layout import HEADER_BYTES, SIGNATURE_BYTES, Header, parse_header


class StreamCheck:
    """Fed the bytes of one segment in order. Memory is bounded by the format's largest record."""

    def __init__(self, identity: bytes, number: int) -> None:
        """`identity` is the device's raw public key, `number` the segment's."""
        self._check = SegmentCheck(identity)
        self._number = number
        self._digest = hashlib.sha256()
        self._rest = bytearray()
        self._header: Header | None = None
        self.size_bytes = 0

    def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes.

        Raises:
            FormatError: they break a rule of the format.
        """
        self._digest.update(data)
        self.size_bytes += len(data)
        self._rest += data
        view = memoryview(self._rest)
        at = 0
        try:
            while (length := self._length(view[at:])) is not None and len(view) - at >= length:
                self._record(view[at : at + length])
                at += length
        finally:
            view.release()
        del self._rest[:at]

    @property
    def next_chunk(self) -> int:
        """The number of the chunk that comes next, where the last one is whole."""
        return len(self._check.chunks)

    @property
    def at_boundary(self) -> bool:
        """No record is cut in the middle here."""
        return not self._rest

    @property
    def digest(self) -> bytes:
        """SHA-256 of all that was fed."""
        return self._digest.digest()

    def finish(self) -> None:
        """Check what only the end can tell.

        Raises:
            FormatError: it is torn, or a signature is not good.
        """
        if self._rest:
            raise FormatError(f"it ends inside a record: {len(self._rest)} bytes are left")
        if not self._check.chunks or self._check.sound() != len(self._check.chunks):
            raise FormatError("a signature in it is not good")

    def _length(self, view: memoryview) -> int | None:
        if self._header is None:
            if len(view) < HEADER_BYTES:
                return None
            self._header = parse_header(view[:HEADER_BYTES])
            if self._header.place.segment != self._number:
                raise FormatError(f"it says that it is segment {self._header.place.segment}")
        return self._header.record_bytes

    def _record(self, record: memoryview) -> None:
        header = self._header
        if header is None:
            raise FormatError("no header was read")
        self._header = None
        start, end = HEADER_BYTES + header.particulars_bytes, len(record) - SIGNATURE_BYTES
        digest = hashlib.sha256(record[start:end]).digest()
        self._check.add(header, bytes(record[:start]), digest, bytes(record[end:]), 0)
