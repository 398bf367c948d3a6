"""What the unit's policy means for the appliance: its choices, in the appliance's own units."""

from __future__ import annotations

from dataclasses import dataclass

from firmware.gesture import GestureTimes
from storage.policy_fields import DarkLight, Live, Policy

_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Rules:
    """The choices."""

    on_dark_announce: bool = False
    """Where the light is broken: record all the same, announced by sound again and again."""
    buffering: bool = False
    """A pre-event buffer is filled in standby."""
    resume: bool = False
    """A recording that was cut by a restart goes on, announced afresh."""
    reminder_ns: int = 0
    """How often a recording reminds its wearer; 0 is never."""
    low_battery_percent: float = 20
    critical_battery_percent: float = 5
    low_storage_percent: float = 10
    low_storage_min: int = 30

    @classmethod
    def of(cls, policy: Policy) -> Rules:
        """Read a policy."""
        recording, limits = policy.recording, policy.limits
        return cls(
            on_dark_announce=recording.on_dark_light is DarkLight.ANNOUNCE,
            buffering=recording.pre_event_s > 0,
            resume=recording.resume_after_reboot,
            reminder_ns=recording.reminder_min * 60_000 * _MS,
            low_battery_percent=limits.low_battery_percent,
            critical_battery_percent=limits.critical_battery_percent,
            low_storage_percent=limits.low_storage_percent,
            low_storage_min=limits.low_storage_min,
        )


def gesture_times(policy: Policy) -> GestureTimes:
    """Return how long is long, as the policy says."""
    button = policy.button
    triple = policy.recording.live is not Live.OFF
    return GestureTimes(button.debounce_ms * _MS, button.hold_ms * _MS, button.double_ms * _MS, triple=triple)
