"""The record button on a GPIO pin. Its contacts bounce: every edge is reported, the state machine debounces."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from gpiozero import DigitalInputDevice

from drivers.button.protocol import ButtonEdge, ButtonSink
from drivers.gpio import reason


class GpioButton:
    """A button between `pin` (in Broadcom numbers) and ground. Implements `drivers.button.protocol.Button`.

    `pull_up` False is a button between the pin and 3.3 V. `factory` is passed in and stays the caller's to close.
    """

    def __init__(
        self, pin: int, *, factory: Any, pull_up: bool = True, now: Callable[[], int] = time.monotonic_ns
    ) -> None:
        """Claim the pin.

        Raises:
            DriverError: the pin is in use, or does not exist.
        """
        self._now = now
        self._lock = threading.RLock()
        self._sink: ButtonSink | None = None
        try:
            self._input: Any = DigitalInputDevice(pin, pull_up=pull_up, pin_factory=factory)
            self._input.when_activated = self._went_down
            self._input.when_deactivated = self._came_up
        except Exception as error:
            raise reason("button", f"claiming pin {pin}", error) from error

    @property
    def name(self) -> str:
        """``gpio``."""
        return "gpio"

    @property
    def pressed(self) -> bool:
        """Whether the button is down now; False once closed.

        Raises:
            DriverError: the pin cannot be read.
        """
        with self._lock:
            if self._input is None:
                return False
            try:
                return bool(self._input.value)
            except Exception as error:
                raise reason("button", "reading the pin", error) from error

    def watch(self, sink: ButtonSink | None) -> None:
        """Report every edge to `sink`; None stops it."""
        with self._lock:
            self._sink = sink

    def close(self) -> None:
        """Give the pin back. Idempotent."""
        with self._lock:
            device, self._input = self._input, None
            self._sink = None
        if device is not None:
            device.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def _went_down(self) -> None:
        self._report(True)

    def _came_up(self) -> None:
        self._report(False)

    def _report(self, pressed: bool) -> None:
        edge = ButtonEdge(self._now(), pressed)
        with self._lock:
            if self._sink is not None:
                self._sink(edge)
