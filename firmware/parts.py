"""Which driver serves which part, as the board's profile says. Drivers are imported only when chosen."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from drivers.accelerometer.protocol import Accelerometer
from drivers.battery.protocol import Battery
from drivers.button.protocol import Button
from drivers.buzzer.protocol import Buzzer
from drivers.camera.protocol import Camera
from drivers.camera_power.protocol import CameraPower
from drivers.dock.protocol import Dock
from drivers.errors import DriverError
from drivers.gnss.protocol import Gnss
from drivers.haptics.protocol import Haptics
from drivers.indicator.protocol import Indicator
from drivers.microphone.protocol import Microphone
from drivers.rtc.protocol import Rtc
from firmware.board import Board

if TYPE_CHECKING:
    from drivers.companion.link import CompanionLink

_T = TypeVar("_T")


class Parts:
    """Makes the parts of a board; a context manager that gives back what they share: the GPIO chip, the companion.

    Every method that makes a part raises `DriverError` where the part is not there.
    """

    def __init__(self, board: Board, *, pin_factory: Any = None, epoch_ns: int | None = None) -> None:
        """`epoch_ns` is the instant that synthetic camera and microphone count seconds from; `pin_factory` replaces
        the one that the profile names, and stays the caller's.
        """  # noqa: D205
        self.board = board
        self.audible = False
        """The policy lets a sound keep the camera's power when the light fails; set it before parts are made."""
        self._given_factory = pin_factory
        self._own_factory: Any = None
        self._link: CompanionLink | None = None
        self._epoch_ns = time.monotonic_ns() if epoch_ns is None else epoch_ns

    @property
    def link(self) -> CompanionLink | None:
        """The line to the companion controller, if the board has one and a part was made that needs it."""
        return self._link

    def close(self) -> None:
        """Give back the GPIO chip and the companion's line. Idempotent."""
        link, self._link = self._link, None
        factory, self._own_factory = self._own_factory, None
        try:
            if link is not None:
                link.close()
        finally:
            if factory is not None:
                factory.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def camera(self) -> Camera:
        """Make the camera."""
        match self.board.camera.driver:
            case "picamera2":
                from drivers.camera.picamera2_camera import Picamera2Camera

                sensor = self.board.camera.sensor
                if sensor is None:
                    return Picamera2Camera()
                from drivers.camera.kernel_sensor import KernelSensor
                from drivers.camera.late import LateCamera

                return LateCamera(Picamera2Camera(keep_open=False), KernelSensor(sensor).bind)
            case "v4l2":
                from drivers.camera.v4l2_camera import V4l2Camera, VideoSource

                return V4l2Camera(VideoSource(_needed(self.board.camera.device)))
            case "synthetic":
                from drivers.camera.synthetic import SyntheticCamera

                return SyntheticCamera(epoch_ns=self._epoch_ns)
            case _:
                from drivers.camera.disabled import DisabledCamera

                return DisabledCamera()

    def camera_power(self) -> CameraPower:
        """Make the switch of the camera's power."""
        match self.board.camera_power.driver:
            case "companion":
                from drivers.companion.camera_power import CompanionCameraPower

                return CompanionCameraPower(self._companion())
            case "simulated":
                from drivers.camera_power.simulated import SimulatedCameraPower

                return SimulatedCameraPower()
            case _:
                from drivers.camera_power.always import AlwaysPowered

                return AlwaysPowered()

    def microphone(self) -> Microphone:
        """Make the microphone."""
        match self.board.microphone.driver:
            case "pyaudio":
                from drivers.microphone.pyaudio_microphone import PyAudioMicrophone

                return PyAudioMicrophone()
            case "synthetic":
                from drivers.microphone.synthetic import SyntheticMicrophone

                return SyntheticMicrophone(epoch_ns=self._epoch_ns)
            case _:
                from drivers.microphone.disabled import DisabledMicrophone

                return DisabledMicrophone()

    def indicator(self) -> Indicator:
        """Make the recording light. There is no device without one."""
        part = self.board.indicator
        match part.driver:
            case "gpio":
                from drivers.indicator.gpio import GpioIndicator

                return GpioIndicator(
                    _needed(part.pin), factory=self._pins(), active_high=part.active_high, dimmable=part.dimmable,
                    sense_pin=part.sense_pin, sense_active_high=part.sense_active_high,
                )  # fmt: skip
            case "companion":
                from drivers.companion.indicator import CompanionIndicator

                return CompanionIndicator(self._companion())
            case _:
                from drivers.indicator.simulated import SimulatedIndicator

                return SimulatedIndicator()

    def button(self) -> Button:
        """Make the record button."""
        part = self.board.button
        match part.driver:
            case "gpio":
                from drivers.button.gpio import GpioButton

                return GpioButton(_needed(part.pin), factory=self._pins(), pull_up=part.pull_up)
            case "companion":
                from drivers.companion.button import CompanionButton

                return CompanionButton(self._companion())
            case _:
                from drivers.button.simulated import SimulatedButton

                return SimulatedButton()

    def buzzer(self, listener: Callable[[int, int], None] | None = None) -> Buzzer:
        """Make the buzzer; a simulated one tells `listener` what it sounds."""
        match self.board.buzzer.driver:
            case "gpio":
                from drivers.buzzer.gpio import GpioBuzzer

                return GpioBuzzer(_needed(self.board.buzzer.pin), factory=self._pins())
            case "simulated":
                from drivers.buzzer.simulated import SimulatedBuzzer

                return SimulatedBuzzer(listener=listener)
            case _:
                from drivers.buzzer.disabled import DisabledBuzzer

                return DisabledBuzzer()

    def haptics(self) -> Haptics:
        """Make the vibration motor."""
        match self.board.haptics.driver:
            case "gpio":
                from drivers.haptics.gpio import GpioHaptics

                return GpioHaptics(_needed(self.board.haptics.pin), factory=self._pins())
            case "simulated":
                from drivers.haptics.simulated import SimulatedHaptics

                return SimulatedHaptics()
            case _:
                from drivers.haptics.disabled import DisabledHaptics

                return DisabledHaptics()

    def battery(self) -> Battery:
        """Make the battery gauge."""
        part = self.board.battery
        match part.driver:
            case "max17048":
                from drivers.battery.max17048 import Max17048Battery

                return Max17048Battery(_needed(part.bus), address=_needed(part.address))
            case "companion":
                from drivers.companion.battery import CompanionBattery

                return CompanionBattery(self._companion())
            case "simulated":
                from drivers.battery.simulated import SimulatedBattery

                return SimulatedBattery()
            case _:
                from drivers.battery.disabled import DisabledBattery

                return DisabledBattery()

    def gnss(self) -> Gnss:
        """Make the satellite receiver."""
        part = self.board.gnss
        match part.driver:
            case "nmea":
                from drivers.gnss.nmea import NmeaGnss

                return NmeaGnss(_needed(part.port), baud=_needed(part.baud))
            case "simulated":
                from drivers.gnss.simulated import SimulatedGnss

                return SimulatedGnss()
            case _:
                from drivers.gnss.disabled import DisabledGnss

                return DisabledGnss()

    def accelerometer(self) -> Accelerometer:
        """Make the accelerometer."""
        part = self.board.accelerometer
        match part.driver:
            case "lis3dh":
                from drivers.accelerometer.lis3dh import Lis3dhAccelerometer

                return Lis3dhAccelerometer(_needed(part.bus), address=_needed(part.address))
            case "simulated":
                from drivers.accelerometer.simulated import SimulatedAccelerometer

                return SimulatedAccelerometer()
            case _:
                from drivers.accelerometer.disabled import DisabledAccelerometer

                return DisabledAccelerometer()

    def dock(self) -> Dock:
        """Make the contact with the dock."""
        match self.board.dock.driver:
            case "udc":
                from drivers.dock.udc import UdcDock

                return UdcDock()
            case "gpio":
                from drivers.dock.gpio import GpioDock

                return GpioDock(_needed(self.board.dock.pin), factory=self._pins())
            case "simulated":
                from drivers.dock.simulated import SimulatedDock

                return SimulatedDock()
            case _:
                from drivers.dock.disabled import DisabledDock

                return DisabledDock()

    def rtc(self) -> Rtc:
        """Make the real-time clock."""
        match self.board.rtc.driver:
            case "linux":
                from drivers.rtc.linux import LinuxRtc

                return LinuxRtc(_needed(self.board.rtc.device))
            case "simulated":
                from drivers.rtc.simulated import SimulatedRtc

                return SimulatedRtc()
            case _:
                from drivers.rtc.disabled import DisabledRtc

                return DisabledRtc()

    def _pins(self) -> Any:
        if self._given_factory is not None:
            return self._given_factory
        if self._own_factory is None:
            from drivers.gpio import make_pin_factory

            self._own_factory = make_pin_factory(self.board.gpio.pin_factory, chip=self.board.gpio.chip)
        return self._own_factory

    def _companion(self) -> CompanionLink:
        if self._link is None:
            from drivers.companion.link import CompanionLink

            part = _needed(self.board.companion)
            self._link = CompanionLink(part.port, baud=part.baud, audible=self.audible)
        return self._link


def _needed(value: _T | None) -> _T:
    """The profile's loader has checked that it is there."""
    if value is None:
        raise DriverError("the board's profile lacks what this driver needs; check the profile")
    return value
