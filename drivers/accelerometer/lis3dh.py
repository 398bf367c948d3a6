"""An accelerometer LIS3DH (STMicroelectronics) on an I2C bus, at 50 Hz and ±16 g. Registers as in its data sheet."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from drivers.accelerometer.protocol import Acceleration, AccelerationSink
from drivers.errors import DriverError
from drivers.i2c import Bus, open_bus

_WHO_AM_I, _CTRL_REG1, _CTRL_REG4, _OUT_X_L = 0x0F, 0x20, 0x23, 0x28
_IS_LIS3DH = 0x33
_MANY = 0x80
"""Set in a register's number: it goes on to the next by itself."""
_50_HZ_ALL_AXES = 0x47
_16_G_HIGH_RESOLUTION = 0xB8
"""Block data update, ±16 g, high resolution: 12 bits, left-justified, of 12 mg each."""
_POWER_DOWN = 0x00
_DIGIT_G = 0.012
_PERIOD_S = 0.02
_TROUBLE = 10
"""After so many failed readings in a row there is a fault."""
_STOP_S = 5.0


class Lis3dhAccelerometer:
    """Reads on a thread named ``accelerometer``. Implements `drivers.accelerometer.protocol.Accelerometer`."""

    def __init__(
        self,
        bus: int,
        *,
        address: int = 0x18,
        make_bus: Callable[[int], Bus] = open_bus,
        now: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Open the bus and see that the chip is there.

        Raises:
            DriverError: no bus, no answer, or another chip.
        """
        self._where = f"LIS3DH at 0x{address:02x} on bus {bus}"
        self._address = address
        self._now = now
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._fault: str | None = None
        self._closed = False
        self._bus = make_bus(bus)
        try:
            self._require_chip()
        except DriverError:
            self.close()
            raise

    @property
    def name(self) -> str:
        """``lis3dh``."""
        return "lis3dh"

    @property
    def present(self) -> bool:
        """True."""
        return True

    def start(self, sink: AccelerationSink) -> None:
        """Begin to sample.

        Raises:
            DriverError: it was closed, runs already, or does not answer.
        """
        if self._closed:
            raise DriverError("accelerometer: it was closed; make a new one")
        if self._thread is not None:
            raise DriverError("accelerometer: it runs already; stop it first")
        self._set(_CTRL_REG4, _16_G_HIGH_RESOLUTION)
        self._set(_CTRL_REG1, _50_HZ_ALL_AXES)
        self._fault = None
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, args=(sink,), name="accelerometer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop. After it returns the sink is not called again. Idempotent.

        Raises:
            DriverError: the thread did not end within 5 s.
        """
        self._stop.set()
        thread = self._thread
        if thread is not None:
            thread.join(_STOP_S)
            if thread.is_alive():
                raise DriverError(f"accelerometer: the {self._where} hangs; restart the device")
            self._thread = None

    def fault(self) -> str | None:
        """Why it is silent, or None. It goes on trying."""
        return self._fault

    def close(self) -> None:
        """Stop, put the chip to sleep, and give the bus back. Idempotent."""
        if self._closed:
            return
        self._closed = True
        try:
            self.stop()
            self._set(_CTRL_REG1, _POWER_DOWN)
        except DriverError:
            pass  # a chip that does not answer needs no sleep
        finally:
            self._bus.close()

    def _run(self, sink: AccelerationSink) -> None:
        failures = 0
        while not self._stop.wait(_PERIOD_S):
            try:
                raw = self._read(_OUT_X_L | _MANY, 6)
            except DriverError as error:
                failures += 1
                if failures >= _TROUBLE:
                    self._fault = str(error)
                continue
            failures, self._fault = 0, None
            x_g, y_g, z_g = (digit / 16 * _DIGIT_G for digit in struct.unpack("<3h", bytes(raw)))
            sink(Acceleration(self._now(), x_g, y_g, z_g))

    def _require_chip(self) -> None:
        (who,) = self._read(_WHO_AM_I, 1)
        if who != _IS_LIS3DH:
            raise DriverError(f"accelerometer: no {self._where}: another chip answers (0x{who:02x})")

    def _read(self, register: int, length: int) -> list[int]:
        try:
            return self._bus.read_i2c_block_data(self._address, register, length)
        except OSError as error:
            raise self._silent(error) from error

    def _set(self, register: int, value: int) -> None:
        try:
            self._bus.write_byte_data(self._address, register, value)
        except OSError as error:
            raise self._silent(error) from error

    def _silent(self, error: OSError) -> DriverError:
        return DriverError(f"accelerometer: the {self._where} does not answer ({error.strerror}); check its wiring")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()
