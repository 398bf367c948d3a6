"""Which standing cue belongs to which state. No I/O."""

from __future__ import annotations

from firmware.cues import Cue
from firmware.states import State

_CUES = {
    State.SELF_TEST: Cue.SELF_TEST,
    State.PRESSED_EARLY: Cue.SELF_TEST,
    State.UNENROLLED: Cue.UNENROLLED,
    State.STANDBY: Cue.STANDBY,
    State.ANNOUNCING: Cue.ANNOUNCING,
    State.STARTING: Cue.ANNOUNCING,
    State.RECORDING: Cue.RECORDING,
    State.STALLED: Cue.STALLED,
    State.RECORDING_DARK: Cue.DARK,
    State.CLOSING: Cue.CLOSING,
    State.RESTARTING: Cue.CLOSING,
    State.DOCKED: Cue.DOCKED,
    State.LOW_POWER: Cue.LOW_POWER,
    State.FAULT: Cue.FAULT,
    State.OFF: Cue.OFF,
}


def standing_cue(state: State, *, live: bool = False, buffering: bool = False) -> Cue:
    """Return what is to be shown: `live` while pictures go out, `buffering` while a pre-event buffer is filled."""
    if state is State.RECORDING and live:
        return Cue.RECORDING_LIVE
    if state is State.STANDBY and buffering:
        return Cue.BUFFERING
    return _CUES[state]
