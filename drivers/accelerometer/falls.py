"""Falls and blows, told from the strength of acceleration alone, so that it matters not how the sensor is worn. No I/O.

Who walks or runs is weightless for a moment and lands at 2 to 4 g, so a fall needs a longer weightlessness before its
impact. A blow needs no fall before it, and is stronger than any step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from drivers.accelerometer.protocol import Acceleration

_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class FallLimits:
    """What counts."""

    weightless_g: float = 0.35
    weightless_ns: int = 150 * _MS
    """A free fall of 0.15 s is 11 cm; a running step floats for some 0.1 s."""
    impact_g: float = 3.0
    impact_within_ns: int = 1000 * _MS
    """From the end of the weightlessness."""
    blow_g: float = 8.0
    quiet_ns: int = 2000 * _MS
    """What follows so soon belongs to the same fall."""


@dataclass(frozen=True, slots=True)
class Felt:
    """What was felt."""

    kind: str
    """``fall`` or ``blow``."""
    peak_mg: int


class FallDetector:
    """Takes samples in order of time."""

    def __init__(self, limits: FallLimits | None = None) -> None:
        self._limits = limits or FallLimits()
        self._light_since_ns: int | None = None
        self._fell_until_ns: int | None = None
        self._quiet_until_ns = 0

    def feel(self, sample: Acceleration) -> Felt | None:
        """Take a sample; return what it was the end of, or None."""
        limits, now_ns = self._limits, sample.time_ns
        strength_g = math.sqrt(sample.x_g**2 + sample.y_g**2 + sample.z_g**2)
        if strength_g < limits.weightless_g:
            if self._light_since_ns is None:
                self._light_since_ns = now_ns
            if now_ns - self._light_since_ns >= limits.weightless_ns:
                self._fell_until_ns = now_ns + limits.impact_within_ns
            return None
        self._light_since_ns = None
        if now_ns < self._quiet_until_ns:
            return None
        fell = self._fell_until_ns is not None and now_ns <= self._fell_until_ns
        if (fell and strength_g >= limits.impact_g) or strength_g >= limits.blow_g:
            self._fell_until_ns = None
            self._quiet_until_ns = now_ns + limits.quiet_ns
            return Felt("fall" if fell else "blow", round(strength_g * 1000))
        return None
