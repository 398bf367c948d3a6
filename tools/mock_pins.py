"""gpiozero's mock pins, wired as a board is: the sense line follows the light, as current through a lamp would."""

from __future__ import annotations

from typing import Any

from gpiozero.pins.mock import MockConnectedPin, MockFactory, MockPWMPin

LIGHT, SENSE, BUTTON, BUZZER, MOTOR = 12, 16, 17, 13, 6
BOARD = f"""\
# Mock pins for light, button, buzzer and motor; the rest is simulated.
title = "Demonstration"
[gpio]
pin_factory = "mock"
[camera]
driver = "synthetic"
[camera_power]
driver = "simulated"
[microphone]
driver = "synthetic"
[indicator]
driver = "gpio"
pin = {LIGHT}
sense_pin = {SENSE}
dimmable = true
[button]
driver = "gpio"
pin = {BUTTON}
[buzzer]
driver = "gpio"
pin = {BUZZER}
[haptics]
driver = "gpio"
pin = {MOTOR}
[battery]
driver = "simulated"
[gnss]
driver = "simulated"
[accelerometer]
driver = "simulated"
[dock]
driver = "simulated"
[rtc]
driver = "simulated"
"""


class _LampPin(MockConnectedPin, MockPWMPin):  # type: ignore[misc]
    """A pin with PWM that drives another."""


class MockPins:
    """The factory, and the pin of the button."""

    def __init__(self) -> None:
        self.factory: Any = MockFactory(pin_class=MockPWMPin)
        sense = self.factory.pin(SENSE)
        self.factory.pin(LIGHT, pin_class=_LampPin, input_pin=sense)
        self.button: Any = self.factory.pin(BUTTON)
