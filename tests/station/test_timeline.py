"""The timeline: spans that tile each run, totals that are right, whatever the headers say."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from station.event_digest import PlacedEvent, Purpose, private_spans, purposes
from station.moments import Moment
from station.outline import BACK_NS, ClockPoint, Coverage, Outline, outline
from station.tiling import Bar, What, tile
from station.timeline import build_timeline, clock_text
from station.timeline_json import as_json
from station.timeline_model import JOURNAL, Entry, Kind, Measure, OpenedChunk, Span, Story, Timeline
from station.timeline_text import as_text, duration, event_text, shown
from storage.check import CheckedChunk
from storage.events import Detail, Event
from storage.inventory import Scope
from storage.layout import ClockSource, Flags, Light, Stamp
from storage.layout import Kind as ChunkKind
from storage.particulars import Gap
from storage.segment_report import Status
from storage.verdict import Verdict
from storage.verify import StoreReport
from tests.station.stories import BOUND_S, EPOCH_NS, Life, S, chunk

quick = settings(max_examples=60, derandomize=True, deadline=None, database=None)
R, Q = b"R" * 16, b"Q" * 16


def build(stories: Sequence[Story], *, whole: bool = True, opened: Sequence[OpenedChunk] | None = None) -> Timeline:
    return build_timeline(stories, bound_ns=BOUND_S * S, whole=whole, opened=opened)


def stamp(at_s: float, long_s: float = 0, wall_s: float = 0, **more: object) -> Stamp:
    at_ns = round(at_s * S)
    base = Stamp(at_ns, EPOCH_NS + at_ns + round(wall_s * S), round(long_s * S), ClockSource.NTP, 20, Light.LIT)
    return base._replace(**more)  # type: ignore[arg-type]


def story(number: int, chunks: list[CheckedChunk], reason: str | None = "rotation", **more: object) -> Story:
    place = chunks[0].header.place
    status = Status.CUT if reason is None else Status.CLOSED
    made = Story(number, place.boot, place.recording, status, reason, outline(chunks, BOUND_S * S))
    return replace(made, **more)  # type: ignore[arg-type]


def journal(number: int, first_s: int, last_s: int, reason: str | None = "rotation", **more: object) -> Story:
    beats = [chunk(ChunkKind.HEARTBEAT, stamp(at_s)) for at_s in range(first_s, last_s + 1, 10)]
    return story(number, beats, reason, **more)


def footage(number: int, first_s: int, last_s: int, reason: str | None = "stop", **more: object) -> Story:
    chunks = [chunk(ChunkKind.MEDIA, stamp(at_s, 1), recording=R) for at_s in range(first_s, last_s)]
    return story(number, chunks, reason, **more)


def shape(timeline: Timeline) -> list[tuple[str, float | None]]:
    return [
        (span.what.value, None if span.duration_ns is None else span.duration_ns / S) for span in timeline.spans
    ]  # fmt: skip


def runs_are_tiled(timeline: Timeline) -> None:
    """Within a run every instant belongs to one span; neighbours differ, or rest on other evidence."""
    for run in range(len(timeline.boots)):
        inside = [span for span in timeline.spans if span.measure is Measure.MONOTONIC and in_run(span, run)]
        for before, after in itertools.pairwise(inside):
            assert before.end == after.start
        for span in inside:
            assert span.start is not None
            assert span.end is not None
            assert span.duration_ns == span.end.monotonic_ns - span.start.monotonic_ns > 0


def in_run(span: Span, run: int) -> bool:
    return span.start is not None and span.start.run == run


# --- Random lives -----------------------------------------------------------------------------------------------------

seconds = st.integers(1, 3)
steps = st.one_of(
    st.tuples(st.just("beat"), st.integers(0, BOUND_S)),
    st.tuples(st.just("beat"), st.integers(BOUND_S + 1, 4000)),
    st.tuples(st.just("step_clock"), st.integers(-(10**9), 10**9)),
    st.tuples(
        st.just("record"), st.lists(st.lists(seconds, min_size=1, max_size=4), min_size=1, max_size=3),
        st.integers(0, 50), st.integers(0, BOUND_S),
    ),
    st.tuples(st.just("lose"), st.integers(0, 500)),
    st.tuples(
        st.just("go_dark"), st.sampled_from(["power-off", "low-power", None]), st.integers(0, 90_000), st.booleans()
    ),
)  # fmt: skip


def live(script: list[tuple[object, ...]]) -> Life:
    life = Life()
    for name, *arguments in script:
        if name == "go_dark":
            reason, dark_s, reboot = arguments
            life.go_dark(reason, dark_s, reboot=reboot)  # type: ignore[arg-type]
        else:
            getattr(life, str(name))(*arguments)
    life.die()
    return life


@quick
@given(st.lists(steps, max_size=12))
@example([("go_dark", "power-off", 7, True), ("step_clock", 1)])
@example([("step_clock", 9), ("go_dark", None, 5, True), ("lose", 3), ("beat", 31)])
def test_any_life_has_the_right_totals(script: list[tuple[object, ...]]) -> None:
    life = live(script)
    timeline = build(life.stories)
    runs_are_tiled(timeline)
    for what in What:
        assert timeline.total_ns(what) == life.totals[what] * S, what
    assert timeline.unmeasured == life.unmeasured
    assert timeline.not_verified_ns == 0
    assert sum(entry.kind is Kind.CLOCK for entry in timeline.entries) == life.clock_changes
    told = [span.recording for span in timeline.spans if span.what is What.RECORDING]
    assert list(dict.fromkeys(told)) == life.recordings
    assert sum(entry.kind is Kind.ENDED for entry in timeline.entries) == len(life.recordings)
    assert_printable(timeline)


# --- Random headers ---------------------------------------------------------------------------------------------------

extreme = st.integers(0, 2**64 - 1) | st.integers(0, 200 * S) | st.sampled_from([0, 2**63, 2**64 - 1])
any_stamp = st.builds(
    Stamp, extreme, st.integers(-(2**63), 2**63 - 1), extreme, st.sampled_from(ClockSource),
    st.sampled_from([0, 20, 2**32 - 1]), st.sampled_from([Light.DARK, Light.LIT, Light.PARTLY]), st.sampled_from(Light),
)  # fmt: skip
any_gap = st.builds(Gap, st.just("video"), extreme, extreme, extreme, st.text("ab", max_size=3))


@st.composite
def any_story(draw: st.DrawFn, number: int) -> Story:
    recording = draw(st.sampled_from([JOURNAL, R, Q]))
    boot = draw(st.sampled_from([b"a" * 16, b"b" * 16]))
    kinds = [ChunkKind.HEARTBEAT, ChunkKind.EVENTS, *([ChunkKind.MEDIA] * 2 if recording != JOURNAL else [])]
    chunks = [
        chunk(
            draw(st.sampled_from(kinds)), draw(any_stamp), recording=recording, boot=boot,
            gaps=tuple(draw(st.lists(any_gap, max_size=1))),
        )
        for _ in range(draw(st.integers(1, 6)))
    ]  # fmt: skip
    status = draw(st.sampled_from([Status.CLOSED, Status.CUT, Status.BROKEN]))
    return Story(
        number, boot, recording, status,
        draw(st.sampled_from(["stop", "rotation", "power-off", "fault"])) if status is Status.CLOSED else None,
        outline(chunks, BOUND_S * S), draw(st.none() | st.just("what is wrong")), draw(st.booleans()),
        draw(st.integers(0, 2)), draw(st.lists(st.integers(1, 9), max_size=3).map(tuple)), forked=draw(st.booleans()),
    )  # fmt: skip


@st.composite
def any_chain(draw: st.DrawFn) -> list[Story]:
    numbers = draw(st.lists(st.integers(1, 9), max_size=5, unique=True))
    return [draw(any_story(number)) for number in sorted(numbers)]


any_event = st.builds(
    Event, extreme, st.text("ab \x1b", max_size=9) | st.sampled_from(["private", "purpose"]),
    st.dictionaries(
        st.sampled_from(["on", "purpose", "recording"]),
        st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.sampled_from(["a", "\x1b[2J", R.hex()]),
    ),
)  # fmt: skip


some_events = st.lists(any_event, max_size=3)


@quick
@given(st.data())
def test_any_headers_make_a_timeline(data: st.DataObject) -> None:
    """Also such as only a thief with the device's keys could sign."""
    stories = data.draw(any_chain())
    opened = [
        OpenedChunk(item.number, at.piece, at.header.stamp.monotonic_ns, tuple(data.draw(some_events)))
        for item in stories
        for at in item.outline.events
    ]  # fmt: skip
    timeline = build(stories, whole=data.draw(st.booleans()), opened=data.draw(st.sampled_from([opened, None])))
    runs_are_tiled(timeline)
    assert all(total >= 0 for total in map(timeline.total_ns, What))
    assert all(item.duration_ns >= 0 for item in timeline.private)
    assert_printable(timeline)
    if timeline.opened:
        shown_events = [entry.event for entry in timeline.entries if entry.event]
        assert len(shown_events) == sum(len(item.events) for item in opened)


