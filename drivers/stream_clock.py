"""A device's own time stamps, brought into the domain of `time.monotonic_ns()`."""

from __future__ import annotations

from collections import deque

SAME_CLOCK_NS = 10_000_000_000
"""Stamps this near to the monotonic clock are of that clock: others are years, or a boot, away."""


class StreamClock:
    """Maps the stamps of one stream, which say when each item was captured.

    Stamps that are monotonic already (V4L2, libcamera) pass unchanged. For any other clock the distance to the
    monotonic clock is the smallest one seen of late, for arrival is only ever late: scheduling delays then do not
    show as jitter. A step of that clock is followed within `window` items.
    """

    def __init__(self, window: int = 64) -> None:
        self._monotonic: bool | None = None
        self._distances_ns: deque[int] = deque(maxlen=window)

    @property
    def monotonic(self) -> bool:
        """Whether the stamps themselves are monotonic times, as far as is known."""
        return bool(self._monotonic)

    def to_monotonic_ns(self, stamp_ns: int, now_ns: int) -> int:
        """Map a stamp that arrived at `now_ns`; the answer is never in the future."""
        distance_ns = now_ns - stamp_ns
        if self._monotonic is None:
            self._monotonic = abs(distance_ns) <= SAME_CLOCK_NS
        if self._monotonic:
            return min(stamp_ns, now_ns)
        self._distances_ns.append(distance_ns)
        smallest_ns = min(self._distances_ns)
        if distance_ns - smallest_ns > SAME_CLOCK_NS:  # that clock was set back: what was learnt is void
            self._distances_ns.clear()
            self._distances_ns.append(distance_ns)
            smallest_ns = distance_ns
        return stamp_ns + smallest_ns
