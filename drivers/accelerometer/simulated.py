"""An accelerometer in memory: it reports the samples that it is given, and can play a fall."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from drivers.accelerometer.protocol import Acceleration, AccelerationSink
from drivers.errors import DriverError

_SAMPLE_NS = 20_000_000
_FALL_G = (*[1.0] * 5, *[0.05] * 20, 6.0, 3.5, 1.5, *[1.0] * 10)
"""Standing, falling for 0.4 s (some 0.8 m), the impact, lying."""


class SimulatedAccelerometer:
    """Reports what `report` gives it, on the caller's thread. Implements the protocol `Accelerometer`."""

    def __init__(self, *, now: Callable[[], int] = time.monotonic_ns) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._sink: AccelerationSink | None = None
        self._closed = False

    @property
    def name(self) -> str:
        """``simulated``."""
        return "simulated"

    @property
    def present(self) -> bool:
        """True."""
        return True

    def report(self, sample: Acceleration) -> None:
        """Feel this; nobody is told while it is stopped."""
        with self._lock:
            if self._sink is not None:
                self._sink(sample)

    def fall(self) -> None:
        """Fall from the height of a chest, all samples at once."""
        start_ns = self._now() - len(_FALL_G) * _SAMPLE_NS
        for number, strength_g in enumerate(_FALL_G):
            self.report(Acceleration(start_ns + number * _SAMPLE_NS, 0.0, 0.0, strength_g))

    def start(self, sink: AccelerationSink) -> None:
        """Begin to report.

        Raises:
            DriverError: it was closed.
        """
        with self._lock:
            if self._closed:
                raise DriverError("accelerometer: it was closed; make a new one")
            self._sink = sink

    def stop(self) -> None:
        """Stop. Idempotent."""
        with self._lock:
            self._sink = None

    def fault(self) -> str | None:
        """Nothing goes wrong in memory."""
        return None

    def close(self) -> None:
        """Stop for good. Idempotent."""
        with self._lock:
            self._sink = None
            self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()
