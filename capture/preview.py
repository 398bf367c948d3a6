"""A chunk of a recording, thinned to what a narrow uplink can carry: its sound, and its key picture if it has one.

It stands on the same time line and needs the same header (ISO/IEC 14496-12), so that previews and the recording itself
can follow on one another in a player.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from capture.box_reader import inside
from capture.chunk import CmafChunk
from capture.fmp4 import AUDIO_TRACK, VIDEO_TIMESCALE, VIDEO_TRACK, Run, Sample, fragment

_SAMPLE_FLAGS = 0x400


@dataclass(frozen=True, slots=True)
class _Read:
    """A run as it stands in a chunk: duration and bytes of each sample."""

    track: int
    time: int
    samples: list[tuple[int, memoryview]]


def thin(chunk: CmafChunk, key_interval_ns: int) -> bytes | None:
    """Return the fragment to send in the place of `chunk`, or None where nothing of it is sent.

    A key picture is given the time until the next one is expected, `key_interval_ns`.

    Raises:
        CaptureError: the chunk is not as this project's muxer writes it.
    """
    runs = []
    for run in _runs(chunk.data):
        if run.track == VIDEO_TRACK and chunk.key and run.samples:
            duration = max(1, key_interval_ns * VIDEO_TIMESCALE // 1_000_000_000)
            picture = run.samples[0][1]
            runs.append(Run(VIDEO_TRACK, run.time, [Sample([picture], len(picture), duration, True)]))
        elif run.track == AUDIO_TRACK and run.samples:
            samples = [Sample([data], len(data), duration, True) for duration, data in run.samples]
            runs.append(Run(AUDIO_TRACK, run.time, samples))
    return fragment(_sequence(chunk.data), runs) if runs else None


def _sequence(data: bytes) -> int:
    for low, _ in inside(data, 0, len(data), b"moof", b"mfhd"):
        return int(struct.unpack_from(">I", data, low + 4)[0])
    return 1


def _runs(data: bytes) -> Iterator[_Read]:
    view = memoryview(data)
    for low, high in inside(data, 0, len(data), b"moof", b"traf"):
        ((head, _),) = inside(data, low, high, b"tfhd")
        ((time, _),) = inside(data, low, high, b"tfdt")
        ((run, _),) = inside(data, low, high, b"trun")
        (track,) = struct.unpack_from(">I", data, head + 4)
        (start,) = struct.unpack_from(">Q", data, time + 4)
        flags, count, offset = struct.unpack_from(">IIi", data, run)
        words = 3 if flags & _SAMPLE_FLAGS else 2
        samples = []
        for number in range(count):
            duration, size = struct.unpack_from(">II", data, run + 12 + 4 * words * number)
            samples.append((duration, view[offset : offset + size]))
            offset += size
        yield _Read(track, start, samples)
