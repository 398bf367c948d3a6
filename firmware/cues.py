"""What the device may want to say to its wearer and to bystanders. How it says so is in `firmware.patterns`."""

from __future__ import annotations

from enum import Enum


class Cue(Enum):
    """Standing cues: one of them holds at any time, for as long as the device is in that condition."""

    OFF = "off"
    SELF_TEST = "self-test"
    UNENROLLED = "unenrolled"
    STANDBY = "standby"
    BUFFERING = "pre-event buffer"
    """Standby with a pre-event buffer: people nearby are told that the last seconds are held in memory."""
    ANNOUNCING = "announcing"
    RECORDING = "recording"
    RECORDING_LIVE = "recording, live on"
    STALLED = "recording, not stored"
    """The button was pressed and the light was confirmed, but no chunk has reached the flash of late."""
    DARK = "recording, light broken"
    """The light is broken and the policy says go on: sound and touch alone announce, again and again."""
    CLOSING = "closing"
    DOCKED = "docked"
    LOW_POWER = "low power"
    FAULT = "fault"


class Note(Enum):
    """Passing cues, played once over the standing one."""

    STARTED = "recording started"
    STOPPED = "recording stopped"
    MARKER = "marker set"
    PRIVATE_ON = "private premises begin"
    PRIVATE_OFF = "private premises end"
    COUNT = "purpose counted"
    """Once per letter while the button stays down after the stop: a, b, c, d, e."""
    PURPOSE = "purpose taken"
    REMINDER = "still recording"
    LOW_BATTERY = "low battery"
    LOW_STORAGE = "low storage"
    WARNING = "warning"
    """Something is wrong that does not stop the recording: the microphone died, the policy expired."""
    REFUSED = "refused"
    """The press was felt, and nothing happens because of it."""
    LIVE_ON = "live on"
    LIVE_OFF = "live off"
    LIVE_ASKED = "live asked for"
    """A station asks: three presses say yes, doing nothing says no."""


KEEPING = frozenset({Cue.ANNOUNCING, Cue.RECORDING, Cue.RECORDING_LIVE, Cue.STALLED, Cue.CLOSING})
"""Standing cues during which pictures may be kept: their light is never dark, by day or by night."""
