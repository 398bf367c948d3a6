"""Whether the wall clock jumped, judged by the monotonic one. No I/O."""

from __future__ import annotations

from drivers.clock.protocol import ClockReading

THRESHOLD_NS = 2_000_000_000
"""A clock that is kept in step is slewed, by at most 500 ppm: that is no jump."""


class JumpWatch:
    """Is shown readings one after the other."""

    def __init__(self, threshold_ns: int = THRESHOLD_NS) -> None:
        self._threshold_ns = threshold_ns
        self._offset_ns: int | None = None

    def see(self, reading: ClockReading) -> int:
        """Return by how many nanoseconds the wall clock jumped since the last reading, forward being positive, or 0."""
        offset_ns = reading.utc_ns - reading.monotonic_ns
        before_ns, self._offset_ns = self._offset_ns, offset_ns
        if before_ns is None or abs(offset_ns - before_ns) < self._threshold_ns:
            return 0
        return offset_ns - before_ns
