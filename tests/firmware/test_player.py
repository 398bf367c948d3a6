"""What is to be lit, sounded and felt, in simulated time."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.cues import Cue, Note
from firmware.patterns import DIM, FULL, LOUD_HZ, LOW_HZ, MIDDLE_HZ, NEVER_DARK, NIGHT_FLOOR, NOTES
from firmware.player import MAX_WAITING, Output, Player
from tests.firmware.rhythms import most_flashes

MS = 1_000_000
DARK = Output(0, 0, 0)
START_NS = 7 * 1_000_000_000
GAP_MS = 400


def changes(values: list[tuple[int, float]]) -> list[tuple[int, float]]:
    return [values[0], *(late for early, late in pairwise(values) if early[1] != late[1])]


class Run:
    """A player whose changes are followed, with times in ms from the beginning."""

    def __init__(self, *, night: bool = False, cue: Cue = Cue.OFF) -> None:
        self.player = Player(START_NS, night=night, floor=0.3)
        self.ms = 0
        self.player.show(cue, START_NS)
        self.changes: list[tuple[int, Output]] = [(0, self.output)]

    @property
    def now_ns(self) -> int:
        return START_NS + self.ms * MS

    @property
    def output(self) -> Output:
        return self.player.at(self.now_ns)

    def show(self, cue: Cue) -> None:
        self.player.show(cue, self.now_ns)
        self._look()

    def play(self, note: Note) -> bool:
        played = self.player.play(note, self.now_ns)
        self._look()
        return played

    def until(self, ms: int) -> Run:
        """Go on to `ms`, looking only when the player says so."""
        while True:
            due_ns = self.player.next_change_ns(self.now_ns)
            assert due_ns is None or due_ns > self.now_ns
            if due_ns is None or due_ns > START_NS + ms * MS:
                break
            assert (due_ns - START_NS) % MS == 0
            self.ms = (due_ns - START_NS) // MS
            self._look()
        self.ms = ms
        return self

    def levels(self) -> list[tuple[int, float]]:
        """The light alone: when it changed, and to what."""
        return changes([(ms, output.level) for ms, output in self.changes])

    def calls(self) -> list[tuple[int, float]]:
        """What is both sounded and felt: when that changed, and to which tone."""
        return changes([(ms, output.tone_hz * output.strength) for ms, output in self.changes])

    def _look(self) -> None:
        if self.output != self.changes[-1][1]:
            self.changes.append((self.ms, self.output))


def test_it_begins_off() -> None:
    player = Player(START_NS)
    assert (player.cue, player.idle) == (Cue.OFF, True)
    assert player.at(START_NS) == DARK
    assert player.next_change_ns(START_NS) is None


def test_recording_is_steady_and_never_changes() -> None:
    run = Run(cue=Cue.RECORDING)
    assert run.output == Output(FULL, 0, 0)
    assert run.player.next_change_ns(run.now_ns) is None
    assert run.until(10_000_000).changes == [(0, Output(FULL, 0, 0))]


def test_a_cue_is_repeated() -> None:
    run = Run(cue=Cue.RECORDING_LIVE).until(6000)
    assert run.levels() == [(0, FULL), (2000, DIM), (2250, FULL), (4250, DIM), (4500, FULL)]


def test_another_cue_begins_at_once_and_the_same_one_goes_on() -> None:
    run = Run(cue=Cue.ANNOUNCING).until(600)
    assert run.output.level == DIM
    run.show(Cue.ANNOUNCING)
    assert run.output.level == DIM
    run.show(Cue.RECORDING)
    assert run.output.level == FULL
    run.until(5000).show(Cue.CLOSING)
    run.until(5500)
    assert run.levels() == [(0, FULL), (400, DIM), (600, FULL), (5400, DIM)]


def test_it_may_be_asked_at_any_time() -> None:
    player = Player(START_NS)
    player.show(Cue.RECORDING_LIVE, START_NS)
    for turn in (0, 1, 1000):
        begin_ns = START_NS + turn * 2250 * MS
        assert player.at(begin_ns).level == FULL
        assert player.at(begin_ns + 2000 * MS - 1).level == FULL
        assert player.next_change_ns(begin_ns + 2000 * MS - 1) == begin_ns + 2000 * MS
        assert player.at(begin_ns + 2000 * MS).level == DIM


def test_a_note_takes_sound_and_touch_and_leaves_the_recording_light() -> None:
    run = Run(cue=Cue.RECORDING).until(1000)
    run.play(Note.STARTED)
    assert not run.player.idle
    run.until(3000)
    assert run.player.idle
    on, off = Output(FULL, LOUD_HZ, 1), Output(FULL, 0, 0)
    assert run.changes == [(0, off), (1000, on), (1150, off), (1300, on), (1450, off)]


def test_a_note_takes_the_light_where_it_may_go_dark() -> None:
    run = Run(cue=Cue.STANDBY).until(1000)
    run.play(Note.REFUSED)
    assert run.output == Output(DIM, LOW_HZ, 1)
    run.until(9950)
    assert run.levels() == [(0, 0), (1000, DIM), (1400, 0), (9900, DIM)]


def test_a_note_keeps_the_light_dark_for_a_while_and_another_cue_takes_it_back() -> None:
    run = Run(cue=Cue.SELF_TEST).until(100)
    run.play(Note.REFUSED)
    run.until(900)
    assert (run.player.idle, run.output.level) == (True, 0)
    run.until(2500).play(Note.REFUSED)
    run.until(3050).show(Cue.ANNOUNCING)
    assert run.levels() == [(0, DIM), (500, 0), (2000, DIM), (2900, 0), (3050, FULL)]


@pytest.mark.parametrize("cue", sorted(NEVER_DARK, key=str))
@pytest.mark.parametrize("night", [False, True])
def test_no_note_touches_the_light_of_a_recording(cue: Cue, night: bool) -> None:
    alone = Run(cue=cue, night=night).until(60_000)
    busy = Run(cue=cue, night=night)
    for at, note in enumerate(Note):
        busy.until(100 + 3700 * at).play(note)
    busy.until(60_000)

    assert busy.levels() == alone.levels()
    assert all(level >= NIGHT_FLOOR for _, level in busy.levels())


def test_notes_are_played_one_after_another_with_a_pause() -> None:
    run = Run(cue=Cue.RECORDING)
    run.play(Note.MARKER)
    run.play(Note.COUNT)
    run.until(5000)
    on, off = Output(FULL, MIDDLE_HZ, 1), Output(FULL, 0, 0)
    assert run.changes == [(0, off), (0, on), (250, off), (250 + GAP_MS, on), (330 + GAP_MS, off)]


def test_a_note_soon_after_another_waits_for_the_pause() -> None:
    run = Run(cue=Cue.RECORDING)
    run.play(Note.MARKER)
    run.until(300).play(Note.MARKER)
    assert run.output.strength == 0
    assert run.player.next_change_ns(run.now_ns) == START_NS + (250 + GAP_MS) * MS
    run.until(2000).play(Note.MARKER)
    assert run.output.strength == 1
    begins = [ms for ms, output in run.changes if output.strength]
    assert begins == [0, 250 + GAP_MS, 2000]


def test_a_late_caller_still_plays_the_next_note_whole() -> None:
    run = Run(cue=Cue.RECORDING)
    run.play(Note.MARKER)
    run.play(Note.COUNT)
    run.ms = 5000
    assert run.output.strength == 1
    run.until(6000)
    assert run.player.idle


def test_more_notes_than_may_wait_are_dropped() -> None:
    run = Run(cue=Cue.RECORDING)
    taken = [run.play(Note.COUNT) for _ in range(MAX_WAITING + 3)]
    assert taken == [True] * (MAX_WAITING + 1) + [False] * 2
    run.until(60_000)
    assert sum(1 for _, output in run.changes if output.strength) == MAX_WAITING + 1
    assert run.play(Note.COUNT)


def test_at_night_it_is_dimmed_and_quiet_and_felt_all_the_same() -> None:
    run = Run(cue=Cue.RECORDING, night=True)
    assert run.output.level == 0.3
    run.play(Note.MARKER)
    assert run.output == Output(0.3, 0, 1)
    run.until(1000).play(Note.STARTED)
    assert run.output == Output(0.3, LOUD_HZ, 1)
    run.player.set_night(False)
    assert run.output == Output(FULL, LOUD_HZ, 1)
    run.player.set_night(True)
    run.show(Cue.STANDBY)
    run.until(1000 + 9950)
    assert run.output.level == NIGHT_FLOOR


def test_a_cue_that_calls_is_heard_first_and_the_note_that_it_cuts_again() -> None:
    run = Run(cue=Cue.RECORDING)
    run.play(Note.REMINDER)
    run.until(500).show(Cue.DARK)
    assert run.output == Output(FULL, LOUD_HZ, 1)
    run.until(500 + 1450 + GAP_MS)
    assert run.output.tone_hz == MIDDLE_HZ
    run.until(500 + 1450 + GAP_MS + NOTES[Note.REMINDER].duration_ms)
    assert run.output.tone_hz == LOUD_HZ
    assert run.player.idle


def test_a_call_is_heard_whole_between_two_notes() -> None:
    run = Run(cue=Cue.FAULT)
    run.until(500).play(Note.REFUSED)
    run.play(Note.REFUSED)
    first_end_ms = 500 + 500
    call_end_ms = first_end_ms + 3000
    run.until(call_end_ms + GAP_MS - 1)
    begins = [ms - first_end_ms for ms, tone in run.calls() if tone and ms >= first_end_ms]
    assert begins == [0, 800, 1600, 2400]
    assert run.output.strength == 0
    run.until(call_end_ms + GAP_MS)
    assert run.output == Output(run.output.level, LOW_HZ, 1)


calls = st.lists(st.tuples(st.integers(1, 3000), st.sampled_from(Note)), max_size=12)


@settings(max_examples=30, deadline=None)
@given(calls, st.booleans())
def test_without_light_it_calls_at_least_every_five_seconds_whatever_else_is_played(
    notes: list[tuple[int, Note]], night: bool
) -> None:
    run = Run(cue=Cue.DARK, night=night)
    for after_ms, note in notes:
        run.until(run.ms + after_ms).play(note)
    run.until(run.ms + 12_000)
    # No note has a tone of this length at this pitch.
    tones = [ms for (ms, tone), (until_ms, _) in pairwise(run.calls()) if (tone, until_ms - ms) == (LOUD_HZ, 250)]
    assert all(late - early <= 5000 for early, late in pairwise([0, *tones, run.ms]))


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(Cue), calls, st.booleans())
def test_notes_over_a_cue_flash_no_more_than_three_times_in_a_second(
    cue: Cue, notes: list[tuple[int, Note]], night: bool
) -> None:
    run = Run(cue=cue, night=night)
    for after_ms, note in notes:
        run.until(run.ms + after_ms).play(note)
    run.until(run.ms + 10_000)
    assert most_flashes(run.levels()) <= 3


@pytest.mark.parametrize("cue", [cue for cue in Cue if cue not in NEVER_DARK])
def test_notes_at_every_moment_of_a_cue_flash_no_more_than_three_times_in_a_second(cue: Cue) -> None:
    first_blink_ms = 9500 if cue is Cue.STANDBY else 0
    for begin_ms in range(first_blink_ms, first_blink_ms + 2500, 50):
        run = Run(cue=cue).until(begin_ms)
        run.play(Note.REFUSED)
        run.play(Note.REFUSED)
        run.until(begin_ms + 5000)
        assert most_flashes(run.levels()) <= 3, begin_ms


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 400).map(lambda tens: 10 * tens), st.sampled_from([*Cue, *Note])), max_size=20)
)
def test_nobody_misses_a_change_by_looking_only_when_told_to(asked: list[tuple[int, Cue | Note]]) -> None:
    run, eager = Run(), Player(START_NS)
    seen: list[tuple[int, Output]] = [(0, DARK)]

    def look(ms: int) -> None:
        if (output := eager.at(START_NS + ms * MS)) != seen[-1][1]:
            seen.append((ms, output))

    for after_ms, what in asked:
        begin_ms = run.ms
        run.until(begin_ms + after_ms)
        for ms in range(begin_ms, run.ms + 1, 10):
            look(ms)
        if isinstance(what, Cue):
            run.show(what)
            eager.show(what, run.now_ns)
        else:
            assert run.play(what) == eager.play(what, run.now_ns)
        look(run.ms)
    assert run.changes == seen
