"""A clock that moves when it is told to."""

from __future__ import annotations

import threading

from drivers.clock.protocol import ClockReading


class SimulatedClock:
    """Both clocks stand still until `advance`; `set_utc` makes the wall clock jump. Thread-safe."""

    def __init__(self, monotonic_ns: int = 1_000_000_000, utc_ns: int = 1_790_000_000_000_000_000) -> None:
        self._lock = threading.Lock()
        self._monotonic_ns = monotonic_ns
        self._utc_ns = utc_ns
        self.synchronised = True
        self.uncertainty_ms: int | None = 10

    def monotonic_ns(self) -> int:
        """Return the simulated monotonic time."""
        with self._lock:
            return self._monotonic_ns

    def read(self) -> ClockReading:
        """Read both clocks."""
        with self._lock:
            return ClockReading(self._monotonic_ns, self._utc_ns, self.synchronised, self.uncertainty_ms)

    def advance(self, duration_ns: int) -> None:
        """Move both clocks on."""
        with self._lock:
            self._monotonic_ns += duration_ns
            self._utc_ns += duration_ns

    def set_utc(self, utc_ns: int) -> None:
        """Let the wall clock jump."""
        with self._lock:
            self._utc_ns = utc_ns
