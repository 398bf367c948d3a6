"""A passive buzzer on a GPIO pin."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any, Self

from gpiozero import PWMOutputDevice

from drivers.buzzer.protocol import require_tone
from drivers.errors import DriverError
from drivers.gpio import reason

_DUTY = 0.5
"""A square wave: the loudest that one pin can do."""
_IDLE_HZ = 1000
"""While silent: a pin with PWM has some frequency."""


class GpioBuzzer:
    """A passive buzzer on `pin`, in Broadcom numbers. Implements `drivers.buzzer.protocol.Buzzer`.

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
            self._device = PWMOutputDevice(pin, initial_value=0, frequency=_IDLE_HZ, pin_factory=factory)
        except Exception as error:
            raise reason("buzzer", f"claiming pin {pin}", error) from error

    @property
    def name(self) -> str:
        """``gpio``."""
        return "gpio"

    @property
    def present(self) -> bool:
        """True."""
        return True

    def sound(self, frequency_hz: int) -> None:
        """Sound a tone; see the protocol.

        Raises:
            DriverError: it was closed, or the pin cannot be written.
        """
        require_tone(frequency_hz)
        with self._lock:
            if self._device is None:
                raise DriverError("buzzer: it was closed; make a new one")
            try:
                if frequency_hz:
                    self._device.frequency = frequency_hz
                self._device.value = _DUTY if frequency_hz else 0
            except Exception as error:
                raise reason("buzzer", f"sounding {frequency_hz} Hz", error) from error

    def close(self) -> None:
        """Silence it and give the pin back. Idempotent.

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
                raise reason("buzzer", "switching it off", error) from error
            finally:
                device.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()
