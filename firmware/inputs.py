"""What the main thread takes from its queue of inputs, beside the drivers' own edges and states."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.button.protocol import ButtonEdge
from drivers.indicator.protocol import LightState
from firmware.recorder import Report


@dataclass(frozen=True, slots=True)
class PowerOff:
    """Somebody asked the device to close everything and end."""


@dataclass(frozen=True, slots=True)
class Docked:
    """The device was put into its dock, or taken out."""

    docked: bool


@dataclass(frozen=True, slots=True)
class Tested:
    """The self-test has ended."""

    passed: bool
    text: str = ""
    """What failed and what to do; empty where nothing did."""


@dataclass(frozen=True, slots=True)
class Fall:
    """The accelerometer felt a fall or a blow."""

    kind: str
    peak_mg: int
    """The strongest sample of it, in thousandths of standard gravity."""


@dataclass(frozen=True, slots=True)
class Health:
    """What the health thread has found."""

    battery_percent: float | None
    """None where no battery is known of."""
    charging: bool
    free_percent: float
    """Of the store, beyond its reserve."""
    minutes_left: int | None = None
    """Of recording at the policy's bitrate; None where nobody knows."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A part does not work; the recording goes on without it."""

    part: str
    text: str
    """Empty when the part works again."""


@dataclass(frozen=True, slots=True)
class LiveLink:
    """The link to the station's broker is there, or is gone."""

    up: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class LiveAsked:
    """A station asks for live view. It cannot do more than ask."""

    id: str
    by: str


Input = ButtonEdge | LightState | Report | PowerOff | Docked | Tested | Fall | Health | Trouble | LiveLink | LiveAsked
