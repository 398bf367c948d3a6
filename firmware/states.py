"""The officer's device as a table: state and signal in, state and actions out. No I/O.

What is not in the table does not happen: the signal is ignored in that state. No press is ignored: a gesture that can
have no effect is answered by `Action.REFUSE`, so that its maker feels that it was felt.
"""

from __future__ import annotations

from enum import Enum

from firmware.gesture import Gesture


class State(Enum):
    """What the device is doing."""

    SELF_TEST = "self-test"
    PRESSED_EARLY = "self-test, pressed"
    """The button was pressed before the self-test had ended: it is hurried, and a recording follows."""
    UNENROLLED = "unenrolled"
    STANDBY = "standby"
    ANNOUNCING = "announcing"
    """The light is being confirmed; no camera runs."""
    STARTING = "starting"
    """The light is confirmed and the camera runs; nothing has reached the flash yet."""
    RECORDING = "recording"
    STALLED = "stalled"
    """Recording, but of late no chunk has reached the flash."""
    RECORDING_DARK = "recording, light broken"
    """The policy says to go on with sound where the light is broken."""
    CLOSING = "closing"
    RESTARTING = "closing, pressed"
    """The button was pressed while a recording was being closed: the next one follows."""
    DOCKED = "docked"
    LOW_POWER = "low-power"
    FAULT = "fault"
    OFF = "off"


class Signal(Enum):
    """What happened."""

    DOWN = "button down"
    SHORT = "short press"
    DOUBLE = "double press"
    TRIPLE = "triple press"
    HOLD = "held"
    COUNT = "held on"
    LET_GO = "let go"
    STUCK = "button stuck"
    TESTED = "self-test passed"
    TEST_FAILED = "self-test failed"
    RESUME = "a cut recording goes on"
    LIT = "light confirmed"
    DARK = "light dark"
    """Not to be lit, or sensed dark, and the policy says stop; or it is dark and the buzzer is broken too."""
    DARK_AUDIBLE = "light dark, sound announces"
    """The same, and the policy says go on with sound."""
    STARTED = "first chunk stored"
    STALLED = "nothing stored"
    STORING = "stored again"
    ENDED = "recording closed"
    ENDED_FAULTY = "recording closed by a fault"
    FAILED = "recorder failed"
    EMPTY = "battery empty"
    CHARGED = "battery charged"
    DOCKED = "docked"
    UNDOCKED = "undocked"
    POWER_OFF = "power off"


class Action(Enum):
    """What to do about it, in order."""

    SPEND_PRESS = "the press has had its effect"
    REFUSE = "signal that the press has no effect"
    HURRY = "end the self-test"
    ANNOUNCE = "light on, to be confirmed"
    START = "start recording"
    SOUND_START = "announce by sound and touch"
    STOP = "stop recording"
    STOP_DARK = "stop recording, the light is dark"
    STOP_LOW_POWER = "stop recording, the battery is empty"
    SOUND_STOP = "signal that it stopped"
    MARK = "set a marker"
    PRIVATE = "private premises begin or end"
    LIVE = "live view on or off"
    COUNT = "count one purpose on"
    TAKE_PURPOSE = "take the purpose counted"
    TELL_FAULT = "signal the fault"
    WARN = "signal a warning"
    SHUT_DOWN = "close the chain and end"


GESTURES = {
    Gesture.DOWN: Signal.DOWN,
    Gesture.SHORT: Signal.SHORT,
    Gesture.DOUBLE: Signal.DOUBLE,
    Gesture.TRIPLE: Signal.TRIPLE,
    Gesture.HOLD: Signal.HOLD,
    Gesture.COUNT: Signal.COUNT,
    Gesture.LET_GO: Signal.LET_GO,
    Gesture.STUCK: Signal.STUCK,
}

KEEPING = frozenset(
    {State.STARTING, State.RECORDING, State.STALLED, State.RECORDING_DARK, State.CLOSING, State.RESTARTING}
)
"""States in which pictures may be kept."""

Step = tuple[State, tuple[Action, ...]]

