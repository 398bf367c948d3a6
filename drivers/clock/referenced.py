"""The system's clock, with better references where it has none of its own: satellite time, or a real-time clock.

The system's clock is never set here. Time that the system keeps in step with a reference comes first; then that of
satellites, then the dock's, both carried on by the monotonic clock; then what the system took from the real-time clock.
"""

from __future__ import annotations

import threading
from dataclasses import replace

from drivers.clock.protocol import Clock, ClockReading, TimeSource
from drivers.errors import DriverError
from drivers.gnss.protocol import Fix
from drivers.rtc.protocol import Rtc

_SENTENCE_MS = 500
"""A sentence arrives up to so long after the instant that it names."""
_DOCK_MS = 1000
"""The dock's message is under way for less."""
_DRIFT_PPM = 100
"""A bad crystal, in the cold."""
_GNSS_LASTS_NS = 24 * 3600 * 1_000_000_000
_RTC_AGREES_NS = 5_000_000_000


class ReferencedClock:
    """Implements `drivers.clock.protocol.Clock`; `gnss` and `rtc` feed it. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._fix_ns: int | None = None
        self._fix_utc_ns = 0
        self._has_rtc = False
        self._dock_ns: int | None = None
        self._dock_utc_ns = 0

    def dock(self, utc_ns: int) -> int:
        """Take the time that a dock has given just now; return by how much it differs from what was believed, in ns."""
        before = self.read()
        with self._lock:
            self._dock_ns, self._dock_utc_ns = self._clock.monotonic_ns(), utc_ns
        return utc_ns - before.utc_ns

    def gnss(self, fix: Fix) -> None:
        """Take the time of a fix, if it has one."""
        if fix.utc_ns is not None:
            with self._lock:
                self._fix_ns, self._fix_utc_ns = fix.time_ns, fix.utc_ns

    def rtc(self, rtc: Rtc) -> str | None:
        """Look at the real-time clock; return what is wrong with it in one line, or None.

        It counts as the system's source only if its battery is good and both agree.
        """
        self._has_rtc = False
        try:
            reading = rtc.read()
        except DriverError as error:
            return str(error)
        if reading is None:
            return None
        if reading.battery_low:
            return "rtc: its battery is low, so its time may be wrong; change the battery"
        system = self._clock.read()
        if abs(system.utc_at(reading.time_ns) - reading.utc_ns) > _RTC_AGREES_NS:
            if system.synchronised:
                return None  # the kernel writes the good time back now and then
            return "rtc: it does not agree with the system's clock; set the clock"
        self._has_rtc = True
        return None

    def monotonic_ns(self) -> int:
        """The system's monotonic time."""
        return self._clock.monotonic_ns()

    def read(self) -> ClockReading:
        """Read the best wall clock there is, and say what it is from."""
        reading = self._clock.read()
        if reading.synchronised:
            return replace(reading, source=TimeSource.NTP)
        with self._lock:
            fix_ns, fix_utc_ns = self._fix_ns, self._fix_utc_ns
        if fix_ns is not None and 0 <= reading.monotonic_ns - fix_ns <= _GNSS_LASTS_NS:
            age_ns = reading.monotonic_ns - fix_ns
            uncertainty_ms = _SENTENCE_MS + age_ns * _DRIFT_PPM // 1_000_000 // 1_000_000
            return replace(reading, utc_ns=fix_utc_ns + age_ns, uncertainty_ms=uncertainty_ms, source=TimeSource.GNSS)
        with self._lock:
            dock_ns, dock_utc_ns = self._dock_ns, self._dock_utc_ns
        if dock_ns is not None and 0 <= reading.monotonic_ns - dock_ns <= _GNSS_LASTS_NS:
            age_ns = reading.monotonic_ns - dock_ns
            uncertainty_ms = _DOCK_MS + age_ns * _DRIFT_PPM // 1_000_000 // 1_000_000
            return replace(reading, utc_ns=dock_utc_ns + age_ns, uncertainty_ms=uncertainty_ms, source=TimeSource.DOCK)
        return replace(reading, source=TimeSource.RTC if self._has_rtc else TimeSource.NONE)
