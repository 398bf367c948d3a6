"""A battery in memory, which can be drained, charged and broken."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from drivers.battery.protocol import BatteryReading
from drivers.errors import DriverError

_EMPTY_MV, _FULL_MV = 3300, 4200


class SimulatedBattery:
    """A gauge that says what it was told. Implements `drivers.battery.protocol.Battery`."""

    def __init__(self, percent: float = 80.0, *, now: Callable[[], int] = time.monotonic_ns) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._percent = percent
        self._charging = False
        self._refusal: str | None = None

    @property
    def name(self) -> str:
        """``simulated``."""
        return "simulated"

    @property
    def present(self) -> bool:
        """True."""
        return True

    def set(self, percent: float, *, charging: bool = False) -> None:
        """Set the state of charge, 0 to 100."""
        with self._lock:
            self._percent, self._charging = percent, charging

    def refuse(self, reason: str | None) -> None:
        """Let every further reading fail with `reason`; None repairs it."""
        with self._lock:
            self._refusal = reason

    def read(self) -> BatteryReading | None:
        """Return what it was told.

        Raises:
            DriverError: `refuse` was called.
        """
        with self._lock:
            if self._refusal is not None:
                raise DriverError(f"battery: the gauge does not answer ({self._refusal}); check its connection")
            voltage_mv = _EMPTY_MV + round((_FULL_MV - _EMPTY_MV) * self._percent / 100)
            return BatteryReading(self._now(), self._percent, voltage_mv, self._charging)

    def close(self) -> None:
        """There is nothing to give back."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()
