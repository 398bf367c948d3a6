"""The interlock's own file, in CPython: no sequence of commands, readings and pauses powers the camera in the dark."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hardware.companion.program.interlock import (
    AUDIBLE_MS,
    BEAT_MS,
    FLASH_EVERY_MS,
    FLASH_MS,
    FRESH_MS,
    GRACE_MS,
    IDLE,
    LIVE,
    SAFE,
    UPDATE,
    Interlock,
)

FLOOR = 30
ROUND_MS = 5


class Pi(RuleBasedStateMachine):
    """A Pi that says anything at any time, a lamp that does anything, and a loop that may stand still.

    What is right is told from what happened, and not from what the interlock remembers.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.interlock = Interlock(0, FLOOR)
        self.drawing = False
        self.last_lit: int | None = None
        """The last reading that showed a lit light, under the present command."""
        self.level = 0
        self.beat: int | None = None
        self.allowed = False
        self.audible: int | None = None

    def took(self, before: bool, refused: str) -> str:
        """Whatever was said: power that is new needs a light that draws current now."""
        if self.interlock.camera and not before:
            assert self.level > 0
            assert self.last_lit is not None
            assert self.now - self.last_lit <= FRESH_MS
        return refused

    @rule(rounds=st.integers(1, 60), drawing=st.booleans())
    def go_round(self, rounds: int, drawing: bool) -> None:
        for _ in range(rounds):
            self.pause(ROUND_MS, drawing)
            self.camera_is_honest()

    @rule(ms=st.sampled_from([1, 49, 51, 199, 201, 1_000, BEAT_MS - 1, BEAT_MS, 10_000]), drawing=st.booleans())
    def pause(self, ms: int, drawing: bool) -> None:
        """The loop stood still for so long."""
        before = self.interlock.camera
        self.now += ms
        self.drawing = drawing and self.interlock.level > 0
        if self.drawing:
            self.last_lit = self.now
        self.interlock.step(self.now, self.drawing)
        self.took(before, "")
        if self.beat is not None and self.now - self.beat >= BEAT_MS:
            self.forget()

    @rule()
    def hello(self) -> None:
        self.interlock.hello(self.now)
        self.forget()
        self.beat = self.now
        assert (self.interlock.camera, self.interlock.level, self.interlock.state) == (False, 0, LIVE)

    @rule()
    def bye(self) -> None:
        if not self.interlock.bye(self.now):
            self.forget()
            assert self.interlock.output(self.now) == 0

    @rule()
    def update(self) -> None:
        """A new program begins to come, or goes on."""
        before = self.interlock.camera
        if not self.interlock.update(self.now):
            assert not before, "a camera that has power is not taken by surprise"
            self.forget()
            assert self.interlock.state == UPDATE
            assert self.interlock.power(True, self.now) == self.interlock.light(1000, self.now) == "hello"

    @rule()
    def heartbeat(self) -> None:
        if not self.interlock.beat(self.now):
            self.beat = self.now

    @rule(level=st.sampled_from([0, 1, FLOOR, 150, 1000]))
    def light(self, level: int) -> None:
        if not self.interlock.light(level, self.now):
            if self.level == 0:
                self.last_lit = None
            self.level = level
            assert self.interlock.level == (max(level, FLOOR) if level else 0)

    @rule(on=st.booleans())
    def power(self, on: bool) -> None:
        before = self.interlock.camera
        refused = self.took(before, self.interlock.power(on, self.now))
        if not on:
            assert not self.interlock.camera
        elif not refused:
            assert self.interlock.camera

    @rule()
    def allow(self) -> None:
        powered = self.interlock.camera
        if not self.interlock.allow_audible(self.now):
            assert not powered
            self.allowed = True

    @rule()
    def announce(self) -> None:
        before = self.interlock.camera
        if not self.took(before, self.interlock.announce(self.now)):
            assert self.allowed
            self.audible = self.now

    @precondition(lambda self: not self.interlock.camera)
    @rule()
    def record(self) -> None:
        """What a Pi in order does, so that the walk does not stay in the dark."""
        self.hello()
        self.allow()
        self.light(1000)
        self.go_round(3, True)
        self.power(True)
        self.go_round(3, True)
        assert self.interlock.camera

    @invariant()
    def camera_is_honest(self) -> None:
        if not self.interlock.camera:
            return
        assert self.interlock.state == LIVE
        assert self.beat is not None
        assert self.now - self.beat < BEAT_MS
        assert self.level > 0
        assert self.interlock.output(self.now) >= FLOOR
        sounding = self.audible is not None and self.now - self.audible < AUDIBLE_MS
        if not sounding:
            assert self.last_lit is not None
            assert self.now - self.last_lit <= GRACE_MS

    @invariant()
    def it_says_why(self) -> None:
        assert (self.interlock.cut == "none") == self.interlock.camera

    def forget(self) -> None:
        self.level = 0
        self.last_lit = None
        self.beat = None
        self.allowed = False
        self.audible = None


TestPi = Pi.TestCase
TestPi.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)


