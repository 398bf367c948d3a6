"""Stamps for chunks: time from the clock, light from the witness."""

from __future__ import annotations

from drivers.clock.protocol import Clock, ClockReading, TimeSource
from firmware.light_witness import LightWitness
from storage.layout import UNKNOWN_UNCERTAINTY_MS, ClockSource, Stamp

_SOURCES = {
    TimeSource.NONE: ClockSource.NONE,
    TimeSource.RTC: ClockSource.RTC,
    TimeSource.NTP: ClockSource.NTP,
    TimeSource.GNSS: ClockSource.GNSS,
    TimeSource.DOCK: ClockSource.DOCK,
}
_EXACT = frozenset({ClockSource.NTP, ClockSource.GNSS, ClockSource.DOCK})
"""Sources that are known to be exact to within their uncertainty."""


class Stamper:
    """Makes the stamp of a chunk."""

    def __init__(self, clock: Clock, witness: LightWitness, free_running: ClockSource = ClockSource.RTC) -> None:
        """`free_running` is the clock's source while the system does not keep it in step."""
        self._clock = clock
        self._witness = witness
        self._free_running = free_running

    def now(self) -> Stamp:
        """Return the stamp of this instant."""
        return self.over(self._clock.monotonic_ns(), 0)

    def over(self, start_ns: int, duration_ns: int) -> Stamp:
        """Return the stamp of a chunk that began at `start_ns` (monotonic) and lasts `duration_ns`."""
        reading = self._clock.read()
        commanded, sensed = self._witness.over(start_ns, start_ns + duration_ns)
        source = _SOURCES[reading.source] if reading.source else self._guess(reading)
        known = source in _EXACT and reading.uncertainty_ms is not None
        return Stamp(
            monotonic_ns=start_ns,
            utc_ns=reading.utc_at(start_ns),
            duration_ns=duration_ns,
            clock_source=source,
            clock_uncertainty_ms=reading.uncertainty_ms or 0 if known else UNKNOWN_UNCERTAINTY_MS,
            commanded=commanded,
            sensed=sensed,
        )

    def _guess(self, reading: ClockReading) -> ClockSource:
        return ClockSource.NTP if reading.synchronised else self._free_running