def assert_printable(timeline: Timeline) -> None:
    for line in as_text(timeline):
        assert line.isprintable()
    report = StoreReport(Path(), Scope.STORE, b"d", Verdict.AUTHENTIC, (), (), (), (), (), ())
    json.dumps(as_json(report, timeline))


bars = st.lists(
    st.builds(
        lambda start, length, what: Bar(start, start + length, what, coverage=Coverage(1)),
        st.integers(0, 30), st.integers(0, 12), st.sampled_from(What),
    ),
    max_size=8,
)  # fmt: skip


@quick
@given(st.lists(bars, max_size=3))
def test_what_lies_on_top_is_seen(layers: list[list[Bar]]) -> None:
    seen = tile(layers)
    for instant in range(45):
        expected = None
        for layer in layers:
            here = [bar for bar in layer if bar.start_ns <= instant < bar.end_ns]
            if here:
                expected = here
                break
        found = [bar.what for bar in seen if bar.start_ns <= instant < bar.end_ns]
        assert len(found) == (expected is not None)
        assert not expected or found[0] in {bar.what for bar in expected}
    # Chunks are counted once at most, however a bar was cut.
    assert sum(bar.coverage.chunks for bar in seen) <= sum(len(layer) for layer in layers)


# --- What stands between segments -------------------------------------------------------------------------------------


