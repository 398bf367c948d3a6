"""The patterns keep the rules that the top of firmware/patterns.py states."""

from __future__ import annotations

from itertools import combinations

import pytest

from drivers.buzzer.protocol import require_tone
from firmware.cues import KEEPING, Cue, Note
from firmware.gesture import GestureTimes
from firmware.patterns import (
    CUES,
    DIM,
    FULL,
    LOUD_HZ,
    NEVER_DARK,
    NIGHT_FLOOR,
    NIGHT_LEVEL,
    NIGHT_LEVEL_LEAST,
    NOTES,
    Lane,
    Pattern,
    Step,
    at_night,
    lane_ms,
)
from tests.firmware.rhythms import distinct_once, distinct_repeated, merged, most_flashes, rhythm, written_out

ALL = [*CUES.items(), *NOTES.items()]
NIGHT_LEVELS = (NIGHT_LEVEL_LEAST, NIGHT_LEVEL, FULL)


def name(pair: object) -> str | None:
    return pair.value if isinstance(pair, Cue | Note) else None


def bursts(lane: Lane) -> Lane:
    """What a standing cue plays in one round, as if it were a note."""
    steps = list(lane)
    while steps and not steps[-1].value:
        steps.pop()
    return tuple(steps)


def test_everything_that_is_said_has_a_pattern() -> None:
    assert set(CUES) == set(Cue)
    assert set(NOTES) == set(Note)


@pytest.mark.parametrize(("said", "pattern"), ALL, ids=name)
def test_values_are_what_the_parts_can_do(said: Cue | Note, pattern: Pattern) -> None:
    for step in (*pattern.light, *pattern.touch):
        assert 0 <= step.value <= 1
    for step in pattern.sound:
        assert step.value == int(step.value)
        require_tone(int(step.value))
    for lane in (pattern.light, pattern.sound, pattern.touch):
        assert all(isinstance(step.duration_ms, int) and step.duration_ms >= 80 for step in lane)


# -- light ------------------------------------------------------------------------------------------------------------


def test_only_recording_is_steadily_lit() -> None:
    steadily_lit = {
        cue for cue, pattern in CUES.items() if len(merged(pattern.light)) == 1 and pattern.light[0].value > 0
    }
    assert steadily_lit == {Cue.RECORDING}
    assert {step.value for step in CUES[Cue.RECORDING].light} == {FULL}


@pytest.mark.parametrize("cue", sorted(set(Cue) - {Cue.RECORDING, Cue.OFF}, key=str), ids=name)
def test_whatever_is_lit_else_soon_changes(cue: Cue) -> None:
    turns = rhythm(CUES[cue].light, repeats=True)
    assert turns
    assert all(lit_ms <= (2000 if cue in NEVER_DARK else 1000) for lit_ms, _ in turns)


@pytest.mark.parametrize("cue", sorted(NEVER_DARK, key=str), ids=name)
def test_the_light_is_never_dark_while_pictures_may_be_kept(cue: Cue) -> None:
    light = CUES[cue].light
    assert light
    assert all(step.value > 0 for step in light)
    assert light[0].value == FULL  # and it begins with what is seen best
    assert {step.value for step in light} <= {FULL, DIM}


def test_the_cues_that_keep_are_never_dark() -> None:
    assert KEEPING < NEVER_DARK


@pytest.mark.parametrize("cue", sorted(set(Cue) - NEVER_DARK - {Cue.OFF}, key=str), ids=name)
def test_where_nothing_is_kept_the_light_goes_dark(cue: Cue) -> None:
    assert 0 in {step.value for step in CUES[cue].light}


@pytest.mark.parametrize("cue", [Cue.STANDBY, Cue.BUFFERING, Cue.FAULT, Cue.LOW_POWER], ids=name)
def test_what_may_follow_a_recording_begins_dark(cue: Cue) -> None:
    first = CUES[cue].light[0]
    assert first.value == 0
    assert first.duration_ms >= 1000


