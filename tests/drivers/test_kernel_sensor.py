"""A sensor that has power only while the light is lit; a folder stands for sysfs, and its kernel is played."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from drivers.camera.disabled import DisabledCamera
from drivers.camera.kernel_sensor import KernelSensor
from drivers.camera.late import LateCamera
from drivers.camera.protocol import VideoFormat
from drivers.errors import DriverError

FORMAT = VideoFormat(640, 480, 30, 1_000_000, 30)
WRITE = os.write


class Kernel:
    """One I2C bus with a clock chip and a sensor, and what a write to the driver's ``bind`` does."""

    def __init__(self, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sys, self.dev = base / "sys", base / "dev"
        self.bus = self.sys / "bus" / "i2c"
        self.driver = self.bus / "drivers" / "imx708"
        self.driver.mkdir(parents=True)
        (self.driver / "bind").write_text("")
        for device, name in (("1-0068", "ds3231"), ("10-001a", "imx708"), ("10-000c", "dw9807-vcm")):
            (self.bus / "devices" / device).mkdir(parents=True)
            (self.bus / "devices" / device / "name").write_text(f"{name}\n")
        (self.bus / "devices" / "i2c-10").mkdir()
        self.dev.mkdir()
        self.answers: Callable[[], int] = lambda: 0
        self.asked: list[bytes] = []
        self.now_s = 0.0
        monkeypatch.setattr("drivers.camera.kernel_sensor.os.write", self._write)

    def sensor(self) -> KernelSensor:
        return KernelSensor(
            "imx708", sys=self.sys, dev=self.dev, wait_s=1.0, monotonic=lambda: self.now_s, sleep=self._sleep
        )

    @property
    def bound(self) -> bool:
        return (self.bus / "devices" / "10-001a" / "driver").exists()

    def _sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def _write(self, descriptor: int, data: bytes) -> int:
        assert Path(f"/proc/self/fd/{descriptor}").readlink() == self.driver / "bind"
        self.asked.append(data)
        if number := self.answers():
            raise OSError(number, os.strerror(number))
        (self.bus / "devices" / "10-001a" / "driver").symlink_to(self.driver)
        (self.dev / "video0").write_text("")
        return len(data)


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(tmp_path, monkeypatch)


def test_it_is_bound_once_and_stays_so(kernel: Kernel) -> None:
    for _ in range(2):
        kernel.sensor().bind()
    assert kernel.asked == [b"10-001a"]
    assert kernel.bound


def test_it_may_take_a_moment_to_wake(kernel: Kernel) -> None:
    kernel.answers = lambda: errno.EREMOTEIO if len(kernel.asked) < 4 else 0
    kernel.sensor().bind()
    assert kernel.bound
    assert 0 < kernel.now_s < 1


def test_somebody_else_may_have_bound_it_meanwhile(kernel: Kernel) -> None:
    def busy() -> int:
        (kernel.bus / "devices" / "10-001a" / "driver").symlink_to(kernel.driver)
        return errno.EBUSY

    kernel.answers = busy
    kernel.sensor().bind()


def test_what_is_wrong_is_said(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel.answers = lambda: errno.EIO
    with pytest.raises(
        DriverError, match=r"the sensor imx708 does not answer \(Input/output error\) .* check the ribbon"
    ):
        kernel.sensor().bind()
    assert kernel.now_s == pytest.approx(1.0, abs=0.1)
    with pytest.raises(DriverError, match=r"no sensor imx477; is dtoverlay=imx477 in config\.txt"):
        KernelSensor("imx477", sys=kernel.sys, dev=kernel.dev).bind()
    kernel.answers = lambda: 0
    monkeypatch.setattr("drivers.camera.kernel_sensor.os.access", lambda _path, _mode: False)
    with pytest.raises(DriverError, match=r"video0 may not be opened; check the udev rules"):
        kernel.sensor().bind()


def test_rights_and_drivers_that_are_not_there(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_arguments: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr("drivers.camera.kernel_sensor.os.open", refused)
        with pytest.raises(DriverError, match=r"cannot be opened \(Permission denied\); check the service's rights"):
            kernel.sensor().bind()
    (kernel.driver / "bind").unlink()
    with pytest.raises(DriverError, match=r"driver imx708 is not loaded \(modprobe imx708\)"):
        kernel.sensor().bind()


def test_the_camera_starts_after_it(kernel: Kernel) -> None:
    class Fake(DisabledCamera):
        def start(self, *_arguments: object) -> None:
            assert kernel.bound

    with LateCamera(Fake(), kernel.sensor().bind) as camera:
        camera.start(FORMAT, lambda _unit: None)
        assert camera.name == DisabledCamera().name
        assert camera.fault() == DisabledCamera().fault()
        camera.stop()
