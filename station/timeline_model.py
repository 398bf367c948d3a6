"""What a timeline is made of, and what it is made from. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from station.event_digest import PrivateSpan, Purpose
from station.moments import Moment
from station.outline import NO_MEDIA, Coverage, Outline
from station.tiling import What
from storage.events import Event
from storage.segment_report import Status

JOURNAL = bytes(16)


@dataclass(frozen=True, slots=True)
class Story:
    """What the verifier and the headers say of one segment."""

    number: int
    boot: bytes
    recording: bytes
    """Zeros in a journal."""
    status: Status
    reason: str | None
    """Why it was closed."""
    outline: Outline
    error: str | None = None
    follows: bool = True
    """It follows the segment before it, where that one is there."""
    lost_chunks: int = 0
    """How many chunks the next segment knows of that this one has not."""
    destroyed_before: tuple[int, ...] = ()
    """Those of the segments just before it that are gone and left a stub."""
    destructions: tuple[tuple[int, str], ...] = ()
    """What it puts on record as destroyed: monotonic time in ns, and a line of text."""
    forked: bool = False
    """Another segment of this number is there, and differs."""

    @property
    def verified(self) -> bool:
        """Whether its place in the chain is beyond doubt; its own sound chunks are in any case."""
        return self.follows and not self.forked

    @property
    def is_media(self) -> bool:
        """Whether it is part of a recording."""
        return self.recording != JOURNAL


@dataclass(frozen=True, slots=True)
class OpenedChunk:
    """What a chunk of events turned out to hold."""

    segment: int
    piece: int
    """In the segment's outline."""
    time_ns: int
    """Monotonic, of the chunk."""
    events: tuple[Event, ...] = ()
    error: str = ""
    """Why its events are not here."""


class Measure(Enum):
    """What a duration was measured with."""

    MONOTONIC = "monotonic clock"
    WALL = "wall clock"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time and what the device did."""

    what: What
    start: Moment | None
    """None where it is not known when it began."""
    end: Moment | None
    duration_ns: int | None
    measure: Measure
    detail: str = ""
    segments: tuple[int, int] | None = None
    recording: bytes | None = None
    coverage: Coverage = NO_MEDIA
    verified: bool = True


class Kind(Enum):
    """What an entry is about."""

    BOOT = "boot"
    CLOCK = "clock"
    ENDED = "ended"
    """A recording was closed."""
    LOST = "lost"
    """Media that the device itself says was lost."""
    LIGHT = "light"
    """The recording light did not cover footage."""
    STOPPED = "stopped"
    """How a segment ended that was not closed and followed in order."""
    DESTROYED = "destroyed"
    """The device put on record that it destroys a segment."""
    EVENT = "event"
    """From the encrypted journal."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Something at an instant."""

    kind: Kind
    at: Moment
    detail: str
    segment: int
    event: Event | None = None
    verified: bool = True


@dataclass(frozen=True, slots=True)
class Timeline:
    """All of it."""

    bound_ns: int
    """Chunks of a journal that are no further apart prove that the device was on between them."""
    boots: tuple[bytes, ...]
    """The boot id of each run."""
    lines: tuple[Span | Entry, ...]
    """Spans and entries in order."""
    opened: bool
    """Events were decrypted."""
    sealed_chunks: int
    """How many chunks of events there are."""
    private: tuple[PrivateSpan, ...] = ()
    purposes: tuple[Purpose, ...] = ()

    @property
    def spans(self) -> tuple[Span, ...]:
        """The spans alone."""
        return tuple(line for line in self.lines if isinstance(line, Span))

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The entries alone."""
        return tuple(line for line in self.lines if isinstance(line, Entry))

    def total_ns(self, what: What) -> int:
        """Return how long the device verifiably did so, as far as durations are known."""
        return sum(span.duration_ns or 0 for span in self.spans if span.what is what and span.verified)

    @property
    def not_verified_ns(self) -> int:
        """How long the spans are that are not counted in any total."""
        return sum(span.duration_ns or 0 for span in self.spans if not span.verified)

    @property
    def unmeasured(self) -> int:
        """How many spans have no known duration."""
        return sum(span.duration_ns is None for span in self.spans)