def test_a_shift() -> None:
    timeline = build([journal(1, 0, 50, "recording"), footage(2, 50, 55), journal(3, 55, 75, "power-off")])
    assert shape(timeline) == [("ready", 50), ("recording", 5), ("ready", 20), ("off", None)]
    assert timeline.spans[1].coverage == Coverage(5, 5, 0, 5)
    assert timeline.spans[1].segments == (2, 2)
    assert timeline.spans[-1].detail == "closed for power-off; the chain ends here"


def test_pictures_are_older_than_the_closing_of_the_journal() -> None:
    """A recording's first picture was taken before the journal was closed for it."""
    beats = [chunk(ChunkKind.HEARTBEAT, stamp(at_s)) for at_s in (0, 10, 12)]
    timeline = build([story(1, beats, "recording"), footage(2, 11, 15)], whole=False)
    assert shape(timeline) == [("ready", 11), ("recording", 4)]


@pytest.mark.parametrize(
    ("first", "second", "expected", "detail"),
    [
        ({"reason": "low-power"}, {}, "off", "closed for low-power"),
        ({"status": Status.CUT, "reason": None}, {}, "unknown", "the device kept its power"),
        ({"status": Status.CUT, "reason": None, "lost_chunks": 2}, {}, "missing", "the last 2 chunks of segment 4"),
        ({"status": Status.BROKEN, "reason": None}, {}, "unknown", "follows the sound chunks of segment 4"),
        ({}, {"follows": False}, "unknown", "segment 5 does not follow segment 4 as it stands here"),
        ({}, {}, "gap", "no chunk for longer"),
        ({"reason": "fault"}, {}, "gap", "no chunk for longer"),
    ],
)
def test_between_two_segments_of_one_boot(
    first: dict[str, object], second: dict[str, object], expected: str, detail: str
) -> None:
    before = replace(journal(4, 0, 10), **first)  # type: ignore[arg-type]
    after = replace(journal(5, 110, 120), **second)  # type: ignore[arg-type]
    timeline = build([before, after], whole=False)
    assert shape(timeline) == [("ready", 10), (expected, 100), ("ready", 10)]
    span = timeline.spans[1]
    assert detail in span.detail
    doubted = expected == "unknown" and "power" not in span.detail
    assert span.verified is not doubted
    assert timeline.total_ns(span.what) == (0 if doubted else 100 * S)
    # A segment that does not follow is not vouched for where it stands; what it follows is.
    assert [item.verified for item in timeline.spans[::2]] == [True, second.get("follows", True)]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("power-off", "off"), ("fault", "unknown"), ("recording", "unpowered"), (None, "unpowered")],
)
def test_between_two_boots(reason: str | None, expected: str) -> None:
    """The wall clock tells how long it was; it is 1000 s ahead of the monotonic one in the next boot."""
    beats = [chunk(ChunkKind.HEARTBEAT, stamp(at_s, wall_s=1000), boot=b"2" * 16) for at_s in (0, 10)]
    timeline = build([journal(1, 0, 100, reason), story(2, beats)], whole=False)
    assert shape(timeline) == [("ready", 100), (expected, 900), ("ready", 10)]
    assert timeline.spans[1].measure is Measure.WALL
    assert "by the wall clock, NTP ± 20 ms before and NTP ± 20 ms after" in timeline.spans[1].detail
    assert len(timeline.boots) == 2
    assert [entry.kind for entry in timeline.entries] == [Kind.BOOT, Kind.BOOT]