_ANNOUNCED: Step = (State.ANNOUNCING, (Action.SPEND_PRESS, Action.ANNOUNCE))
_FAULT: Step = (State.FAULT, (Action.TELL_FAULT,))
_OFF: Step = (State.OFF, (Action.SHUT_DOWN,))
_STOPPED: Step = (State.CLOSING, (Action.SPEND_PRESS, Action.STOP, Action.SOUND_STOP))
_STOPPED_DARK: Step = (State.CLOSING, (Action.TELL_FAULT, Action.STOP_DARK, Action.SOUND_STOP))
_STOPPED_EMPTY: Step = (State.CLOSING, (Action.STOP_LOW_POWER, Action.SOUND_STOP))
_ENDED_BY_ITSELF: Step = (State.FAULT, (Action.TELL_FAULT, Action.SOUND_STOP))

TABLE: dict[tuple[State, Signal], Step] = {
    # Before anything: a press is kept until the test lets go of the camera.
    (State.SELF_TEST, Signal.DOWN): (State.PRESSED_EARLY, (Action.SPEND_PRESS, Action.HURRY)),
    (State.SELF_TEST, Signal.TESTED): (State.STANDBY, ()),
    (State.SELF_TEST, Signal.TEST_FAILED): _FAULT,
    (State.SELF_TEST, Signal.RESUME): (State.ANNOUNCING, (Action.ANNOUNCE,)),
    (State.SELF_TEST, Signal.FAILED): _FAULT,
    (State.PRESSED_EARLY, Signal.DOWN): (State.PRESSED_EARLY, (Action.SPEND_PRESS, Action.REFUSE)),
    # Failed or not: the press is tried. The light is confirmed in any case.
    (State.PRESSED_EARLY, Signal.TESTED): (State.ANNOUNCING, (Action.ANNOUNCE,)),
    (State.PRESSED_EARLY, Signal.TEST_FAILED): (State.ANNOUNCING, (Action.ANNOUNCE,)),
    (State.PRESSED_EARLY, Signal.RESUME): (State.ANNOUNCING, (Action.ANNOUNCE,)),
    (State.PRESSED_EARLY, Signal.FAILED): _FAULT,
    (State.UNENROLLED, Signal.DOWN): (State.UNENROLLED, (Action.SPEND_PRESS, Action.REFUSE)),
    #
    (State.STANDBY, Signal.DOWN): _ANNOUNCED,
    (State.STANDBY, Signal.DOCKED): (State.DOCKED, ()),
    (State.STANDBY, Signal.EMPTY): (State.LOW_POWER, ()),
    (State.STANDBY, Signal.FAILED): _FAULT,
    #
    (State.ANNOUNCING, Signal.LIT): (State.STARTING, (Action.SOUND_START, Action.START)),
    (State.ANNOUNCING, Signal.DARK): _FAULT,
    (State.ANNOUNCING, Signal.DARK_AUDIBLE): (State.RECORDING_DARK, (Action.TELL_FAULT, Action.START)),
    (State.ANNOUNCING, Signal.DOWN): (State.ANNOUNCING, ()),
    (State.ANNOUNCING, Signal.SHORT): (State.ANNOUNCING, (Action.MARK,)),
    (State.ANNOUNCING, Signal.DOUBLE): (State.ANNOUNCING, (Action.PRIVATE,)),
    (State.ANNOUNCING, Signal.TRIPLE): (State.ANNOUNCING, (Action.LIVE,)),
    (State.ANNOUNCING, Signal.HOLD): (State.STANDBY, (Action.SPEND_PRESS, Action.SOUND_STOP)),
    (State.ANNOUNCING, Signal.FAILED): _FAULT,
    #
    (State.STARTING, Signal.STARTED): (State.RECORDING, ()),
    (State.STARTING, Signal.STALLED): (State.STALLED, (Action.WARN,)),
    #
    (State.RECORDING, Signal.STALLED): (State.STALLED, (Action.WARN,)),
    (State.RECORDING, Signal.DARK_AUDIBLE): (State.RECORDING_DARK, (Action.TELL_FAULT,)),
    #
    (State.STALLED, Signal.STARTED): (State.RECORDING, ()),
    (State.STALLED, Signal.STORING): (State.RECORDING, (Action.SOUND_START,)),
    (State.STALLED, Signal.DARK_AUDIBLE): _STOPPED_DARK,
    #
    (State.RECORDING_DARK, Signal.LIT): (State.RECORDING, (Action.SOUND_START,)),
    # Neither light nor storage: there is nothing to announce.
    (State.RECORDING_DARK, Signal.STALLED): _STOPPED_DARK,
    #
    (State.CLOSING, Signal.DOWN): (State.RESTARTING, (Action.SPEND_PRESS,)),
    (State.CLOSING, Signal.COUNT): (State.CLOSING, (Action.COUNT,)),
    (State.CLOSING, Signal.LET_GO): (State.CLOSING, (Action.TAKE_PURPOSE,)),
    (State.CLOSING, Signal.ENDED): (State.STANDBY, ()),
    (State.CLOSING, Signal.ENDED_FAULTY): (State.FAULT, ()),
    (State.CLOSING, Signal.FAILED): _FAULT,
    (State.RESTARTING, Signal.DOWN): (State.RESTARTING, (Action.SPEND_PRESS, Action.REFUSE)),
    (State.RESTARTING, Signal.ENDED): (State.ANNOUNCING, (Action.ANNOUNCE,)),
    (State.RESTARTING, Signal.ENDED_FAULTY): (State.ANNOUNCING, (Action.ANNOUNCE,)),
    (State.RESTARTING, Signal.FAILED): _FAULT,
    # The hand that stopped may still be counting when the recording is closed.
    (State.STANDBY, Signal.COUNT): (State.STANDBY, (Action.COUNT,)),
    (State.STANDBY, Signal.LET_GO): (State.STANDBY, (Action.TAKE_PURPOSE,)),
    (State.DOCKED, Signal.COUNT): (State.DOCKED, (Action.COUNT,)),
    (State.DOCKED, Signal.LET_GO): (State.DOCKED, (Action.TAKE_PURPOSE,)),
    (State.LOW_POWER, Signal.COUNT): (State.LOW_POWER, (Action.COUNT,)),
    (State.LOW_POWER, Signal.LET_GO): (State.LOW_POWER, (Action.TAKE_PURPOSE,)),
    #
    (State.DOCKED, Signal.DOWN): (State.DOCKED, (Action.SPEND_PRESS, Action.REFUSE)),
    (State.DOCKED, Signal.UNDOCKED): (State.STANDBY, ()),
    (State.DOCKED, Signal.FAILED): _FAULT,
    (State.LOW_POWER, Signal.DOWN): (State.LOW_POWER, (Action.SPEND_PRESS, Action.REFUSE)),
    (State.LOW_POWER, Signal.CHARGED): (State.STANDBY, ()),
    (State.LOW_POWER, Signal.DOCKED): (State.DOCKED, ()),
    (State.LOW_POWER, Signal.FAILED): _FAULT,
    # A fault never hides: it stays until a press, or a self-test, has tried again and found it gone.
    (State.FAULT, Signal.DOWN): _ANNOUNCED,
    (State.FAULT, Signal.TESTED): (State.STANDBY, ()),
}

