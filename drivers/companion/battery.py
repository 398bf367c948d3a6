"""The battery on the companion controller: a gauge, or the voltage alone."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable
from types import TracebackType
from typing import Self

from drivers.battery.protocol import BatteryReading
from drivers.companion.link import CompanionLink
from drivers.errors import DriverError

_CURVE = (
    (3_300, 0.0), (3_500, 5.0), (3_600, 10.0), (3_680, 20.0), (3_740, 30.0), (3_770, 40.0), (3_800, 50.0),
    (3_850, 60.0), (3_920, 70.0), (4_000, 80.0), (4_080, 90.0), (4_180, 100.0),
)  # fmt: skip
"""Millivolts and charge of one lithium-ion cell under a small load. Typical, and no better than 10 %."""
_PLAUSIBLE_MV = range(2_500, 4_501)


def charge_percent(voltage_mv: int) -> float:
    """Return the charge of a lithium-ion cell by its voltage, 0 to 100."""
    at = bisect_right(_CURVE, voltage_mv, key=lambda point: point[0])
    if at == 0:
        return 0.0
    if at == len(_CURVE):
        return 100.0
    (low_mv, low), (high_mv, high) = _CURVE[at - 1], _CURVE[at]
    return low + (high - low) * (voltage_mv - low_mv) / (high_mv - low_mv)


class CompanionBattery:
    """One lithium-ion cell. Implements `drivers.battery.protocol.Battery`."""

    def __init__(self, link: CompanionLink, *, now: Callable[[], int] = time.monotonic_ns) -> None:
        """Stand on `link`, which stays the caller's to close."""
        self._link = link
        self._now = now

    @property
    def name(self) -> str:
        """``companion``."""
        return "companion"

    @property
    def present(self) -> bool:
        """There is a battery."""
        return True

    def read(self) -> BatteryReading | None:
        """Return what the controller last said.

        Raises:
            DriverError: the link is lost, or the voltage is not a lithium-ion cell's.
        """
        status = self._link.status
        if status is None:
            raise DriverError(f"battery: {self._link.fault() or 'companion: the link is not up yet; wait for it'}")
        if status.voltage_mv not in _PLAUSIBLE_MV:
            raise DriverError(f"battery: {status.voltage_mv} mV is no lithium-ion cell; check gauge and wiring")
        known = status.charge_percent
        percent = charge_percent(status.voltage_mv) if known is None else float(min(100, known))
        return BatteryReading(self._now(), percent, status.voltage_mv, status.charging)

    def close(self) -> None:
        """Do nothing: the link is the caller's."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()