def test_media_closed_for_power_off_is_not_off_yet() -> None:
    """The journal that follows at once says when it was."""
    timeline = build([footage(1, 0, 5, "power-off"), journal(2, 6, 16, "power-off")], whole=False)
    assert shape(timeline) == [("recording", 5), ("ready", 11)]


def test_a_clock_set_after_boot_tells_how_long_the_device_was_off() -> None:
    """Without a battery-backed clock a boot goes on where the last one ended, until it hears of the time."""
    poor = stamp(0, wall_s=101, clock_source=ClockSource.NONE, clock_uncertainty_ms=2**32 - 1)
    beats = [
        chunk(ChunkKind.HEARTBEAT, poor, boot=b"2" * 16),
        chunk(ChunkKind.HEARTBEAT, stamp(10, wall_s=50_000), boot=b"2" * 16),
    ]
    timeline = build([journal(1, 0, 100, "power-off"), story(2, beats)], whole=False)
    assert shape(timeline) == [("ready", 100), ("off", 49_900), ("ready", 10)]
    (change,) = [entry for entry in timeline.entries if entry.kind is Kind.CLOCK]
    assert change.detail == (
        "set from 2026-09-21T14:15:11.000Z to 2026-09-22T04:06:50.000Z, by NTP ± 20 ms, before nothing (never set)"
    )
    assert timeline.entries[1].detail.endswith("wall clock by nothing (never set)")


def test_a_wall_clock_that_goes_back_measures_nothing() -> None:
    beats = [chunk(ChunkKind.HEARTBEAT, stamp(0, wall_s=-9), boot=b"2" * 16)]
    timeline = build([journal(1, 0, 100, "power-off"), story(2, beats)], whole=False)
    span = timeline.spans[1]
    assert (span.what, span.duration_ns, span.measure) == (What.OFF, None, Measure.NOTHING)
    assert span.detail == "closed for power-off; of unknown length: the wall clock goes back by 109.0 s"
    # It moves nothing: order is that of the chain.
    assert [line.at.run for line in timeline.entries] == [0, 1]


