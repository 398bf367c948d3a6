"""Another clock, whose wall clock can be made to jump."""

from __future__ import annotations

from dataclasses import replace

from drivers.clock.protocol import Clock, ClockReading


class ShiftedClock:
    """That clock, and the jumps so far. Implements `drivers.clock.protocol.Clock`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._shift_ns = 0

    def jump(self, by_ns: int) -> None:
        """Let the wall clock jump by so much, forward being positive."""
        self._shift_ns += by_ns

    def monotonic_ns(self) -> int:
        """That clock's monotonic time, which never jumps."""
        return self._clock.monotonic_ns()

    def read(self) -> ClockReading:
        """Read that clock, and add the jumps."""
        reading = self._clock.read()
        return replace(reading, utc_ns=reading.utc_ns + self._shift_ns)
