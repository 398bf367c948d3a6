"""The table of states, walked through exhaustively, and by random sequences of everything that may happen."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from firmware.cues import KEEPING as KEEPING_CUES
from firmware.cues import Cue
from firmware.gesture import Gesture
from firmware.patterns import CUES
from firmware.standing import standing_cue
from firmware.states import GESTURES, KEEPING, TABLE, Action, Signal, State, step

STOPS = {Action.STOP, Action.STOP_DARK, Action.STOP_LOW_POWER}
PRESSES = [Signal.DOWN, Signal.SHORT, Signal.DOUBLE, Signal.HOLD]
ALIVE = [state for state in State if state is not State.OFF]


def reachable_from(state: State) -> set[State]:
    found: set[State] = set()
    waiting = [state]
    while waiting:
        now = waiting.pop()
        if now not in found:
            found.add(now)
            waiting += [step(now, signal)[0] for signal in Signal]
    return found


def test_every_state_is_reached_and_has_a_way_out() -> None:
    assert reachable_from(State.SELF_TEST) == set(State) - {State.UNENROLLED}
    for state in set(ALIVE) - {State.UNENROLLED}:
        assert {State.OFF, State.STANDBY, State.RECORDING} <= reachable_from(state), state
    assert reachable_from(State.UNENROLLED) == {State.UNENROLLED, State.OFF}
    assert reachable_from(State.OFF) == {State.OFF}


@pytest.mark.parametrize("state", ALIVE)
def test_power_off_ends_every_state_through_the_recorder(state: State) -> None:
    assert step(state, Signal.POWER_OFF) == (State.OFF, (Action.SHUT_DOWN,))


@pytest.mark.parametrize(("state", "signal"), sorted(set(product(State, Signal)) - TABLE.keys(), key=str))
def test_an_unlisted_signal_changes_nothing(state: State, signal: Signal) -> None:
    assert step(state, signal) == (state, ())


@pytest.mark.parametrize(("state", "signal"), list(product(ALIVE, PRESSES)))
def test_no_press_is_lost(state: State, signal: Signal) -> None:
    """It changes the state, or has an effect that is felt; or it is a press whose gesture is not certain yet."""
    after, actions = step(state, signal)
    if signal is Signal.DOWN and Action.SPEND_PRESS not in actions:
        assert (state, signal) in TABLE
        for gesture in (Signal.SHORT, Signal.DOUBLE, Signal.HOLD):
            assert step(state, gesture)[1], "what the press becomes has no effect"
    else:
        assert after is not state or actions


def test_only_a_hold_stops_a_recording() -> None:
    for state, signal in product(State, PRESSES):
        if STOPS & set(step(state, signal)[1]):
            assert signal is Signal.HOLD
    assert {Gesture.HOLD} == {
        gesture for gesture in Gesture if STOPS & set(step(State.RECORDING, GESTURES[gesture])[1])
    }
    assert set(GESTURES) == set(Gesture)


def test_nothing_remote_starts_a_recording() -> None:
    """A recording is announced by a press alone; or goes on where one was cut."""
    announcing = {signal for (_state, signal), (_after, actions) in TABLE.items() if Action.ANNOUNCE in actions}
    after_a_press = {State.PRESSED_EARLY, State.RESTARTING}
    assert announcing == {Signal.DOWN, Signal.RESUME} | {
        signal
        for (state, signal), (_after, actions) in TABLE.items()
        if state in after_a_press and Action.ANNOUNCE in actions
    }
    for state in after_a_press:
        assert {signal for (_from, signal), (after, _do) in TABLE.items() if after is state and _from is not state} == {
            Signal.DOWN
        }


def test_where_pictures_are_kept_the_light_is_never_commanded_dark() -> None:
    for state in KEEPING:
        cue = standing_cue(state)
        assert cue in KEEPING_CUES or cue is Cue.DARK
        assert all(part.value > 0 for part in CUES[cue].light)
    assert standing_cue(State.RECORDING, live=True) is Cue.RECORDING_LIVE
    assert standing_cue(State.STANDBY, buffering=True) is Cue.BUFFERING
    assert {standing_cue(state) for state in State} == set(Cue) - {Cue.RECORDING_LIVE, Cue.BUFFERING}


def test_a_fault_never_hides() -> None:
    """What ends by a fault ends in the state of that name; only a press or a test that passed leads out of it."""
    for state in KEEPING:
        after = step(state, Signal.ENDED_FAULTY)[0]
        assert after in (State.FAULT, State.ANNOUNCING), state
    out = {signal for signal in Signal if step(State.FAULT, signal)[0] is not State.FAULT}
    assert out == {Signal.DOWN, Signal.TESTED, Signal.POWER_OFF}


class Life(RuleBasedStateMachine):
    """A device in which anything happens, with a plain account of what was done beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State.SELF_TEST
        self.announced = False
        self.running = False
        """The recorder was started and has not reported its end."""
        self.stopped = False
        self.pressed_or_cut = False

    @rule(signal=st.sampled_from([signal for signal in Signal if signal not in (Signal.LIT, Signal.STARTED)]))
    def happens(self, signal: Signal) -> None:
        if signal in (Signal.ENDED, Signal.ENDED_FAULTY):
            if not self.running:
                return  # the recorder reports the end of what was started, and no other
            self.running = self.stopped = False
        if signal is Signal.FAILED:
            self.running = self.stopped = False
        if signal in (Signal.DOWN, Signal.RESUME):
            self.pressed_or_cut = True
        self.take(signal)

    @precondition(lambda self: self.state in (State.ANNOUNCING, State.RECORDING_DARK))
    @rule()
    def light_is_confirmed(self) -> None:
        self.take(Signal.LIT)

    @precondition(lambda self: self.running)
    @rule()
    def first_chunk(self) -> None:
        self.take(Signal.STARTED)

    def take(self, signal: Signal) -> None:
        before = self.state
        self.state, actions = step(before, signal)
        if self.state is State.ANNOUNCING and before is not State.ANNOUNCING:
            assert Action.ANNOUNCE in actions
            assert self.pressed_or_cut
            self.announced = True
        for action in actions:
            if action is Action.START:
                assert self.announced, "records without announcing"
                assert signal in (Signal.LIT, Signal.DARK_AUDIBLE), "neither light nor sound was confirmed"
                assert signal is Signal.DARK_AUDIBLE or actions.index(Action.SOUND_START) < actions.index(Action.START)
                assert not self.running, "two recordings at once"
                self.running = True
            if action in STOPS:
                self.stopped = True
        if self.state in (State.STANDBY, State.FAULT, State.DOCKED, State.LOW_POWER):
            self.announced = self.pressed_or_cut = False

    @invariant()
    def what_runs_is_shown(self) -> None:
        if self.running and self.state is not State.OFF:
            assert self.state in KEEPING
        if self.stopped and self.running and self.state is not State.OFF:
            assert self.state in (State.CLOSING, State.RESTARTING)


TestLife = Life.TestCase