def test_a_change_of_what_keeps_the_clock() -> None:
    beats = [
        chunk(ChunkKind.HEARTBEAT, stamp(0)),
        chunk(ChunkKind.HEARTBEAT, stamp(10, clock_source=ClockSource.RTC, clock_uncertainty_ms=2**32 - 1)),
        chunk(ChunkKind.HEARTBEAT, stamp(20, 0, 0.2, clock_source=ClockSource.RTC)),  # drift is no step
        chunk(ChunkKind.HEARTBEAT, stamp(30, 0, 0.4, clock_source=ClockSource.RTC)),
    ]
    changes = [entry.detail for entry in build([story(1, beats)]).entries if entry.kind is Kind.CLOCK]
    assert changes == [
        "kept by RTC (how exactly is not known), before NTP ± 20 ms",
        "set from 2026-09-21T14:13:50.000Z to 2026-09-21T14:13:50.400Z, by RTC ± 20 ms",
    ]


def test_holes_in_a_recording() -> None:
    def take(at_s: float, *gaps: Gap) -> CheckedChunk:
        return chunk(ChunkKind.MEDIA, stamp(at_s, 1), recording=R, gaps=gaps)

    first = [take(0), take(1.05), take(2.3, Gap("video", 2 * S, S, 7, "queue full")), take(5)]
    timeline = build([story(1, first), story(2, [take(6.05), take(9)], "stop")], whole=False)
    assert shape(timeline) == [
        ("recording", 2.05), ("gap", 0.25), ("recording", 1), ("gap", 1.7), ("recording", 2.05), ("gap", 1.95),
        ("recording", 1),
    ]  # fmt: skip
    assert [span.detail for span in timeline.spans if span.what is What.GAP] == [
        "no media: video lost (queue full)", "no media: unaccounted", "no media: unaccounted"
    ]  # fmt: skip
    assert [(entry.kind, entry.detail) for entry in timeline.entries[1:]] == [
        (Kind.LOST, "video for 1.000 s, 7 lost (queue full)"), (Kind.ENDED, f"recording {R.hex()}: stop"),
    ]  # fmt: skip
    assert timeline.spans[4].segments == (1, 2)


def test_a_part_that_is_missing_is_no_hole() -> None:
    timeline = build([footage(1, 0, 5, "rotation"), footage(4, 65, 70)], whole=False)
    assert shape(timeline) == [("recording", 5), ("missing", 60), ("recording", 5)]
    assert timeline.spans[1].detail == "segments 2 to 3 are not there"
    # With no time between them, it is said all the same.
    timeline = build([footage(1, 0, 5, "rotation"), footage(3, 5, 9)], whole=False)
    assert shape(timeline) == [("recording", 9)]
    assert (Kind.STOPPED, "segment 2 is not there") in [(entry.kind, entry.detail) for entry in timeline.entries]


def test_light_is_not_expected_to_cover_a_pre_event_buffer() -> None:
    chunks = [
        chunk(
            ChunkKind.MEDIA,
            stamp(at_s, 1, commanded=Light.PARTLY if at_s < 2 else Light.LIT, sensed=Light.UNSENSED),
            recording=R,
            flags=Flags.PRE_EVENT if at_s < 2 else Flags.SOUND,
        )
        for at_s in range(4)
    ]
    timeline = build([story(1, chunks)], whole=False)
    assert timeline.spans[0].coverage == Coverage(4, 2, 0, 2, 2)
    assert not [entry for entry in timeline.entries if entry.kind is Kind.LIGHT]
    assert "2 chunks of a pre-event buffer" in "\n".join(as_text(timeline))


