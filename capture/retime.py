"""Moves chunks on the time line of their MP4: footage that was held before a recording begins near its time zero.

Only `tfdt` (ISO/IEC 14496-12, 8.8.12) and the sequence number in `mfhd` (8.8.5) change, by the same for all chunks.
The shift is a whole number of seconds, which every time scale can say exactly: sound and pictures keep together.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace

from capture.box_reader import inside
from capture.chunk import CmafChunk
from capture.errors import CaptureError


class Retimer:
    """Shifts the chunks of one recording so that the first begins less than a second after zero."""

    def __init__(self, init_segment: bytes) -> None:
        """Learn the tracks' time scales.

        Raises:
            CaptureError: no movie header with tracks in it.
        """
        self._scales = _timescales(init_segment)
        self._shift_s: int | None = None
        self._sequence = 0

    def __call__(self, chunk: CmafChunk) -> CmafChunk:
        """Return the chunk at its new time; the first one given sets the shift."""
        data = bytearray(chunk.data)
        places = list(_times(data))
        if self._shift_s is None:
            self._shift_s = min((time // self._scales[track] for track, _, time in places), default=0)
            self._sequence = _sequence(data) - 1
        for track, offset, time in places:
            struct.pack_into(">Q", data, offset, time - self._shift_s * self._scales[track])
        struct.pack_into(">I", data, _SEQUENCE_AT, _sequence(data) - self._sequence)
        return replace(chunk, data=bytes(data))


_SEQUENCE_AT = 8 + 8 + 4
"""In a chunk: after the heads of `moof` and `mfhd`, and the version of the latter."""


def _sequence(data: bytearray) -> int:
    (number,) = struct.unpack_from(">I", data, _SEQUENCE_AT)
    return int(number)


def _timescales(init: bytes) -> dict[int, int]:
    found: dict[int, int] = {}
    for low, high in inside(init, 0, len(init), b"moov", b"trak"):
        for head, _ in inside(init, low, high, b"tkhd"):
            for media, _ in inside(init, low, high, b"mdia", b"mdhd"):
                (track,) = struct.unpack_from(">I", init, head + 12)
                (scale,) = struct.unpack_from(">I", init, media + 12)
                found[track] = scale
    if not found:
        raise CaptureError("capture: the MP4's header has no track")
    return found


def _times(data: bytearray) -> Iterator[tuple[int, int, int]]:
    """Yield track, offset of the time, and time (`tfdt`, version 1) of each run in a chunk."""
    for low, high in inside(data, 0, len(data), b"moof", b"traf"):
        for head, _ in inside(data, low, high, b"tfhd"):
            for begin, _ in inside(data, low, high, b"tfdt"):
                (track,) = struct.unpack_from(">I", data, head + 4)
                (time,) = struct.unpack_from(">Q", data, begin + 4)
                yield track, begin + 4, time