@pytest.mark.parametrize(("one", "other"), list(combinations(Cue, 2)), ids=name)
def test_cues_are_told_apart_by_the_rhythm_of_the_light(one: Cue, other: Cue) -> None:
    assert distinct_repeated(CUES[one].light, CUES[other].light)


def test_standby_hardly_shines_and_a_buffer_is_plain_to_see() -> None:
    standby, buffering = CUES[Cue.STANDBY].light, CUES[Cue.BUFFERING].light

    def shining(lane: Lane) -> float:
        return sum(step.value * step.duration_ms for step in lane) / lane_ms(lane)

    assert shining(standby) < 0.002
    assert shining(buffering) > 0.2
    assert max(step.value for step in buffering) == FULL
    assert max(dark_ms for _, dark_ms in rhythm(buffering, repeats=True)) <= 1500


@pytest.mark.parametrize(("said", "pattern"), ALL, ids=name)
def test_nothing_flashes_more_than_three_times_in_a_second(said: Cue | Note, pattern: Pattern) -> None:
    levels = written_out(pattern.light, 70_000) if isinstance(said, Cue) and pattern.light else []
    assert most_flashes(levels or [(0, 0.0), *written_out(pattern.light, lane_ms(pattern.light))]) <= 3


# -- night ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("floor", NIGHT_LEVELS)
@pytest.mark.parametrize(("said", "pattern"), ALL, ids=name)
def test_night_dims_and_never_darkens(said: Cue | Note, pattern: Pattern, floor: float) -> None:
    night = at_night(pattern, floor)
    assert len(night.light) == len(pattern.light)
    for day_step, night_step in zip(pattern.light, night.light, strict=True):
        assert night_step.duration_ms == day_step.duration_ms
        assert (night_step.value > 0) == (day_step.value > 0)
        assert night_step.value <= max(day_step.value, NIGHT_FLOOR)
        assert night_step.value == 0 or night_step.value >= NIGHT_FLOOR
    assert night.touch == pattern.touch


@pytest.mark.parametrize("floor", NIGHT_LEVELS)
def test_full_and_dimmed_are_told_apart_at_night(floor: float) -> None:
    full, dim = (step.value for step in at_night(Pattern((Step(FULL, 1), Step(DIM, 1))), floor).light)
    assert full == floor
    assert full >= 4 * dim


@pytest.mark.parametrize("floor", [0.0, 0.19, 1.01, float("nan")])
def test_no_night_is_darker_than_that(floor: float) -> None:
    with pytest.raises(ValueError, match=r"give 0\.2 to 1"):
        at_night(CUES[Cue.RECORDING], floor)


def test_announcements_and_faults_are_heard_at_night() -> None:
    heard = {said for said, pattern in ALL if at_night(pattern, NIGHT_LEVEL).sound}
    assert heard == {
        *(Cue.DARK, Cue.STALLED, Cue.FAULT, Cue.LOW_POWER),
        *(Note.STARTED, Note.STOPPED, Note.LIVE_ON, Note.WARNING),
    }


# -- sound and touch --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lane", ["touch", "sound"])
@pytest.mark.parametrize(("one", "other"), list(combinations(Note, 2)), ids=name)
def test_notes_are_told_apart_by_touch_alone_and_by_sound_alone(one: Note, other: Note, lane: str) -> None:
    mine, its = (rhythm(getattr(NOTES[note], lane), repeats=False) for note in (one, other))
    assert mine
    assert distinct_once(mine, its)


@pytest.mark.parametrize("lane", ["touch", "sound"])
@pytest.mark.parametrize("cue", [cue for cue in Cue if CUES[cue].touch], ids=name)
def test_a_cue_that_calls_is_taken_for_no_note_and_for_no_other_cue(cue: Cue, lane: str) -> None:
    call = rhythm(bursts(getattr(CUES[cue], lane)), repeats=False)
    for other, pattern in ALL:
        its = rhythm(bursts(getattr(pattern, lane)), repeats=False)
        assert other is cue or distinct_once(call, its), other


