"""The officer's device as a table: state and signal in, state and actions out. No I/O.

What is not in the table does not happen: the signal is ignored in that state.
"""

from __future__ import annotations

from enum import Enum

from firmware.gesture import Gesture


class State(Enum):
    """What the device is doing."""

    STANDBY = "standby"
    ANNOUNCING = "announcing"
    RECORDING = "recording"
    CLOSING = "closing"
    FAULT = "fault"
    OFF = "off"


class Signal(Enum):
    """What happened."""

    DOWN = "button down"
    SHORT = "short press"
    DOUBLE = "double press"
    HOLD = "held"
    LIT = "light confirmed"
    DARK = "light dark"
    STARTED = "first chunk durable"
    ENDED = "recording closed"
    FAILED = "recorder failed"
    POWER_OFF = "power off"


class Action(Enum):
    """What to do about it, in order."""

    LIGHT_ON = "light on"
    LIGHT_OFF = "light off"
    CONFIRM_LIGHT = "confirm the light"
    SPEND_PRESS = "the press has had its effect"
    START = "start recording"
    STOP = "stop recording"
    STOP_DARK = "stop recording, the light is dark"
    MARK = "set a marker"
    SHUT_DOWN = "close the chain and end"
    TELL_FAULT = "signal the fault"


GESTURES = {
    Gesture.DOWN: Signal.DOWN,
    Gesture.SHORT: Signal.SHORT,
    Gesture.DOUBLE: Signal.DOUBLE,
    Gesture.HOLD: Signal.HOLD,
}

Step = tuple[State, tuple[Action, ...]]

TABLE: dict[tuple[State, Signal], Step] = {
    (State.STANDBY, Signal.DOWN): (
        State.ANNOUNCING,
        (Action.SPEND_PRESS, Action.LIGHT_ON, Action.CONFIRM_LIGHT),
    ),
    (State.STANDBY, Signal.FAILED): (State.FAULT, (Action.LIGHT_OFF, Action.TELL_FAULT)),
    (State.STANDBY, Signal.POWER_OFF): (State.OFF, (Action.SHUT_DOWN,)),
    (State.ANNOUNCING, Signal.LIT): (State.RECORDING, (Action.START,)),
    (State.ANNOUNCING, Signal.DARK): (State.FAULT, (Action.LIGHT_OFF, Action.TELL_FAULT)),
    (State.ANNOUNCING, Signal.FAILED): (State.FAULT, (Action.LIGHT_OFF, Action.TELL_FAULT)),
    (State.ANNOUNCING, Signal.POWER_OFF): (State.OFF, (Action.LIGHT_OFF, Action.SHUT_DOWN)),
    (State.RECORDING, Signal.SHORT): (State.RECORDING, (Action.MARK,)),
    (State.RECORDING, Signal.HOLD): (State.CLOSING, (Action.SPEND_PRESS, Action.STOP)),
    (State.RECORDING, Signal.DARK): (State.CLOSING, (Action.TELL_FAULT, Action.STOP_DARK)),
    (State.RECORDING, Signal.ENDED): (State.STANDBY, (Action.LIGHT_OFF, Action.TELL_FAULT)),
    (State.RECORDING, Signal.FAILED): (State.FAULT, (Action.LIGHT_OFF, Action.TELL_FAULT)),
    (State.RECORDING, Signal.POWER_OFF): (State.OFF, (Action.STOP, Action.SHUT_DOWN)),
    (State.CLOSING, Signal.ENDED): (State.STANDBY, (Action.LIGHT_OFF,)),
    (State.CLOSING, Signal.FAILED): (State.FAULT, (Action.LIGHT_OFF, Action.TELL_FAULT)),
    (State.CLOSING, Signal.POWER_OFF): (State.OFF, (Action.SHUT_DOWN,)),
    (State.FAULT, Signal.DOWN): (
        State.ANNOUNCING,
        (Action.SPEND_PRESS, Action.LIGHT_ON, Action.CONFIRM_LIGHT),
    ),
    (State.FAULT, Signal.ENDED): (State.FAULT, (Action.LIGHT_OFF,)),
    (State.FAULT, Signal.POWER_OFF): (State.OFF, (Action.LIGHT_OFF, Action.SHUT_DOWN)),
}


def step(state: State, signal: Signal) -> Step:
    """Return the state that follows and what to do; an unlisted signal changes nothing."""
    return TABLE.get((state, signal), (state, ()))
