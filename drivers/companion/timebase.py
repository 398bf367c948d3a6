"""Leads the controller's times over to the Pi's monotonic clock."""

from __future__ import annotations

_WINDOW_NS = 30_000_000_000


class Timebase:
    """Takes the line that travelled quickest in the last 30 to 60 s as the measure.

    A line is never early, only late: the smallest difference between arrival and stamp is the truest. Old ones are
    forgotten, for the two clocks drift apart (some 100 ppm: 6 ms in that time).
    """

    def __init__(self) -> None:
        self._since_ns: int | None = None
        self._now_ns: int | None = None
        self._before_ns: int | None = None

    def saw(self, arrived_ns: int, time_ms: int) -> None:
        """Take a line that was stamped `time_ms` by the controller."""
        offset_ns = arrived_ns - time_ms * 1_000_000
        if self._since_ns is None or arrived_ns - self._since_ns >= _WINDOW_NS:
            self._since_ns = arrived_ns
            self._before_ns, self._now_ns = self._now_ns, offset_ns
        elif self._now_ns is None or offset_ns < self._now_ns:
            self._now_ns = offset_ns

    def monotonic_ns(self, time_ms: int, now_ns: int) -> int:
        """Return when that was, never in the future; `now_ns` while nothing is known."""
        offsets = [offset for offset in (self._now_ns, self._before_ns) if offset is not None]
        return min(now_ns, min(offsets) + time_ms * 1_000_000) if offsets else now_ns
