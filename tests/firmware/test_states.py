"""The table of states, walked through exhaustively: every state and signal, with what the light does meanwhile."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from itertools import product

import pytest

from firmware.gesture import Gesture
from firmware.states import GESTURES, TABLE, Action, Signal, State, step


@dataclass(frozen=True)
class World:
    """A state, and what was done about the light on the way there."""

    state: State = State.STANDBY
    light: bool = False
    confirming: bool = False
    confirmed: bool = False

    def after(self, signal: Signal) -> tuple[World, tuple[Action, ...]]:
        state, actions = step(self.state, signal)
        world = replace(self, state=state)
        if signal is Signal.LIT and self.confirming:
            world = replace(world, confirmed=True, confirming=False)
        for action in actions:
            if action is Action.LIGHT_ON:
                world = replace(world, light=True, confirmed=False)
            elif action is Action.CONFIRM_LIGHT:
                assert world.light, "the light is confirmed only after it was switched on"
                world = replace(world, confirming=True)
            elif action is Action.LIGHT_OFF:
                world = replace(world, light=False, confirming=False, confirmed=False)
            elif action is Action.START:
                assert world.light, "a recording starts while the light is off"
                assert world.confirmed, "a recording starts before the light was confirmed"
        return world, actions


def walk() -> dict[World, list[tuple[Signal, World, tuple[Action, ...]]]]:
    """Every world that any sequence of signals reaches, and what follows from it."""
    found: dict[World, list[tuple[Signal, World, tuple[Action, ...]]]] = {}
    waiting = deque([World()])
    while waiting:
        world = waiting.popleft()
        if world not in found:
            found[world] = [(signal, *world.after(signal)) for signal in Signal]
            waiting.extend(after for _signal, after, _actions in found[world])
    return found


def reachable_from(state: State) -> set[State]:
    found: set[State] = set()
    waiting = [state]
    while waiting:
        now = waiting.pop()
        if now not in found:
            found.add(now)
            waiting += [step(now, signal)[0] for signal in Signal]
    return found


def test_every_state_is_reached_and_with_it_every_entry() -> None:
    reached = {world.state for world in walk()}
    assert reached == set(State)
    assert {state for state, _signal in TABLE} == reached - {State.OFF}


def test_nothing_is_recorded_before_the_light_is_on_and_confirmed() -> None:
    walked = walk()  # the assertions are in `World.after`, at every START
    starts = [
        (world, after)
        for world, steps in walked.items()
        for _signal, after, actions in steps
        if Action.START in actions
    ]
    assert starts
    assert {world.state for world, _after in starts} == {State.ANNOUNCING}
    assert {after.state for _world, after in starts} == {State.RECORDING}


def test_the_light_is_on_exactly_while_something_is_announced_or_recorded() -> None:
    on = {State.ANNOUNCING, State.RECORDING, State.CLOSING}
    for world in walk():
        if world.state is not State.OFF:  # the appliance itself puts the light out when it ends
            assert world.light == (world.state in on), world


@pytest.mark.parametrize("state", [state for state in State if state is not State.OFF])
def test_every_state_has_a_way_out(state: State) -> None:
    assert {State.OFF, State.STANDBY, State.RECORDING} <= reachable_from(state)
    assert step(state, Signal.POWER_OFF)[0] is State.OFF
    assert Action.SHUT_DOWN in step(state, Signal.POWER_OFF)[1]


def test_off_is_the_end() -> None:
    assert reachable_from(State.OFF) == {State.OFF}


@pytest.mark.parametrize(("state", "signal"), sorted(set(product(State, Signal)) - TABLE.keys(), key=str))
def test_an_unlisted_signal_changes_nothing(state: State, signal: Signal) -> None:
    assert step(state, signal) == (state, ())


@pytest.mark.parametrize("state", [State.STANDBY, State.ANNOUNCING, State.CLOSING, State.FAULT])
def test_a_press_stops_a_recording_in_no_state(state: State) -> None:
    for signal in (Signal.DOWN, Signal.SHORT, Signal.DOUBLE, Signal.HOLD):
        assert not {Action.STOP, Action.STOP_DARK, Action.SHUT_DOWN} & set(step(state, signal)[1])


def test_only_a_hold_stops_a_recording() -> None:
    stopping = {gesture for gesture in Gesture if Action.STOP in step(State.RECORDING, GESTURES[gesture])[1]}
    assert stopping == {Gesture.HOLD}
    assert set(GESTURES) == set(Gesture)


def test_a_recorder_that_fails_ends_in_a_fault_with_the_light_off() -> None:
    for state in (State.STANDBY, State.ANNOUNCING, State.RECORDING, State.CLOSING):
        assert step(state, Signal.FAILED) == (State.FAULT, (Action.LIGHT_OFF, Action.TELL_FAULT))