def test_light_that_did_not_cover_footage() -> None:
    lights = [
        (Light.LIT, Light.LIT), (Light.LIT, Light.DARK), (Light.LIT, Light.DARK), (Light.PARTLY, Light.UNSENSED),
        (Light.LIT, Light.UNSENSED), (Light.PARTLY, Light.UNSENSED),
    ]  # fmt: skip
    chunks = [
        chunk(ChunkKind.MEDIA, stamp(at_s, 1, commanded=commanded, sensed=sensed), recording=R)
        for at_s, (commanded, sensed) in enumerate(lights)
    ]
    timeline = build([story(1, chunks)], whole=False)
    assert timeline.spans[0].coverage == Coverage(6, 2, 1, 6)
    assert [(entry.at.monotonic_ns // S, entry.detail) for entry in timeline.entries if entry.kind is Kind.LIGHT] == [
        (1, "commanded lit, sensed dark for 2.000 s of footage"),
        (3, "commanded partly, sensed unsensed for 1.000 s of footage"),
        (5, "commanded partly, sensed unsensed for 1.000 s of footage"),
    ]
    assert "light on for 33.3% (sensed 16.7%), sound for 100.0%" in "\n".join(as_text(timeline))


@pytest.mark.parametrize("within", [True, False], ids=["in a segment", "between two"])
def test_a_monotonic_clock_that_goes_back(within: bool) -> None:
    """No honest device does so. Both stories are told, and that they contradict one another."""
    beats = [chunk(ChunkKind.HEARTBEAT, stamp(at_s)) for at_s in (500, 510, 100, 110)]
    stories = [story(1, beats)] if within else [story(1, beats[:2]), story(2, beats[2:])]
    timeline = build(stories, whole=False)
    assert shape(timeline) == [("ready", 10), ("unknown", None), ("ready", 10)]
    assert "goes back by 410.0 s within one boot: the times contradict each other" in timeline.spans[1].detail
    assert not timeline.spans[1].verified
    assert len(timeline.boots) == 2
    assert BACK_NS < 410 * S


@pytest.mark.parametrize(
    ("last", "expected", "detail", "verified"),
    [
        ({"reason": "power-off"}, "off", "the chain ends here", True),
        ({"reason": "fault"}, "unknown", "closed for a fault", True),
        ({"reason": "recording"}, "missing", "so another followed", True),
        ({"status": Status.CUT, "reason": None}, "unpowered", "no closing: cut, or still open", True),
        ({"status": Status.BROKEN, "reason": None, "error": "x"}, "unknown", "the sound chunks of segment 3", False),
    ],
)
def test_before_and_after_all(last: dict[str, object], expected: str, detail: str, verified: bool) -> None:
    given_last = replace(journal(3, 0, 10), **last)  # type: ignore[arg-type]
    timeline = build([given_last])
    assert shape(timeline) == [("missing", None), ("ready", 10), (expected, None)]
    assert timeline.spans[0].detail == "segments 1 to 2 are not there"
    assert (timeline.spans[0].start, timeline.spans[2].end) == (None, None)
    assert detail in timeline.spans[2].detail
    assert timeline.spans[2].verified is verified
    # Of an excerpt nothing is said about the rest.
    assert shape(build([given_last], whole=False)) == [("ready", 10)]
    text = "\n".join(as_text(timeline))
    assert "2 of unknown length, or without an end" in text
    assert ("not verified: what follows" in text) is not verified


def test_nothing_at_all() -> None:
    timeline = build([])
    assert timeline == Timeline(BOUND_S * S, (), (), False, 0)
    assert "  ready          0:00:00.0" in "\n".join(as_text(timeline))


def test_a_fork_is_not_counted() -> None:
    timeline = build([journal(1, 0, 10), journal(2, 10, 40, forked=True)], whole=False)
    assert [(span.duration_ns, span.verified) for span in timeline.spans] == [(10 * S, True), (30 * S, False)]
    assert (timeline.total_ns(What.READY), timeline.not_verified_ns) == (10 * S, 30 * S)
    assert "not verified: segment 2" in "\n".join(as_text(timeline))


def test_ready_needs_chunks_close_together() -> None:
    beats = [chunk(ChunkKind.HEARTBEAT, stamp(at_s)) for at_s in (0, 30, 60, 91, 100)]
    assert shape(build([story(1, beats)], whole=False)) == [("ready", 60), ("gap", 31), ("ready", 9)]
    told = build_timeline([story(1, beats)], bound_ns=31 * S, whole=False)
    assert shape(told) == [("ready", 60), ("gap", 31), ("ready", 9)]  # the outline was drawn with the old bound


# --- Events -----------------------------------------------------------------------------------------------------------


def placed(
    name: str, at_s: int, within: bytes = JOURNAL, *, run: int = 0, verified: bool = True, **details: Detail
) -> PlacedEvent:
    return PlacedEvent(run, at_s * S, Event(at_s * S, name, details), within, verified)


EXTENTS = [{R: (10 * S, 20 * S), Q: (30 * S, 40 * S)}, {}]


def private(*events: PlacedEvent) -> list[tuple[float, float, bytes | None, str, bool]]:
    found = private_spans(events, EXTENTS, [[25 * S, 90 * S], [50 * S]], lambda run, at: Moment(run, at, at))
    return [
        (item.start.monotonic_ns / S, item.end.monotonic_ns / S, item.recording, item.ended_by, item.verified)
        for item in found
    ]


def test_private_premises() -> None:
    assert private() == []
    assert private(placed("private", 12, R, on=True), placed("private", 15, R, on=False)) == [
        (12, 15, R, "wearer", True)
    ]
    assert private(placed("private", 12, R, on=True)) == [(12, 20, R, "recording", True)]
    assert private(placed("private", 12, R, on=True), placed("private", 33, Q, on=False)) == [
        (12, 20, R, "recording", True)
    ]
    # Said while the light was being confirmed.
    assert private(placed("private", 9, on=True), placed("private", 13, R, on=False)) == [(9, 13, R, "wearer", True)]
    # Nothing followed before the run was interrupted at 25 s, or ended.
    assert private(placed("private", 22, on=True)) == [(22, 25, None, "run", True)]
    assert private(placed("private", 60, on=True)) == [(60, 90, None, "run", True)]
    assert private(placed("private", 5, run=1, on=True)) == [(5, 50, None, "run", True)]
    # An end without a beginning, a beginning twice, an end in another run, and another sort of event.
    assert private(placed("private", 12, R, on=False)) == []
    twice = [placed("private", 12, R, on=True), placed("private", 13, R, on=True), placed("private", 14, R, on=False)]
    assert private(*twice) == [(12, 14, R, "wearer", True)]
    assert private(
        placed("private", 33, Q, on=True), placed("marker", 34, Q), placed("private", 1, run=1, on=False)
    ) == [(33, 40, Q, "recording", True)]
    # Only as sure as both its ends.
    doubted = placed("private", 15, R, verified=False, on=False)
    assert private(placed("private", 12, R, on=True), doubted) == [(12, 15, R, "wearer", False)]


def test_purposes() -> None:
    recordings = [(R, (10 * S, 20 * S), 0), (Q, (30 * S, 40 * S), 0), (R, (1 * S, 2 * S), 1)]

    def chosen(*events: PlacedEvent) -> list[Purpose]:
        return list(purposes(events, recordings))

    assert chosen() == [Purpose(R, None), Purpose(Q, None)]
    assert chosen(placed("purpose", 21, purpose="a")) == [Purpose(R, "a"), Purpose(Q, None)]
    assert chosen(placed("purpose", 41, purpose="b"), placed("purpose", 42, purpose="c")) == [
        Purpose(R, None), Purpose(Q, "c")
    ]  # fmt: skip
    assert chosen(placed("purpose", 41, purpose="b"), placed("purpose", 42, purpose=None))[1] == Purpose(Q, None)
    assert chosen(placed("purpose", 31, R, purpose="e"))[0] == Purpose(R, "e")
    assert chosen(placed("purpose", 41, purpose="d", recording=R.hex()))[0] == Purpose(R, "d")
    assert chosen(placed("purpose", 41, verified=False, purpose=True))[1] == Purpose(Q, "true", verified=False)
    # About nothing that is there.
    nothing = [Purpose(R, None), Purpose(Q, None)]
    assert chosen(placed("purpose", 5, purpose="a")) == nothing
    assert chosen(placed("purpose", 41, purpose="a", recording="ff")) == nothing
    assert chosen(placed("purpose", 41, b"X" * 16, purpose="a")) == nothing
    assert chosen(placed("marker", 41)) == nothing


def test_an_event_with_a_time_of_its_own_invention_stays_in_its_place() -> None:
    beats = [chunk(ChunkKind.EVENTS, stamp(at_s)) for at_s in (0, 10, 20)]
    opened = [
        OpenedChunk(1, 0, 10 * S, (Event(2**64 - 1, "late"), Event(0, "early"), Event(9 * S, "good"))),
        OpenedChunk(1, 0, 20 * S, error="it cannot be read"),
    ]
    timeline = build([story(1, beats)], opened=opened)
    assert [entry.event.name if entry.event else entry.detail for entry in timeline.entries[1:]] == [
        "early", "good", "late", "it cannot be read"
    ]  # fmt: skip
    assert [entry.verified for entry in timeline.entries] == [True, True, True, True, False]
    assert timeline.sealed_chunks == 3
    assert isinstance(timeline.entries[3], Entry)
    assert timeline.entries[3].at.monotonic_ns == 2**64 - 1


# --- Text -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (None, "?"), (0, "0:00:00.0"), (49_999_999, "0:00:00.0"), (50_000_000, "0:00:00.1"), (3599 * S, "0:59:59.0"),
        (3_599_960_000_000, "1:00:00.0"), (100 * 3600 * S, "100:00:00.0"), (2**64, "5124095:34:33.7"),
    ],
)  # fmt: skip
def test_durations(time_ns: int | None, text: str) -> None:
    assert duration(time_ns) == text


