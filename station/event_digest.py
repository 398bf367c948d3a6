"""What decrypted events amount to: private premises and purposes (docs/FORMAT.md, "Events"). No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from station.moments import Moment
from storage.events import Detail, Event

JOURNAL = bytes(16)
Extent = tuple[int, int]


@dataclass(frozen=True, slots=True)
class PlacedEvent:
    """An event where it stands in the chain."""

    run: int
    time_ns: int
    """Monotonic, in that run."""
    event: Event
    recording: bytes
    """Of the segment that it stands in; zeros in a journal."""
    verified: bool


@dataclass(frozen=True, slots=True)
class PrivateSpan:
    """A time for which the wearer said that they were on private premises."""

    start: Moment
    end: Moment
    recording: bytes | None
    """That which was under way, or followed."""
    ended_by: str
    """``wearer``, ``recording`` or ``run``: whichever ended first."""
    verified: bool

    @property
    def duration_ns(self) -> int:
        """How long it was, by the monotonic clock."""
        return self.end.monotonic_ns - self.start.monotonic_ns


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a recording was made for, by its wearer's choice."""

    recording: bytes
    purpose: str | None
    """None while it is unclassified."""
    verified: bool = True


def private_spans(
    events: Sequence[PlacedEvent],
    extents: Sequence[Mapping[bytes, Extent]],
    ends_ns: Sequence[Sequence[int]],
    locate: Callable[[int, int], Moment],
) -> Iterator[PrivateSpan]:
    """Pair the beginnings and ends of private premises.

    Args:
        events: In the order of the chain.
        extents: For each run, when each recording in it began and ended.
        ends_ns: For each run, when it was interrupted, and when it ended.
        locate: Makes an instant of a run and a monotonic time.
    """
    begun: PlacedEvent | None = None
    for item in events:
        if item.event.name != "private":
            continue
        if begun is not None and begun.run != item.run:
            yield _private(begun, None, extents, ends_ns, locate)
            begun = None
        if item.event.details.get("on") is True:
            begun = begun or item
        elif begun is not None:
            yield _private(begun, item, extents, ends_ns, locate)
            begun = None
    if begun is not None:
        yield _private(begun, None, extents, ends_ns, locate)


def _private(
    begun: PlacedEvent,
    ended: PlacedEvent | None,
    extents: Sequence[Mapping[bytes, Extent]],
    ends_ns: Sequence[Sequence[int]],
    locate: Callable[[int, int], Moment],
) -> PrivateSpan:
    here = extents[begun.run]
    run_end_ns = next((end_ns for end_ns in ends_ns[begun.run] if end_ns > begun.time_ns), begun.time_ns)
    recording = begun.recording if begun.recording in here else None
    if recording is None:
        # Said while the light was being confirmed: it is about the recording that followed.
        later = [(low_ns, key) for key, (low_ns, high_ns) in here.items() if high_ns > begun.time_ns]
        recording = min(later)[1] if later and min(later)[0] < run_end_ns else None
    ends = [(run_end_ns, "run")]
    if recording is not None:
        ends.append((max(here[recording][1], begun.time_ns), "recording"))
    if ended is not None:
        ends.append((max(ended.time_ns, begun.time_ns), "wearer"))
    end_ns, ended_by = min(ends)
    verified = begun.verified and (ended is None or ended.verified)
    start, end = locate(begun.run, begun.time_ns), locate(begun.run, end_ns)
    return PrivateSpan(start, end, recording, ended_by, verified)


def purposes(events: Sequence[PlacedEvent], recordings: Sequence[tuple[bytes, Extent, int]]) -> Iterator[Purpose]:
    """Yield the purpose of each recording; where it was chosen more than once, the last choice.

    Args:
        events: In the order of the chain.
        recordings: The id, extent and run of each, in the order of the chain.
    """
    chosen: dict[bytes, tuple[str | None, bool]] = {}
    for item in events:
        if item.event.name == "purpose":
            recording = _about(item, recordings)
            if recording is not None:
                value = item.event.details.get("purpose")
                chosen[recording] = (None if value is None else _plain(value), item.verified)
    for recording in dict.fromkeys(key for key, _, _ in recordings):
        yield Purpose(recording, *chosen.get(recording, (None, True)))


def _about(item: PlacedEvent, recordings: Sequence[tuple[bytes, Extent, int]]) -> bytes | None:
    named = item.event.details.get("recording")
    known = {key for key, _, _ in recordings}
    if isinstance(named, str):
        return next((key for key in known if key.hex() == named), None)
    if item.recording != JOURNAL:
        return item.recording if item.recording in known else None
    before = [key for key, (start_ns, _), run in recordings if (run, start_ns) <= (item.run, item.time_ns)]
    return before[-1] if before else None


def _plain(value: Detail) -> str:
    return value if isinstance(value, str) else str(value).lower()
