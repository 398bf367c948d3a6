"""Takes fragmented MP4 apart, as far as the tests look into it. Written from the standard, not from the muxer."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"mvex", b"moof", b"traf", b"dinf"}


@dataclass(frozen=True, slots=True)
class Run:
    """One `traf`."""

    track: int
    time: int
    durations: list[int]
    sizes: list[int]
    flags: list[int]
    """Empty where the track's default holds."""
    data: list[bytes]

    @property
    def end(self) -> int:
        return self.time + sum(self.durations)


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end of the contents of each box in `data[start:end]`; containers are entered."""
    end = len(data) if end is None else end
    while start < end:
        size, kind = struct.unpack_from(">I4s", data, start)
        assert 8 <= size <= end - start, f"{kind!r} of {size} bytes where {end - start} are left"
        yield kind, start + 8, start + size
        if kind in _CONTAINERS:
            yield from boxes(data, start + 8, start + size)
        start += size
    assert start == end


def kinds(data: bytes) -> list[str]:
    return [kind.decode() for kind, _, _ in boxes(data)]


def contents(data: bytes, wanted: bytes) -> bytes:
    """The contents of the only box of that type."""
    (found,) = [data[start:end] for kind, start, end in boxes(data) if kind == wanted]
    return found


def runs(chunk: bytes) -> list[Run]:
    """The runs of one `moof` + `mdat`."""
    top = [(kind, start, end) for kind, start, end in boxes(chunk) if kind in (b"moof", b"mdat")]
    assert [kind for kind, _, _ in top] == [b"moof", b"mdat"]
    _, mdat_start, mdat_end = top[1]
    assert mdat_end == len(chunk)
    found = []
    track = time = -1
    expected = mdat_start
    for kind, start, _ in boxes(chunk):
        if kind == b"tfhd":
            flags, track = struct.unpack_from(">II", chunk, start)
            assert flags == 0x020000
        elif kind == b"tfdt":
            assert chunk[start] == 1
            (time,) = struct.unpack_from(">Q", chunk, start + 4)
        elif kind == b"trun":
            flags, count, offset = struct.unpack_from(">IIi", chunk, start)
            assert flags & 0x301 == 0x301
            fields = 3 if flags & 0x400 else 2
            table = struct.unpack_from(f">{fields * count}I", chunk, start + 12)
            sizes = list(table[1::fields])
            assert offset == expected, "samples do not stand one after another in the mdat"
            data = []
            for size in sizes:
                data.append(chunk[expected : expected + size])
                expected += size
            found.append(Run(track, time, list(table[::fields]), sizes, list(table[2::3]) if fields == 3 else [], data))
    assert expected == mdat_end
    return found
