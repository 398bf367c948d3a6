"""A camera behind its power switch."""

from __future__ import annotations

import pytest

from drivers.camera.disabled import DisabledCamera
from drivers.camera.powered import PoweredCamera
from drivers.camera.protocol import AccessUnitSink, VideoFormat
from drivers.camera_power.always import AlwaysPowered
from drivers.camera_power.simulated import SimulatedCameraPower
from drivers.errors import DriverError

FORMAT = VideoFormat(640, 480, 30, 1_000_000, 30)


class FakeCamera(DisabledCamera):
    """Starts, and remembers it."""

    def __init__(self) -> None:
        super().__init__()
        self.running = False

    def start(self, fmt: VideoFormat, sink: AccessUnitSink) -> None:
        self.running = True

    def stop(self) -> None:
        self.running = False


def test_power_comes_first_and_goes_last() -> None:
    camera, power = FakeCamera(), SimulatedCameraPower()
    made = PoweredCamera(camera, power)
    assert not power.powered
    made.start(FORMAT, lambda _unit: None)
    assert power.powered
    assert camera.running
    assert made.fault() is None
    made.stop()
    assert not camera.running
    assert not power.powered


def test_in_the_dark_there_is_no_camera() -> None:
    camera, power = FakeCamera(), SimulatedCameraPower(lit=lambda: False)
    waits: list[float] = []
    made = PoweredCamera(camera, power, monotonic=lambda: sum(waits), sleep=waits.append)
    with pytest.raises(DriverError, match="is the light lit"):
        made.start(FORMAT, lambda _unit: None)
    assert not camera.running
    assert 2.0 <= sum(waits) < 2.1


def test_power_that_is_taken_away_is_the_cameras_fault() -> None:
    camera, power = FakeCamera(), SimulatedCameraPower()
    made = PoweredCamera(camera, power)
    made.start(FORMAT, lambda _unit: None)
    power.refuse("cut")
    assert made.fault() is not None


def test_a_camera_that_does_not_start_gives_its_power_back() -> None:
    power = SimulatedCameraPower()
    with PoweredCamera(DisabledCamera(), power) as made, pytest.raises(DriverError):
        made.start(FORMAT, lambda _unit: None)
    assert not power.powered
    assert AlwaysPowered().powered
