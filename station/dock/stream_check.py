"""Checks a segment while its bytes arrive: nobody waits for the end to learn that it is another's.

Bodies are hashed where they lie and not kept, so that nothing is copied and memory does not grow with a record.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from storage.check import SegmentCheck
from storage.errors import FormatError
from storage.layout import HEADER_BYTES, SIGNATURE_BYTES, Header, parse_header
from storage.segment_report import SegmentReport, conclude


class StreamCheck:
    """Fed the bytes of one segment in order."""

    def __init__(self, identity: bytes, number: int) -> None:
        """`identity` is the device's raw public key, `number` the segment's."""
        self._check = SegmentCheck(identity)
        self._number = number
        self._header: Header | None = None
        self._head = bytearray()
        """Header and particulars of the record that arrives."""
        self._head_bytes = HEADER_BYTES
        self._body_left = 0
        self._body = hashlib.sha256()
        self._signature = bytearray()
        self._offset = 0
        self.size_bytes = 0

    def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes.

        Raises:
            FormatError: they break a rule of the format.
        """
        view = memoryview(data)
        self.size_bytes += len(view)
        while view:
            if len(self._head) < self._head_bytes:
                view = _fill(self._head, view, self._head_bytes)
                self._know_head()
            elif self._body_left:
                part = view[: self._body_left]
                self._body.update(part)
                self._body_left -= len(part)
                view = view[len(part) :]
            else:
                view = _fill(self._signature, view, SIGNATURE_BYTES)
                if len(self._signature) == SIGNATURE_BYTES:
                    self._record()

    @property
    def next_chunk(self) -> int:
        """The number of the chunk that comes next, where the last one is whole."""
        return len(self._check.chunks)

    @property
    def at_boundary(self) -> bool:
        """No record is cut in the middle here."""
        return not self._head

    def finish(self, path: Path) -> SegmentReport:
        """Check what only the end can tell, and return the report on what arrived, for the file `path`.

        Raises:
            FormatError: it is torn, or a signature is not good.
        """
        if self._head:
            raise FormatError("it ends inside a record")
        if not self._check.chunks or self._check.sound() != len(self._check.chunks):
            raise FormatError("a signature in it is not good")
        return conclude(path, self._check, None, 0)

    def _know_head(self) -> None:
        """See what the head says, as soon as it says it."""
        if self._header is None and len(self._head) == HEADER_BYTES:
            header = self._header = parse_header(bytes(self._head))
            if header.place.segment != self._number:
                raise FormatError(f"it says that it is segment {header.place.segment}")
            self._head_bytes = HEADER_BYTES + header.particulars_bytes
            self._body_left = header.body_bytes
            self._body = hashlib.sha256()

    def _record(self) -> None:
        header = self._header
        if header is None:
            raise FormatError("no header was read")
        self._check.add(header, bytes(self._head), self._body.digest(), bytes(self._signature), self._offset)
        self._offset += header.record_bytes
        self._header, self._head_bytes = None, HEADER_BYTES
        self._head.clear()
        self._signature.clear()


def _fill(target: bytearray, view: memoryview, size: int) -> memoryview:
    """Move bytes to `target` until it has `size`; return the rest."""
    wanted = size - len(target)
    target += view[:wanted]
    return view[wanted:]
