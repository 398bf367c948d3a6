"""What battery and storage mean for the device: warnings in time, and the state of the battery. No I/O."""

from __future__ import annotations

from firmware.cues import Note
from firmware.inputs import Health
from firmware.rules import Rules
from firmware.states import Signal

AGAIN_NS = 300_000_000_000
"""A warning that still holds is repeated this often."""
_RECOVERED_PERCENT = 3


class Vigil:
    """Is shown the device's health again and again."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._warned_ns: dict[Note, int] = {}

    def battery(self, health: Health) -> Signal | None:
        """Return whether the battery is empty, or good for a recording again."""
        if health.battery_percent is None:
            return None
        limit = self._rules.critical_battery_percent
        if health.battery_percent <= limit and not health.charging:
            return Signal.EMPTY
        return Signal.CHARGED if health.charging or health.battery_percent >= limit + _RECOVERED_PERCENT else None

    def warnings(self, health: Health, now_ns: int) -> list[Note]:
        """Return the warnings that are due."""
        low = health.battery_percent is not None and health.battery_percent <= self._rules.low_battery_percent
        due = {
            Note.LOW_BATTERY: low and not health.charging,
            Note.LOW_STORAGE: health.free_percent <= self._rules.low_storage_percent
            or (health.minutes_left is not None and health.minutes_left <= self._rules.low_storage_min),
        }
        found = []
        for note, holds in due.items():
            if not holds:
                self._warned_ns.pop(note, None)
            elif now_ns - self._warned_ns.get(note, -AGAIN_NS) >= AGAIN_NS:
                self._warned_ns[note] = now_ns
                found.append(note)
        return found