def test_whatever_an_event_says_is_shown_and_cannot_speak() -> None:
    event = Event(0, "tea", {"n": -3, "yes": True, "no": False, "none": None, "text": 'a"b\n\x1b[2J', "k\n": "x" * 999})
    text = event_text(event)
    assert text.startswith('tea n=-3 yes=yes no=no none=none text="a"b\\n\\x1b[2J" k\\n="xxx')
    assert text.isprintable()
    assert len(text) < 400
    assert shown("é ± 20") == "é ± 20"


def test_clock_quality() -> None:
    assert clock_text(ClockPoint(0, 0, ClockSource.GNSS, 3)) == "GNSS ± 3 ms"
    assert clock_text(ClockPoint(0, 0, ClockSource.RTC, 2**32 - 1)) == "RTC (how exactly is not known)"
    assert clock_text(ClockPoint(0, 0, ClockSource.NONE, 3)) == "nothing (never set)"


# --- Size -------------------------------------------------------------------------------------------------------------


def test_eight_hours_take_less_than_a_second() -> None:
    """2880 heartbeats, and thousands of chunks of media: all that is done beyond reading and hashing them."""
    beats = [chunk(ChunkKind.HEARTBEAT, stamp(10 * n)) for n in range(2880)]
    media = [chunk(ChunkKind.MEDIA, stamp(28_800 + n / 3, 1 / 3), recording=R) for n in range(6000)]
    began = time.process_time()
    stories = [story(1, beats, "recording")]
    stories += [story(2 + n, media[n * 180 : (n + 1) * 180]) for n in range(len(media) // 180)]
    timeline = build(stories)
    told = list(as_text(timeline))
    assert time.process_time() - began < 1
    assert shape(timeline)[:2] == [("ready", 28_800), ("recording", pytest.approx(1980))]
    assert len(told) < 60
    assert isinstance(stories[0].outline, Outline)
