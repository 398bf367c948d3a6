"""Reading boxes of an MP4 (ISO/IEC 14496-12, 4.2) that this project's own muxer wrote."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from capture.errors import CaptureError

_BOX = struct.Struct(">I4s")


def boxes(data: bytes | bytearray, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, and begin and end of the contents, of the boxes in a part of `data`.

    Raises:
        CaptureError: a box is longer than what holds it.
    """
    while start + 8 <= end:
        size, kind = _BOX.unpack_from(data, start)
        if size < 8 or start + size > end:
            raise CaptureError("capture: a box of the MP4 is longer than what holds it")
        yield kind, start + 8, start + size
        start += size


def inside(data: bytes | bytearray, start: int, end: int, *path: bytes) -> Iterator[tuple[int, int]]:
    """Yield begin and end of the contents of every box at `path`. Errors as in `boxes`."""
    for kind, low, high in boxes(data, start, end):
        if kind == path[0]:
            if len(path) == 1:
                yield low, high
            else:
                yield from inside(data, low, high, *path[1:])
