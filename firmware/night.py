"""When it is night: by the wall clock and the policy's hours, so that nobody has to switch anything. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo

from drivers.clock.protocol import Clock
from firmware.state_checks import EARLIEST_UTC_NS, LATEST_UTC_NS
from storage.policy_fields import SignalRules

_LOOK_NS = 10_000_000_000


class NightWatch:
    """Tells of each change between day and night. A clock that cannot be right makes it day: the light is bright then.

    Night dims the light to the policy's floor and never darkens it, so a clock that is wrong by hours does no harm.
    """

    def __init__(
        self, clock: Clock, rules: SignalRules, on_change: Callable[[bool], None], *, zone: tzinfo | None = None
    ) -> None:
        """`zone` is that of the hours; None is the system's."""
        self._clock = clock
        self._from_h, self._until_h = rules.night_from_h, rules.night_until_h
        self._allowed = rules.night_allowed
        self._on_change = on_change
        self._zone = zone
        self._night = False
        self._looked_ns: int | None = None

    def look(self) -> None:
        """Look at the clock, now and then; to be called often."""
        now_ns = self._clock.monotonic_ns()
        if not self._allowed or (self._looked_ns is not None and now_ns - self._looked_ns < _LOOK_NS):
            return
        self._looked_ns = now_ns
        night = self._is_night(self._clock.read().utc_ns)
        if night is not self._night:
            self._night = night
            self._on_change(night)

    def _is_night(self, utc_ns: int) -> bool:
        if not EARLIEST_UTC_NS <= utc_ns <= LATEST_UTC_NS:
            return False
        hour = datetime.fromtimestamp(utc_ns // 1_000_000_000, UTC).astimezone(self._zone).hour
        if self._from_h <= self._until_h:
            return self._from_h <= hour < self._until_h
        return hour >= self._from_h or hour < self._until_h
