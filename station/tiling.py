"""Laying bars of time over one another so that each instant belongs to one of them. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from station.outline import NO_MEDIA, Coverage


class What(Enum):
    """What a device did for a while."""

    READY = "ready"
    """On, as signed chunks close to one another prove, and not recording."""
    RECORDING = "recording"
    """Media chunks, one after another."""
    GAP = "gap"
    """The device did not stop, and yet nothing is on record: no media within a recording, or no chunk at all."""
    OFF = "off"
    """Switched off in order, until the next boot."""
    UNPOWERED = "unpowered"
    """The chain stops without a closing for it, until the next boot: the power went, or the device was reset."""
    MISSING = "missing"
    """There were segments or chunks, and they are not there."""
    UNKNOWN = "unknown"
    """Neither can be told."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of one run of the monotonic clock, in nanoseconds."""

    start_ns: int
    end_ns: int
    what: What
    detail: str = ""
    segments: tuple[int, int] | None = None
    """The first and the last that it rests on."""
    recording: bytes | None = None
    coverage: Coverage = NO_MEDIA
    verified: bool = True


def tile(layers: Sequence[Iterable[Bar]]) -> list[Bar]:
    """Lay the first of `layers` on top of the second, and so on; return what is seen from above, in order of time.

    Within a layer the earlier bar hides the later one. Bars that touch and say the same are joined.
    """
    seen: list[Bar] = []
    for layer in layers:
        seen = sorted(seen + _outside(_flat(layer), seen), key=lambda bar: bar.start_ns)
    return _join(seen)


def _flat(bars: Iterable[Bar]) -> list[Bar]:
    """Return bars that do not overlap, in order, none of them empty."""
    flat: list[Bar] = []
    for bar in sorted(bars, key=lambda bar: bar.start_ns):
        start_ns = max(bar.start_ns, flat[-1].end_ns) if flat else bar.start_ns
        if bar.end_ns > start_ns:
            flat.append(replace(bar, start_ns=start_ns))
    return flat


def _outside(bars: list[Bar], above: list[Bar]) -> list[Bar]:
    """Return what of `bars` is not under `above`; neither overlaps itself, both are in order."""
    left: list[Bar] = []
    at = 0
    for bar in bars:
        rest = bar
        while at < len(above) and above[at].end_ns <= rest.start_ns:
            at += 1
        index = at
        while index < len(above) and above[index].start_ns < rest.end_ns:
            cover = above[index]
            if cover.start_ns > rest.start_ns:
                left.append(replace(rest, end_ns=cover.start_ns))
                rest = replace(rest, coverage=NO_MEDIA)  # counted once
            rest = replace(rest, start_ns=min(cover.end_ns, rest.end_ns))
            index += 1
        if rest.end_ns > rest.start_ns:
            left.append(rest)
    return left


def _join(bars: list[Bar]) -> list[Bar]:
    joined: list[Bar] = []
    for bar in bars:
        last = joined[-1] if joined else None
        if last is None or last.end_ns != bar.start_ns or _sense(last) != _sense(bar):
            joined.append(bar)
            continue
        joined[-1] = replace(
            last,
            end_ns=bar.end_ns,
            coverage=last.coverage.plus(bar.coverage),
            segments=_range(last.segments, bar.segments),
        )
    return joined


def _sense(bar: Bar) -> tuple[What, str, bytes | None, bool]:
    return bar.what, bar.detail, bar.recording, bar.verified


def _range(one: tuple[int, int] | None, other: tuple[int, int] | None) -> tuple[int, int] | None:
    if one is None or other is None:
        return one or other
    return min(one[0], other[0]), max(one[1], other[1])
