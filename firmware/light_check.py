"""Whether the recording light may be believed: is it confirmed, has it gone dark, is it back. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.indicator.protocol import LightState
from firmware.states import Signal, State

_WATCHED = frozenset({State.STARTING, State.RECORDING, State.STALLED})


@dataclass(frozen=True, slots=True)
class LightTimes:
    """Times in nanoseconds."""

    confirm_ns: int = 500_000_000
    """How long the light may take until it is sensed lit."""
    dark_ns: int = 500_000_000
    """How long it may be sensed dark while recording."""
    relit_ns: int = 1_000_000_000
    """How long a light that was broken must be sensed lit until it is believed again."""


class LightCheck:
    """Is shown the light again and again; says when that means something for the device."""

    def __init__(self, times: LightTimes = LightTimes()) -> None:
        self._times = times
        self._state: State | None = None
        self._since_ns = 0

    def look(self, state: State, light: LightState, now_ns: int, *, go_on: bool) -> Signal | None:
        """Return what the light means now; `go_on` says that a dark light is to be made up for by sound."""
        dark = Signal.DARK_AUDIBLE if go_on else Signal.DARK
        if state is not self._state:
            self._state, self._since_ns = state, now_ns
        if state is State.ANNOUNCING:
            if light.lit:
                return Signal.LIT
            return dark if now_ns - self._since_ns >= self._times.confirm_ns else None
        if state in _WATCHED:
            return dark if self._lasted(not light.lit, now_ns, self._times.dark_ns) else None
        if state is State.RECORDING_DARK:
            if not go_on:
                return Signal.DARK  # neither light nor sound
            return Signal.LIT if self._lasted(light.lit, now_ns, self._times.relit_ns) else None
        return None

    def _lasted(self, holds: bool, now_ns: int, long_ns: int) -> bool:
        if not holds:
            self._since_ns = now_ns
        return now_ns - self._since_ns >= long_ns


class GlowCheck:
    """Finds a light that shines although it was commanded dark: a short, which would promise a recording."""

    _LASTS_NS = 1_000_000_000

    def __init__(self) -> None:
        self._since_ns: int | None = None
        self._glows = False

    def look(self, light: LightState, now_ns: int) -> bool | None:
        """Return True when it begins to be so and False when it is over; None while nothing changes."""
        if light.commanded:
            self._since_ns = None  # says nothing either way
            return None
        if not light.sensed:
            self._since_ns = None
            was, self._glows = self._glows, False
            return False if was else None
        if self._since_ns is None:
            self._since_ns = now_ns
        if self._glows or now_ns - self._since_ns < self._LASTS_NS:
            return None
        self._glows = True
        return True
