"""Whether the recording itself goes out, or previews: by what the uplink has shown to carry. No I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AdaptiveTimes:
    """In nanoseconds."""

    strikes_ns: int = 10_000_000_000
    """Two losses within this time are one too many."""
    retry_ns: int = 20_000_000_000
    """How long previews go out before the recording is tried again; doubled each time that fails."""
    longest_retry_ns: int = 320_000_000_000


class Adaptive:
    """Falls back to previews after two losses close together, and tries the recording again, ever more rarely."""

    def __init__(self, times: AdaptiveTimes = AdaptiveTimes(), *, allowed: bool = True) -> None:
        self._times = times
        self._allowed = allowed
        self._preview = False
        self._last_loss_ns: int | None = None
        self._retry_ns = times.retry_ns
        self._since_ns = 0

    @property
    def preview(self) -> bool:
        """Previews go out now."""
        return self._preview

    def lost(self, now_ns: int) -> bool:
        """Take note that something was dropped; return whether that changed what goes out."""
        last, self._last_loss_ns = self._last_loss_ns, now_ns
        if not self._allowed or self._preview or last is None or now_ns - last > self._times.strikes_ns:
            return False
        if self._since_ns and now_ns - self._since_ns <= self._retry_ns:
            self._retry_ns = min(2 * self._retry_ns, self._times.longest_retry_ns)
        else:
            self._retry_ns = self._times.retry_ns
        self._preview, self._since_ns = True, now_ns
        self._last_loss_ns = None
        return True

    def look(self, now_ns: int, *, idle: bool) -> bool:
        """Try the recording again when it is time and nothing waits; return whether that changed what goes out."""
        if not self._preview or not idle or now_ns - self._since_ns < self._retry_ns:
            return False
        self._preview, self._since_ns, self._last_loss_ns = False, now_ns, None
        return True
