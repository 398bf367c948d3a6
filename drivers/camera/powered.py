"""A camera whose power is switched: it is asked for when the camera starts, and let go of when it has stopped."""

from __future__ import annotations

import time
from collections.abc import Callable

from drivers.camera.late import LateCamera
from drivers.camera.protocol import AccessUnitSink, Camera, VideoFormat
from drivers.camera_power.protocol import CameraPower
from drivers.errors import DriverError

_LOOK_S = 0.01


class PoweredCamera(LateCamera):
    """Another camera behind a switch. Implements `drivers.camera.protocol.Camera`; closing it closes that camera."""

    def __init__(
        self,
        camera: Camera,
        power: CameraPower,
        *,
        wait_s: float = 2.0,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`wait_s`: how long the power may take to come on. `power` stays the caller's to close."""
        super().__init__(camera, self._await_power)
        self._power = power
        self._wait_s = wait_s
        self._monotonic = monotonic
        self._sleep = sleep

    def start(self, fmt: VideoFormat, sink: AccessUnitSink) -> None:
        """Ask for power, wait for it, and start the camera.

        Raises:
            DriverError: no power, which is so while the light draws no current; or the camera's own.
        """
        self._power.enable(True)
        try:
            super().start(fmt, sink)
        except BaseException:
            self._power.enable(False)
            raise

    def _await_power(self) -> None:
        deadline_s = self._monotonic() + self._wait_s
        while not self._power.powered:
            if self._monotonic() >= deadline_s:
                raise DriverError(
                    f"camera: it has no power {self._wait_s:g} s after it was asked for; is the light lit?"
                )
            self._sleep(_LOOK_S)

    def stop(self) -> None:
        """Stop the camera, and let go of its power."""
        try:
            super().stop()
        finally:
            self._power.enable(False)

    def fault(self) -> str | None:
        """The camera's own, or that its power went."""
        return super().fault() or (None if self._power.powered else "camera: its power was taken away")
