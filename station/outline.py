"""One verified segment in outline: what its headers say about time, media, light and clock. No I/O.

Made in the same reading that verified the segment, and small: a minute of footage has some two hundred chunks, its
outline a handful of numbers. An eight-hour shift of sixty-second segments is five hundred outlines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from storage.check import CheckedChunk
from storage.layout import UNKNOWN_UNCERTAINTY_MS, ClockSource, Flags, Header, Kind, Light, Stamp
from storage.particulars import Gap

JOIN_NS = 100_000_000
"""Media chunks no further apart than this follow one another (docs/FORMAT.md, "Verifying a store")."""
BACK_NS = 60_000_000_000
"""How far a chunk may begin before the one before it: an event is stamped when it is written, a picture when it was
taken, and it may have waited. What goes further back contradicts what came before."""
CLOCK_STEP_NS = 250_000_000
"""The wall clock was set where it moves by more than this against the monotonic clock."""


class ClockPoint(NamedTuple):
    """Both clocks at one instant, and how good the wall clock is."""

    monotonic_ns: int
    utc_ns: int
    source: ClockSource
    uncertainty_ms: int

    @property
    def offset_ns(self) -> int:
        """What to add to the monotonic clock to get the wall clock."""
        return self.utc_ns - self.monotonic_ns

    @property
    def rank(self) -> tuple[int, bool]:
        """The lower, the more the wall clock is worth."""
        return self.uncertainty_ms, self.source is ClockSource.NONE


_NO_POINT = ClockPoint(0, 0, ClockSource.NONE, UNKNOWN_UNCERTAINTY_MS)


class Coverage(NamedTuple):
    """How many media chunks there are, and what was on throughout each."""

    chunks: int = 0
    lit: int = 0
    """The recording light commanded lit, and sensed lit or not sensed at all."""
    sensed: int = 0
    """Those of them with the light sensed lit."""
    sound: int = 0
    held: int = 0
    """Of a pre-event buffer; they count in neither of the light's figures."""

    @property
    def announced(self) -> int:
        """Those that the recording light answers for."""
        return self.chunks - self.held

    def plus(self, other: Coverage) -> Coverage:
        """Add up."""
        return Coverage(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


NO_MEDIA = Coverage()


@dataclass(slots=True)
class Take:
    """Media chunks that follow one another. Monotonic nanoseconds."""

    start_ns: int
    end_ns: int
    chunks: int = 0
    lit: int = 0
    sensed: int = 0
    sound: int = 0
    held: int = 0

    @property
    def coverage(self) -> Coverage:
        """What was on throughout."""
        return Coverage(self.chunks, self.lit, self.sensed, self.sound, self.held)


@dataclass(slots=True)
class Unlit:
    """Media chunks, one after another, that the light did not cover, all in the same way."""

    start_ns: int
    end_ns: int
    commanded: Light
    sensed: Light


@dataclass(slots=True)
class Piece:
    """Chunks whose times do not contradict one another: nearly always all those of a segment."""

    alive: list[list[int]] = field(default_factory=list)
    """``[start, end]`` of chunks that are no further apart than the bound; monotonic nanoseconds."""
    takes: list[Take] = field(default_factory=list)
    unlit: list[Unlit] = field(default_factory=list)
    clock: list[ClockPoint] = field(default_factory=list)
    """The first, and each that follows a step of the clock or a change of its source."""
    first_best: ClockPoint = _NO_POINT
    last_best: ClockPoint = _NO_POINT
    """Where the wall clock is worth most: of equals the first, and the last."""
    gaps: list[Gap] = field(default_factory=list)

    @property
    def low_ns(self) -> int:
        """When it begins."""
        return min(start for start, _ in self.alive)

    @property
    def high_ns(self) -> int:
        """When it ends."""
        return max(end for _, end in self.alive)


class EventsChunk(NamedTuple):
    """Where a chunk of events stands, to be opened later."""

    piece: int
    offset: int
    header: Header


@dataclass(frozen=True, slots=True)
class Outline:
    """A segment in outline."""

    pieces: tuple[Piece, ...]
    events: tuple[EventsChunk, ...]


def outline(chunks: Sequence[CheckedChunk], bound_ns: int) -> Outline:
    """Draw the outline of the sound chunks of one segment; those of a live device are at most `bound_ns` apart."""
    pieces: list[Piece] = []
    events: list[EventsChunk] = []
    for header, offset, _tip, gaps in chunks:
        stamp = header.stamp
        start_ns, end_ns = stamp.monotonic_ns, stamp.monotonic_ns + stamp.duration_ns
        if not pieces or start_ns < pieces[-1].alive[-1][1] - BACK_NS:
            pieces.append(Piece([[start_ns, end_ns]]))
        piece = pieces[-1]
        last = piece.alive[-1]
        if start_ns > last[1] + bound_ns:
            piece.alive.append([start_ns, end_ns])
        else:
            last[0], last[1] = min(last[0], start_ns), max(last[1], end_ns)
        _watch_clock(piece, stamp)
        if header.kind == Kind.MEDIA:
            _add_media(piece, header, start_ns, end_ns)
        elif header.kind == Kind.EVENTS:
            events.append(EventsChunk(len(pieces) - 1, offset, header))
        piece.gaps.extend(gaps)
    return Outline(tuple(pieces), tuple(events))


def _watch_clock(piece: Piece, stamp: Stamp) -> None:
    point = ClockPoint(stamp.monotonic_ns, stamp.utc_ns, stamp.clock_source, stamp.clock_uncertainty_ms)
    if not piece.clock:
        piece.clock, piece.first_best, piece.last_best = [point], point, point
        return
    if moved(piece.clock[-1], point):
        piece.clock.append(point)
    if point.rank < piece.first_best.rank:
        piece.first_best = point
    if point.rank <= piece.last_best.rank:
        piece.last_best = point


def moved(before: ClockPoint, after: ClockPoint) -> bool:
    """Whether the wall clock was set between two instants, or what keeps it has changed."""
    return before.source is not after.source or abs(after.offset_ns - before.offset_ns) > CLOCK_STEP_NS


def _add_media(piece: Piece, header: Header, start_ns: int, end_ns: int) -> None:
    if not piece.takes or start_ns > piece.takes[-1].end_ns + JOIN_NS:
        piece.takes.append(Take(start_ns, end_ns))
    take = piece.takes[-1]
    take.start_ns, take.end_ns = min(take.start_ns, start_ns), max(take.end_ns, end_ns)
    commanded, sensed = header.stamp.commanded, header.stamp.sensed
    take.chunks += 1
    take.sound += bool(header.flags & Flags.SOUND)
    if header.flags & Flags.PRE_EVENT:
        take.held += 1
        return
    if commanded is Light.LIT and sensed in (Light.LIT, Light.UNSENSED):
        take.lit += 1
        take.sensed += sensed is Light.LIT
        return
    last = piece.unlit[-1] if piece.unlit else None
    if last and (last.commanded, last.sensed) == (commanded, sensed) and 0 <= start_ns - last.end_ns <= JOIN_NS:
        last.end_ns = max(end_ns, last.end_ns)
    else:
        piece.unlit.append(Unlit(start_ns, end_ns, commanded, sensed))
