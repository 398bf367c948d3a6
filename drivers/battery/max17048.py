"""A battery gauge MAX17048 (Analog Devices) on an I2C bus. Registers as in its data sheet, big-endian words."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from drivers.battery.protocol import BatteryReading
from drivers.errors import DriverError
from drivers.i2c import Bus, open_bus

_VCELL, _SOC, _VERSION, _CRATE = 0x02, 0x04, 0x08, 0x16
_VOLT_UV = 78.125
_PERCENT = 1 / 256
_RATE_PERCENT_H = 0.208
_CHARGING_PERCENT_H = 1.0
"""A battery at rest wanders by some tenths."""
_LEAST_MV, _MOST_MV = 2500, 4500
_PRODUCTION = 0x0010
"""VERSION & 0xFFF0 of every MAX17048."""


class Max17048Battery:
    """The gauge of one cell. Implements `drivers.battery.protocol.Battery`."""

    def __init__(
        self,
        bus: int,
        *,
        address: int = 0x36,
        make_bus: Callable[[int], Bus] = open_bus,
        now: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Open the bus and see that the chip is there.

        Raises:
            DriverError: no bus, no answer, or another chip.
        """
        self._where = f"MAX17048 at 0x{address:02x} on bus {bus}"
        self._address = address
        self._now = now
        self._lock = threading.Lock()
        self._bus: Bus | None = make_bus(bus)
        try:
            self._require_chip()
        except DriverError:
            self.close()
            raise

    @property
    def name(self) -> str:
        """``max17048``."""
        return "max17048"

    @property
    def present(self) -> bool:
        """True."""
        return True

    def read(self) -> BatteryReading | None:
        """Return what the gauge says; charging as its rate shows.

        Raises:
            DriverError: it was closed, does not answer, or gives what no cell has.
        """
        voltage_mv = round(self._word(_VCELL) * _VOLT_UV / 1000)
        percent = self._word(_SOC) * _PERCENT
        rate = self._word(_CRATE)
        rate_percent_h = (rate - 0x10000 if rate & 0x8000 else rate) * _RATE_PERCENT_H
        if not _LEAST_MV <= voltage_mv <= _MOST_MV:
            raise DriverError(f"battery: the {self._where} gives {voltage_mv} mV; check its wiring")
        # The gauge's model may run past full; nobody is helped by 103 %.
        return BatteryReading(self._now(), min(100.0, percent), voltage_mv, rate_percent_h > _CHARGING_PERCENT_H)

    def close(self) -> None:
        """Give the bus back. Idempotent."""
        with self._lock:
            bus, self._bus = self._bus, None
        if bus is not None:
            bus.close()

    def _require_chip(self) -> None:
        version = self._word(_VERSION)
        if version & 0xFFF0 != _PRODUCTION:
            raise DriverError(f"battery: no {self._where}: another chip answers (version 0x{version:04x})")

    def _word(self, register: int) -> int:
        with self._lock:
            if self._bus is None:
                raise DriverError("battery: it was closed; make a new one")
            try:
                high, low = self._bus.read_i2c_block_data(self._address, register, 2)
            except OSError as error:
                raise DriverError(
                    f"battery: the {self._where} does not answer ({error.strerror}); check its wiring"
                ) from error
        return high << 8 | low

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()
