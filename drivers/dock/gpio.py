"""The dock as a contact on a GPIO pin, which the dock closes to ground."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any, Self

from gpiozero import DigitalInputDevice

from drivers.dock.protocol import DockSink
from drivers.gpio import reason


class GpioDock:
    """A contact between `pin` (in Broadcom numbers) and ground. Implements `drivers.dock.protocol.Dock`.

    `factory` is passed in and stays the caller's to close.
    """

    def __init__(self, pin: int, *, factory: Any) -> None:
        """Claim the pin.

        Raises:
            DriverError: the pin is in use, or does not exist.
        """
        self._lock = threading.RLock()
        self._sink: DockSink | None = None
        try:
            self._input: Any = DigitalInputDevice(pin, pull_up=True, pin_factory=factory)
            self._input.when_activated = lambda: self._report(True)
            self._input.when_deactivated = lambda: self._report(False)
        except Exception as error:
            raise reason("dock", f"claiming pin {pin}", error) from error

    @property
    def name(self) -> str:
        """``gpio``."""
        return "gpio"

    @property
    def present(self) -> bool:
        """True."""
        return True

    @property
    def docked(self) -> bool:
        """Whether the contact is closed now; False once closed for good.

        Raises:
            DriverError: the pin cannot be read.
        """
        with self._lock:
            if self._input is None:
                return False
            try:
                return bool(self._input.value)
            except Exception as error:
                raise reason("dock", "reading the pin", error) from error

    def watch(self, sink: DockSink | None) -> None:
        """Report every change to `sink`; None stops it."""
        with self._lock:
            self._sink = sink

    def close(self) -> None:
        """Give the pin back. Idempotent."""
        with self._lock:
            device, self._input = self._input, None
            self._sink = None
        if device is not None:
            device.close()

    def _report(self, docked: bool) -> None:
        with self._lock:
            if self._sink is not None:
                self._sink(docked)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()
