"""A vibration motor on a GPIO pin."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any, Self

from gpiozero import PWMOutputDevice

from drivers.errors import DriverError
from drivers.gpio import reason
from drivers.haptics.protocol import require_strength

_PWM_HZ = 200
"""Too quick for the motor to follow, and slow enough for pulses made by software to be exact."""


class GpioHaptics:
    """A vibration motor on `pin`, in Broadcom numbers. Implements `drivers.haptics.protocol.Haptics`.

    A transistor switches it, for a pin has not the current. `factory` is passed in and stays the caller's to close.
    The pin is driven low from the first moment on.
    """

    def __init__(self, pin: int, *, factory: Any) -> None:
        """Claim the pin.

        Raises:
            DriverError: the pin is in use, does not exist, or has no PWM.
        """
        self._lock = threading.Lock()
        self._device: Any = None
        try:
            self._device = PWMOutputDevice(pin, initial_value=0, frequency=_PWM_HZ, pin_factory=factory)
        except Exception as error:
            raise reason("haptics", f"claiming pin {pin}", error) from error

    @property
    def name(self) -> str:
        """``gpio``."""
        return "gpio"

    @property
    def present(self) -> bool:
        """True."""
        return True

    def drive(self, strength: float) -> None:
        """Run the motor; see the protocol.

        Raises:
            DriverError: it was closed, or the pin cannot be written.
        """
        require_strength(strength)
        with self._lock:
            if self._device is None:
                raise DriverError("haptics: it was closed; make a new one")
            try:
                self._device.value = strength
            except Exception as error:
                raise reason("haptics", f"running the motor at {strength:g}", error) from error

    def close(self) -> None:
        """Still it and give the pin back. Idempotent.

        Raises:
            DriverError: the pin could not be written; it is given back nevertheless.
        """
        with self._lock:
            device, self._device = self._device, None
            if device is None:
                return
            try:
                device.value = 0
            except Exception as error:
                raise reason("haptics", "switching it off", error) from error
            finally:
                device.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()
