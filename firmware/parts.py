"""Which driver serves which part, by the names that the settings use. Drivers are imported only when chosen."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self

from drivers.button.protocol import Button
from drivers.camera.protocol import Camera
from drivers.indicator.protocol import Indicator
from drivers.microphone.protocol import Microphone
from firmware.errors import SettingsError
from firmware.settings import HardwareOptions


class Parts:
    """Makes the parts that the settings name; a context manager that gives the GPIO chip back.

    Every method that makes a part raises `SettingsError` for an unknown name, and `DriverError` where it is not there.
    """

    def __init__(self, options: HardwareOptions, *, pin_factory: Any = None, epoch_ns: int | None = None) -> None:
        """`epoch_ns` is the instant that synthetic camera and microphone count seconds from; `pin_factory` replaces
        the one that the settings name, and stays the caller's.
        """  # noqa: D205
        self.options = options
        self._given_factory = pin_factory
        self._own_factory: Any = None
        self._epoch_ns = time.monotonic_ns() if epoch_ns is None else epoch_ns

    def close(self) -> None:
        """Give the GPIO chip back. Idempotent."""
        factory, self._own_factory = self._own_factory, None
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
        match self.options.camera:
            case "picamera2":
                from drivers.camera.picamera2_camera import Picamera2Camera

                return Picamera2Camera()
            case "v4l2":
                from drivers.camera.v4l2_camera import V4l2Camera, VideoSource

                return V4l2Camera(VideoSource(self.options.camera_device))
            case "synthetic":
                from drivers.camera.synthetic import SyntheticCamera

                return SyntheticCamera(epoch_ns=self._epoch_ns)
            case "disabled":
                from drivers.camera.disabled import DisabledCamera

                return DisabledCamera()
            case other:
                raise SettingsError(f"hardware.camera: {other!r} is none of picamera2, v4l2, synthetic, disabled")

    def microphone(self) -> Microphone:
        """Make the microphone."""
        match self.options.microphone:
            case "pyaudio":
                from drivers.microphone.pyaudio_microphone import PyAudioMicrophone

                return PyAudioMicrophone()
            case "synthetic":
                from drivers.microphone.synthetic import SyntheticMicrophone

                return SyntheticMicrophone(epoch_ns=self._epoch_ns)
            case "disabled":
                from drivers.microphone.disabled import DisabledMicrophone

                return DisabledMicrophone()
            case other:
                raise SettingsError(f"hardware.microphone: {other!r} is none of pyaudio, synthetic, disabled")

    def indicator(self) -> Indicator:
        """Make the recording light. There is no device without one."""
        match self.options.indicator:
            case "gpio":
                from drivers.indicator.gpio import GpioIndicator

                pin = self.options.light_pin
                return GpioIndicator(pin, sense_pin=self.options.sense_pin, factory=self._pins())
            case "simulated":
                from drivers.indicator.simulated import SimulatedIndicator

                return SimulatedIndicator()
            case other:
                raise SettingsError(f"hardware.indicator: {other!r} is none of gpio, simulated")

    def button(self) -> Button:
        """Make the record button."""
        match self.options.button:
            case "gpio":
                from drivers.button.gpio import GpioButton

                return GpioButton(self.options.button_pin, factory=self._pins())
            case "simulated":
                from drivers.button.simulated import SimulatedButton

                return SimulatedButton()
            case other:
                raise SettingsError(f"hardware.button: {other!r} is none of gpio, simulated")

    def _pins(self) -> Any:
        if self._given_factory is not None:
            return self._given_factory
        if self._own_factory is None:
            from drivers.gpio import make_pin_factory

            self._own_factory = make_pin_factory(self.options.pin_factory)
        return self._own_factory