def powered(audible_possible: bool = True) -> Interlock:
    interlock = Interlock(0, FLOOR, audible_possible)
    interlock.hello(0)
    assert interlock.light(1000, 0) == ""
    interlock.step(1, True)
    assert interlock.power(True, 2) == ""
    return interlock


def run(interlock: Interlock, start: int, ms: int, drawing: bool) -> int:
    for now in range(start + ROUND_MS, start + ms + 1, ROUND_MS):
        interlock.step(now, drawing)
    return start + ms


def test_a_short_darkness_is_forgiven_and_a_longer_one_is_not() -> None:
    interlock = powered()
    now = run(interlock, 1, 190, False)
    assert interlock.camera
    now = run(interlock, now, 300, True)
    now = run(interlock, now, 190, False)
    assert interlock.camera
    run(interlock, now, 20, False)
    assert (interlock.camera, interlock.cut) == (False, "dark")


def test_a_light_that_flickers_dark_most_of_the_time_is_dark() -> None:
    interlock = powered()
    now = 1
    for _ in range(8):
        now = run(interlock, now, 100, False)
        now = run(interlock, now, 50, True)
        interlock.beat(now)
    assert interlock.cut == "dark"


def test_rounds_that_take_too_long_count_as_dark() -> None:
    interlock = powered()
    for now in (2 * FRESH_MS, 4 * FRESH_MS, 6 * FRESH_MS, 8 * FRESH_MS):
        interlock.step(now, True)
    assert interlock.cut == "dark"


def test_a_light_between_two_dark_readings_counts_for_nothing() -> None:
    interlock = powered()
    for at in range(10):
        interlock.step(40 * at, at % 2 == 0)
    assert interlock.cut == "dark"


def test_darkness_from_before_the_power_is_forgotten() -> None:
    interlock = Interlock(0, FLOOR)
    interlock.hello(0)
    run(interlock, 0, 1_000, False)
    interlock.light(1000, 1_000)
    run(interlock, 1_000, 10, True)
    assert interlock.power(True, 1_010) == ""
    run(interlock, 1_010, 20, True)
    assert interlock.camera


def sounding() -> Interlock:
    interlock = Interlock(0, FLOOR)
    interlock.hello(0)
    assert interlock.allow_audible(0) == ""
    assert interlock.light(1000, 0) == ""
    interlock.step(1, True)
    assert interlock.power(True, 2) == ""
    assert interlock.announce(10) == ""
    return interlock


def test_a_sound_keeps_the_power_for_two_seconds_and_with_the_light_commanded_alone() -> None:
    interlock = sounding()
    run(interlock, 10, AUDIBLE_MS - 20, False)
    assert interlock.camera
    interlock.beat(AUDIBLE_MS - 5)
    run(interlock, AUDIBLE_MS - 10, 30, False)
    assert interlock.cut == "dark"
    interlock = sounding()
    interlock.light(0, 20)
    assert interlock.cut == "off"


def test_an_announcement_ends_with_its_session() -> None:
    interlock = sounding()
    interlock.hello(20)
    interlock.light(1000, 20)
    interlock.step(21, True)
    assert interlock.power(True, 22) == ""
    assert not interlock.audible(22)
    run(interlock, 22, 300, False)
    assert interlock.cut == "dark"


def test_a_reading_from_before_the_light_was_commanded_does_not_count() -> None:
    interlock = Interlock(0, FLOOR)
    interlock.hello(0)
    interlock.step(1, True)  # a lamp that is stuck on
    assert interlock.light(1000, 2) == ""
    assert interlock.power(True, 2) == "dark"
    interlock.step(3, True)
    assert interlock.power(True, 4) == ""


def test_an_old_reading_does_not_count() -> None:
    interlock = powered()
    assert interlock.power(False, 10) == ""
    assert interlock.cut == "asked"
    assert interlock.power(True, 2 + FRESH_MS) == "dark"


def test_the_heart_has_two_seconds() -> None:
    interlock = powered()
    run(interlock, 1, BEAT_MS - 10, True)
    assert interlock.camera
    assert interlock.beat(BEAT_MS) == "hello"
    assert (interlock.camera, interlock.cut, interlock.state) == (False, "beat", SAFE)


def test_the_safe_pattern_begins_dark_and_cannot_be_taken_for_a_steady_light() -> None:
    interlock = Interlock(0, FLOOR)
    shown = [interlock.output(now) > 0 for now in range(2 * FLASH_EVERY_MS)]
    one = [False] * (FLASH_EVERY_MS - FLASH_MS) + [True] * FLASH_MS
    assert shown == one * 2


def test_a_board_may_forbid_sound_for_good() -> None:
    interlock = Interlock(0, FLOOR, False)
    interlock.hello(0)
    assert interlock.allow_audible(0) == "never"
    assert interlock.announce(0) == "policy"


def test_before_the_first_hello_nothing_is_obeyed() -> None:
    interlock = Interlock(0, FLOOR)
    for refused in (
        interlock.beat(1), interlock.light(1000, 1), interlock.power(True, 1), interlock.allow_audible(1),
        interlock.announce(1), interlock.bye(1),
    ):  # fmt: skip
        assert refused == "hello"
    interlock.hello(2)
    assert interlock.bye(3) == ""
    assert interlock.state == IDLE
