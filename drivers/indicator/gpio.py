"""The recording light on a GPIO pin, with or without a pin that senses whether it draws current."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from gpiozero import DigitalInputDevice, DigitalOutputDevice, PWMOutputDevice

from drivers.errors import DriverError
from drivers.gpio import reason
from drivers.indicator.protocol import LightSink, LightState, require_level

_PWM_HZ = 200
"""Steady to the eye, and to a sense circuit that smooths over 10 ms or more (docs/HARDWARE.md)."""


class GpioIndicator:
    """A light on `pin`, in Broadcom numbers. Implements `drivers.indicator.protocol.Indicator`.

    `factory` is passed in and stays the caller's to close. The pin is driven dark from the first moment on.
    """

    def __init__(
        self,
        pin: int,
        *,
        factory: Any,
        active_high: bool = True,
        dimmable: bool = False,
        sense_pin: int | None = None,
        sense_active_high: bool = True,
        now: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Claim the pins. Not `dimmable`: any level above 0 is full.

        Raises:
            ValueError: dimmable and active low; such a lamp would flash while its pin is claimed.
            DriverError: a pin is in use, or does not exist.
        """
        if dimmable and not active_high:
            raise ValueError("a dimmable light is active high")
        self._now = now
        self._lock = threading.RLock()  # reports in the order of the changes; reentrant, for a sink may read the state
        self._sink: LightSink | None = None
        self._commanded = False
        self._dimmable = dimmable
        self._sense: Any = None
        self._light: Any = None
        try:
            if dimmable:
                self._light = PWMOutputDevice(pin, initial_value=0, frequency=_PWM_HZ, pin_factory=factory)
            else:
                self._light = DigitalOutputDevice(
                    pin, active_high=active_high, initial_value=False, pin_factory=factory
                )
            if sense_pin is not None:
                # No pull: the board's sense circuit drives this line both ways.
                self._sense = DigitalInputDevice(
                    sense_pin, pull_up=None, active_state=sense_active_high, pin_factory=factory
                )
                self._sense.when_activated = self._sense_changed
                self._sense.when_deactivated = self._sense_changed
        except Exception as error:
            if self._light is not None:
                self._light.close()
            raise reason("indicator", f"claiming pin {pin}" + _also(sense_pin), error) from error

    @property
    def name(self) -> str:
        """``gpio``."""
        return "gpio"

    def light(self, level: float) -> None:
        """Command the light; see the protocol.

        Raises:
            DriverError: it was closed, or the pin cannot be written.
        """
        require_level(level)
        with self._lock:
            if self._light is None:
                raise DriverError("indicator: it was closed; make a new one")
            lit = level > 0
            changed, self._commanded = self._commanded != lit, lit
            try:
                self._light.value = level if self._dimmable else lit
            except Exception as error:
                self._commanded = False
                raise reason("indicator", f"switching the light {'on' if lit else 'off'}", error) from error
            if changed:
                self._report()

    def state(self) -> LightState:
        """Read the command and the sense line now. A sense line that cannot be read counts as dark."""
        with self._lock:
            return LightState(self._now(), self._commanded, self._sensed())

    def watch(self, sink: LightSink | None) -> None:
        """Report every change to `sink`; None stops it."""
        with self._lock:
            self._sink = sink

    def close(self) -> None:
        """Put the light out and give the pins back. Idempotent.

        Raises:
            DriverError: the light could not be put out; the pins are given back nevertheless.
        """
        with self._lock:
            light, self._light = self._light, None
            if light is None:
                return
            self._sink = None
            self._commanded = False
            try:
                light.off()
            except Exception as error:
                raise reason("indicator", "putting the light out", error) from error
            finally:
                light.close()
                if self._sense is not None:
                    self._sense.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def _sensed(self) -> bool | None:
        if self._sense is None:
            return None
        if self._light is None:
            return False
        try:
            return bool(self._sense.value)
        except Exception:  # noqa: BLE001 - whatever lgpio raises, a light that cannot be seen must not count as lit
            return False

    def _sense_changed(self) -> None:
        with self._lock:
            self._report()

    def _report(self) -> None:
        if self._sink is not None:
            self._sink(self.state())


def _also(sense_pin: int | None) -> str:
    return "" if sense_pin is None else f" and sense pin {sense_pin}"