@pytest.mark.parametrize(("said", "pattern"), ALL, ids=name)
def test_sound_and_touch_go_together(said: Cue | Note, pattern: Pattern) -> None:
    assert [(bool(step.value), step.duration_ms) for step in pattern.sound] == [
        (bool(step.value), step.duration_ms) for step in pattern.touch
    ]


def test_the_start_is_two_beeps_and_two_buzzes() -> None:
    started = NOTES[Note.STARTED]
    assert len(rhythm(started.touch, repeats=False)) == len(rhythm(started.sound, repeats=False)) == 2
    assert {step.value for step in started.sound} == {LOUD_HZ, 0}
    assert {step.value for step in started.touch} == {1, 0}


def test_recording_dark_calls_loudly_and_often() -> None:
    dark = CUES[Cue.DARK]
    longest_note_ms = max(pattern.duration_ms for pattern in NOTES.values())
    # The worst that a note can do is to begin when a call is due: the call comes after it.
    assert lane_ms(dark.sound) + longest_note_ms <= 5000
    assert {step.value for step in dark.sound} == {LOUD_HZ, 0}
    assert sum(step.duration_ms for step in dark.sound if step.value) >= 1000


def test_counting_is_quicker_than_the_hand() -> None:
    times = GestureTimes()
    gap_ms = 400
    assert (NOTES[Note.STOPPED].duration_ms + gap_ms) * 1_000_000 < times.first_count_ns
    assert (NOTES[Note.COUNT].duration_ms + gap_ms) * 1_000_000 < times.count_ns


def test_sums_of_lanes() -> None:
    pattern = Pattern((Step(1, 200), Step(0, 300)), (Step(LOUD_HZ, 100),))
    assert (lane_ms(pattern.light), pattern.duration_ms, Pattern().duration_ms) == (500, 100, 0)


# -- the measure itself -----------------------------------------------------------------------------------------------


def lit(*durations_ms: int) -> Lane:
    return tuple(Step((at + 1) % 2, duration) for at, duration in enumerate(durations_ms))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lit(500, 500), lit(500, 500, 500, 500)),
        (lit(500, 500), (Step(0, 250), Step(1, 500), Step(0, 250))),
        (lit(500, 500), lit(500, 500, 550, 450)),
        (lit(300, 300), lit(500, 500)),
        (lit(20, 40), lit(40, 80)),
        (lit(1000), lit(400)),
        (lit(200, 200, 200, 900), lit(200, 900, 200, 200)),
        (tuple(Step(0.2 + step.value / 2, step.duration_ms) for step in lit(500, 500)), lit(500, 500)),
    ],
)
def test_what_people_take_for_the_same(one: Lane, other: Lane) -> None:
    assert not distinct_repeated(one, other)
    assert not distinct_repeated(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lit(250, 250), lit(500, 500)),
        (lit(200, 200, 200, 900), lit(200, 900)),
        (lit(1000), ()),
        (lit(1000), lit(500, 500)),
        ((), lit(500, 500)),
    ],
)
def test_what_people_tell_apart(one: Lane, other: Lane) -> None:
    assert distinct_repeated(one, other)
    assert distinct_repeated(other, one)


def test_pulses_beyond_a_glance_are_not_counted() -> None:
    def once(count: int) -> tuple[tuple[int, int], ...]:
        return rhythm(lit(*[100] * (2 * count - 1)), repeats=False)

    assert distinct_once(once(2), once(3))
    assert not distinct_once(once(5), once(6))
    assert distinct_once(once(4), once(6))


def test_flashes_are_counted_in_any_second() -> None:
    assert most_flashes(written_out(lit(200, 200), 4000)) == 3
    assert most_flashes(written_out(lit(100, 100), 4000)) == 5
    assert most_flashes(written_out((Step(1, 100), Step(0.95, 100)), 4000)) == 0
    assert most_flashes([(0, 0.0), (900, 1.0), (950, 0.0), (1000, 1.0), (1050, 0.0), (1100, 1.0), (1150, 0.0)]) == 3