for _state in (State.STARTING, State.RECORDING, State.STALLED, State.RECORDING_DARK):
    TABLE |= {
        (_state, Signal.DOWN): (_state, ()),
        (_state, Signal.SHORT): (_state, (Action.MARK,)),
        (_state, Signal.DOUBLE): (_state, (Action.PRIVATE,)),
        (_state, Signal.TRIPLE): (_state, (Action.LIVE,)),
        (_state, Signal.HOLD): _STOPPED,
        (_state, Signal.DARK): _STOPPED_DARK,
        (_state, Signal.EMPTY): _STOPPED_EMPTY,
        (_state, Signal.ENDED): (State.STANDBY, (Action.SOUND_STOP,)),
        (_state, Signal.ENDED_FAULTY): _ENDED_BY_ITSELF,
        (_state, Signal.FAILED): _FAULT,
    }
for _state in State:
    if _state is not State.OFF:
        TABLE |= {
            (_state, Signal.POWER_OFF): _OFF,
            (_state, Signal.STUCK): (_state, (Action.WARN,)),
        }
        for _signal in (Signal.SHORT, Signal.DOUBLE, Signal.TRIPLE, Signal.HOLD):
            # Such a gesture began in another state, which ended under the hand.
            TABLE.setdefault((_state, _signal), (_state, (Action.REFUSE,)))


def step(state: State, signal: Signal) -> Step:
    """Return the state that follows and what to do; an unlisted signal changes nothing."""
    return TABLE.get((state, signal), (state, ()))
