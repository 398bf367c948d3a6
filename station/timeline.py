"""From a verified chain to a timeline: what the device did, and when it provably did nothing. No I/O.

Order is that of the chain; within one run of the monotonic clock, times and durations are that clock's. The wall clock
only says what time it was, and how long a device was off. A wall clock that was set is said, and moves nothing.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from station.event_digest import PlacedEvent, private_spans, purposes
from station.moments import Moment, utc
from station.outline import BACK_NS, CLOCK_STEP_NS, JOIN_NS, ClockPoint, Piece, moved
from station.tiling import Bar, What, tile
from station.timeline_model import JOURNAL, Entry, Kind, Measure, OpenedChunk, Span, Story, Timeline
from storage.events import Event
from storage.layout import UNKNOWN_UNCERTAINTY_MS, ClockSource
from storage.segment_report import Status

_OFF = frozenset({"power-off", "low-power"})
_SILENT = "no chunk for longer than a device that is on leaves between two"


@dataclass(frozen=True, slots=True)
class _Passage:
    """What lies between two segments."""

    what: What | None
    """None where the next one follows at once."""
    detail: str = ""
    verified: bool = True


_AT_ONCE = _Passage(None)


class _Run:
    """One run of the monotonic clock."""

    def __init__(self, index: int, boot: bytes, low_ns: int) -> None:
        self.index = index
        self.boot = boot
        self.low_ns = self.high_ns = low_ns
        self.clock: list[ClockPoint] = []
        self.first_bests: list[ClockPoint] = []
        self.last_bests: list[ClockPoint] = []
        self.media: list[Bar] = []
        self.holes: list[Bar] = []
        self.alive: list[Bar] = []
        self.between: list[Bar] = []
        self.entries: list[tuple[int, Entry]] = []
        """With the time by which they are sorted."""
        self.breaks: list[int] = []
        """When it was interrupted."""
        self.linked = True
        """Nothing but an orderly passage since the last media."""
        self._keys: list[int] = []
        self._sorted: list[ClockPoint] = []

    def settle(self) -> None:
        """Make `moment` ready: all points of the clock are in."""
        self._sorted = sorted(self.clock, key=lambda point: point.monotonic_ns)
        self._keys = [point.monotonic_ns for point in self._sorted]

    def moment(self, time_ns: int) -> Moment:
        """Return an instant of this run with the wall clock that held then."""
        point = self._sorted[max(0, bisect_right(self._keys, time_ns) - 1)]
        return Moment(self.index, time_ns, time_ns + point.offset_ns)

    def extents(self) -> dict[bytes, tuple[int, int]]:
        """Return when each recording began and ended."""
        found: dict[bytes, tuple[int, int]] = {}
        for bar in self.media:
            key = bar.recording or JOURNAL
            low_ns, high_ns = found.get(key, (bar.start_ns, bar.end_ns))
            found[key] = (min(low_ns, bar.start_ns), max(high_ns, bar.end_ns))
        return found


def build_timeline(
    stories: Sequence[Story], *, bound_ns: int, whole: bool, opened: Sequence[OpenedChunk] | None = None
) -> Timeline:
    """Tell what happened.

    Args:
        stories: The segments that have a sound opening, in order of number, one of each.
        bound_ns: How far apart chunks may be for the device to count as on in between.
        whole: The stories are of a whole store: what is missing before the first and after the last is said.
        opened: The chunks of events, in order, where there was a key.
    """
    builder = _Builder(bound_ns)
    for before, story in itertools.pairwise([None, *stories]):
        assert story is not None  # noqa: S101 - only the first of all is None
        builder.add(before, story)
    return builder.finish(stories, whole, opened)


class _Builder:
    def __init__(self, bound_ns: int) -> None:
        self._bound_ns = bound_ns
        self._runs: list[_Run] = []
        self._passages: list[_Passage] = []
        """Before each run but the first."""
        self._run_of: dict[tuple[int, int], _Run] = {}

    def add(self, before: Story | None, story: Story) -> None:
        passage = _passage(before, story) if before else _AT_ONCE
        for index, piece in enumerate(story.outline.pieces):
            if index:
                passage = _Passage(What.UNKNOWN, _back_text(self._runs[-1], piece), verified=False)
            self._enter(before, story, piece, passage, contradicts=bool(index))
            self._run_of[story.number, index] = self._runs[-1]
            self._fill(story, piece)
        run = self._runs[-1]
        for time_ns, text in story.destructions:
            self._say(run, Kind.DESTROYED, time_ns, text, story)
        if story.is_media and story.reason not in (None, "rotation"):
            self._say(run, Kind.ENDED, run.high_ns, f"recording {story.recording.hex()}: {story.reason}", story)
        if story.error is not None:
            rest = "; nothing is said of the rest of it" if story.status is Status.BROKEN else ""
            self._say(run, Kind.STOPPED, run.high_ns, f"segment {story.number}: {story.error}{rest}", story)

    def _enter(self, before: Story | None, story: Story, piece: Piece, passage: _Passage, *, contradicts: bool) -> None:
        """Go on in the run under way, or begin another one."""
        run = self._runs[-1] if self._runs else None
        same_boot = before is not None and before.boot == story.boot
        back = run is not None and piece.low_ns < run.high_ns - BACK_NS
        if run is None or contradicts or not same_boot or back:
            if run is not None:
                if back and same_boot and not contradicts and passage.what is None:
                    passage = _Passage(What.UNKNOWN, _back_text(run, piece), verified=False)
                self._passages.append(passage)
            self._runs.append(_Run(len(self._runs), story.boot, piece.low_ns))
            return
        if passage.what is not None:
            run.linked = False
            run.breaks.append(run.high_ns)
        if piece.low_ns > run.high_ns:
            near = passage.what is None and piece.low_ns - run.high_ns <= self._bound_ns
            what = What.READY if near else passage.what or What.GAP
            detail = "" if near else passage.detail or _SILENT
            numbers = (story.number - 1, story.number) if near else None
            run.between.append(
                Bar(run.high_ns, piece.low_ns, what, detail, numbers, verified=passage.verified and story.verified)
            )
        elif passage.what is not None:
            self._say(run, Kind.STOPPED, run.high_ns, passage.detail, story, verified=passage.verified)

    def _fill(self, story: Story, piece: Piece) -> None:
        run = self._runs[-1]
        numbers, verified = (story.number, story.number), story.verified
        recording = story.recording if story.is_media else None
        for take in piece.takes:
            last = run.media[-1] if run.media else None
            start_ns = take.start_ns
            if last and run.linked and last.recording == recording:
                if 0 < start_ns - last.end_ns <= JOIN_NS:
                    start_ns = last.end_ns
                elif start_ns > last.end_ns:
                    causes = _causes(piece, last.end_ns, start_ns)
                    run.holes.append(
                        Bar(last.end_ns, start_ns, What.GAP, causes, numbers, recording, verified=verified)
                    )
            run.media.append(
                Bar(start_ns, take.end_ns, What.RECORDING, "", numbers, recording, take.coverage, verified)
            )
            run.linked = True
        run.alive += [Bar(start, end, What.READY, "", numbers, verified=verified) for start, end in piece.alive]
        for point in piece.clock:
            self._watch(run, point, story)
        run.first_bests.append(piece.first_best)
        run.last_bests.append(piece.last_best)
        for unlit in piece.unlit:
            text = (
                f"commanded {unlit.commanded.name.lower()}, sensed {unlit.sensed.name.lower()} "
                f"for {(unlit.end_ns - unlit.start_ns) / 1e9:.3f} s of footage"
            )
            self._say(run, Kind.LIGHT, unlit.start_ns, text, story)
        for gap in piece.gaps:
            text = f"{gap.track} for {gap.duration_ns / 1e9:.3f} s, {gap.lost_units} lost ({gap.cause})"
            self._say(run, Kind.LOST, min(max(gap.start_ns, piece.low_ns), piece.high_ns), text, story)
        run.low_ns, run.high_ns = min(run.low_ns, piece.low_ns), max(run.high_ns, piece.high_ns)

    def _watch(self, run: _Run, point: ClockPoint, story: Story) -> None:
        if not run.clock:
            self._say(run, Kind.BOOT, run.low_ns, f"boot id {run.boot.hex()}, wall clock by {clock_text(point)}", story)
            run.clock.append(point)
            return
        last = run.clock[-1]
        if moved(last, point):
            run.clock.append(point)
            self._say(run, Kind.CLOCK, point.monotonic_ns, _clock_change(last, point), story)

    def _say(
        self, run: _Run, kind: Kind, time_ns: int, text: str, story: Story, *, verified: bool = True,
        event: Event | None = None, sort_ns: int | None = None,
    ) -> None:  # fmt: skip
        # The wall clock of the moment is put in at the end, when all points are known.
        moment = Moment(run.index, time_ns, 0)
        entry = Entry(kind, moment, text, story.number, event, verified and story.verified)
        run.entries.append((time_ns if sort_ns is None else sort_ns, entry))

    def finish(self, stories: Sequence[Story], whole: bool, opened: Sequence[OpenedChunk] | None) -> Timeline:
        for run in self._runs:
            run.settle()
        placed = list(self._place(stories, opened or ()))
        lines: list[Span | Entry] = []
        for index, run in enumerate(self._runs):
            if index:
                lines.append(self._between(self._runs[index - 1], run, self._passages[index - 1]))
            elif whole and stories[0].number > 1:
                lines.append(
                    Span(What.MISSING, None, run.moment(run.low_ns), None, Measure.NOTHING,
                         missing_text(1, stories[0].number - 1, stories[0].destroyed_before))
                )  # fmt: skip
            lines += self._lines(run)
        if whole and stories:
            lines.append(_after(stories[-1], self._runs[-1]))
        extents = [run.extents() for run in self._runs]
        recordings = [(key, extent, run) for run, found in enumerate(extents) for key, extent in found.items()]
        ends_ns = [[*run.breaks, run.high_ns] for run in self._runs]
        return Timeline(
            bound_ns=self._bound_ns,
            boots=tuple(run.boot for run in self._runs),
            lines=tuple(lines),
            opened=opened is not None,
            sealed_chunks=sum(len(story.outline.events) for story in stories),
            private=tuple(private_spans(placed, extents, ends_ns, self._moment)),
            purposes=tuple(purposes(placed, recordings)) if opened is not None else (),
        )

    def _moment(self, run: int, time_ns: int) -> Moment:
        return self._runs[run].moment(time_ns)

    def _place(self, stories: Sequence[Story], opened: Iterable[OpenedChunk]) -> Iterator[PlacedEvent]:
        """Put events where they belong among the entries, and yield those that can be shown."""
        by_number = {story.number: story for story in stories}
        for chunk in opened:
            run, story = self._run_of[chunk.segment, chunk.piece], by_number[chunk.segment]
            if chunk.error:
                self._say(run, Kind.EVENT, chunk.time_ns, chunk.error, story, verified=False)
            for event in chunk.events:
                # A time that its own chunk contradicts is shown, and puts the event nowhere else.
                sort_ns = min(max(event.time_ns, run.low_ns), chunk.time_ns)
                self._say(run, Kind.EVENT, event.time_ns, "", story, event=event, sort_ns=sort_ns)
                yield PlacedEvent(run.index, sort_ns, event, story.recording, story.verified)

    def _lines(self, run: _Run) -> list[Span | Entry]:
        rest = Bar(run.low_ns, run.high_ns, What.GAP, _SILENT)
        bars = tile([run.media, run.holes, [*run.alive, *run.between], [rest]])
        order: list[tuple[tuple[int, int], Span | Entry]] = []
        for time_ns, entry in run.entries:
            if entry.kind is Kind.BOOT:
                order.append(((run.low_ns, 0), replace(entry, at=run.moment(run.low_ns))))
            else:
                order.append(((time_ns, 2), replace(entry, at=run.moment(entry.at.monotonic_ns))))
        for bar in bars:
            start, end = run.moment(bar.start_ns), run.moment(bar.end_ns)
            span = Span(
                bar.what, start, end, bar.end_ns - bar.start_ns, Measure.MONOTONIC, bar.detail, bar.segments,
                bar.recording, bar.coverage, bar.verified,
            )  # fmt: skip
            order.append(((bar.start_ns, 1), span))
        order.sort(key=lambda item: item[0])
        return [line for _, line in order]

    def _between(self, before: _Run, after: _Run, passage: _Passage) -> Span:
        """Return what lies between two runs, whose monotonic clocks have nothing to do with one another."""
        start, end = before.moment(before.high_ns), after.moment(after.low_ns)
        # The best that either run knew; of equals the one that is nearest.
        old = min(reversed(before.last_bests), key=lambda point: point.rank)
        new = min(after.first_bests, key=lambda point: point.rank)
        duration_ns = (after.low_ns + new.offset_ns) - (before.high_ns + old.offset_ns)
        by = f"by the wall clock, {clock_text(old)} before and {clock_text(new)} after"
        if before.boot == after.boot:
            by = "of unknown length"
        elif duration_ns < 0:
            by = f"of unknown length: the wall clock goes back by {-duration_ns / 1e9:.1f} s"
        known = before.boot != after.boot and duration_ns >= 0
        return Span(
            passage.what or What.UNPOWERED,
            start,
            end,
            duration_ns if known else None,
            Measure.WALL if known else Measure.NOTHING,
            f"{passage.detail}; {by}",
            verified=passage.verified,
        )


def _passage(before: Story, story: Story) -> _Passage:
    """Say what lies between two segments that are next to one another here."""
    if story.number > before.number + 1:
        return _Passage(What.MISSING, missing_text(before.number + 1, story.number - 1, story.destroyed_before))
    if not story.follows:
        text = f"segment {story.number} does not follow segment {before.number} as it stands here"
        return _Passage(What.UNKNOWN, text, verified=False)
    if before.status is Status.BROKEN:
        return _Passage(What.UNKNOWN, f"what follows the sound chunks of segment {before.number}", verified=False)
    if before.lost_chunks:
        return _Passage(What.MISSING, f"the last {before.lost_chunks} chunks of segment {before.number}")
    same_boot = before.boot == story.boot
    if before.status is Status.CUT:
        if same_boot:
            return _Passage(What.UNKNOWN, "the recorder stopped without a closing; the device kept its power")
        return _Passage(What.UNPOWERED, f"segment {before.number} has no closing: the power went, or a reset")
    if before.reason in _OFF and not (same_boot and before.is_media):
        return _Passage(What.OFF, f"closed for {before.reason}")
    if same_boot:
        return _AT_ONCE
    if before.reason == "fault":
        return _Passage(What.UNKNOWN, "closed for a fault")
    return _Passage(What.UNPOWERED, f"stopped after segment {before.number} was closed for {before.reason}")


def _after(last: Story, run: _Run) -> Span:
    """Return what is known of the time after the end of the chain."""
    verified = True
    if last.status is Status.BROKEN:
        what, detail, verified = What.UNKNOWN, f"what follows the sound chunks of segment {last.number}", False
    elif last.status is Status.CUT:
        what, detail = What.UNPOWERED, f"segment {last.number} has no closing: cut, or still open when it was copied"
    elif last.reason in _OFF:
        what, detail = What.OFF, f"closed for {last.reason}; the chain ends here"
    elif last.reason == "fault":
        what, detail = What.UNKNOWN, "closed for a fault; the chain ends here"
    else:
        what = What.MISSING
        detail = f"segment {last.number} was closed for {last.reason}, so another followed"
    return Span(what, run.moment(run.high_ns), None, None, Measure.NOTHING, detail, verified=verified)


def missing_text(first: int, last: int, destroyed: Sequence[int] = ()) -> str:
    """Say which segments are not there, and whether that is on record."""
    text = f"segment {first} is not there" if first == last else f"segments {first} to {last} are not there"
    count = sum(first <= number <= last for number in destroyed)
    if not count:
        return text
    return f"{text}: {'' if count == last - first + 1 else f'{count} of them '}destroyed, on record"


def _causes(piece: Piece, start_ns: int, end_ns: int) -> str:
    found = {
        f"{gap.track} lost ({gap.cause})"
        for gap in piece.gaps
        if gap.start_ns < end_ns and gap.start_ns + gap.duration_ns > start_ns
    }
    return "no media: " + (", ".join(sorted(found)) or "unaccounted")


def _back_text(run: _Run, piece: Piece) -> str:
    back_s = (run.high_ns - piece.low_ns) / 1e9
    return f"the monotonic clock goes back by {back_s:.1f} s within one boot: the times contradict each other"


def clock_text(point: ClockPoint) -> str:
    """Say how good the wall clock is."""
    if point.source is ClockSource.NONE:
        return "nothing (never set)"
    exact = point.uncertainty_ms != UNKNOWN_UNCERTAINTY_MS
    return f"{point.source.name} {f'± {point.uncertainty_ms} ms' if exact else '(how exactly is not known)'}"


def _clock_change(before: ClockPoint, after: ClockPoint) -> str:
    by = clock_text(after) if before.source is after.source else f"{clock_text(after)}, before {clock_text(before)}"
    if abs(after.offset_ns - before.offset_ns) <= CLOCK_STEP_NS:
        return f"kept by {by}"
    return f"set from {utc(after.monotonic_ns + before.offset_ns)} to {utc(after.utc_ns)}, by {by}"
