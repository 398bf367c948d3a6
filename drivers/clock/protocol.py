"""What the clock is to the rest of the project."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class TimeSource(Enum):
    """What the wall clock's time is from."""

    NONE = "none"
    RTC = "rtc"
    NTP = "ntp"
    GNSS = "gnss"
    DOCK = "dock"


@dataclass(frozen=True, slots=True)
class ClockReading:
    """One instant on both clocks."""

    monotonic_ns: int
    utc_ns: int
    """Unix time in nanoseconds."""
    synchronised: bool
    """The system keeps the wall clock in step with a reference."""
    uncertainty_ms: int | None
    """At most this far off, or None where nobody knows."""
    source: TimeSource | None = None
    """None where only `synchronised` is known."""

    def utc_at(self, monotonic_ns: int) -> int:
        """Return the wall-clock time (ns) of another instant, by this reading's offset."""
        return self.utc_ns + monotonic_ns - self.monotonic_ns


class Clock(Protocol):
    """Tells the time. Thread-safe."""

    def monotonic_ns(self) -> int:
        """Return `time.monotonic_ns()`."""
        ...

    def read(self) -> ClockReading:
        """Read both clocks at one instant."""
        ...
