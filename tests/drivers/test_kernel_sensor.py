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
        self.sys, self.dev, self.udev = base / "sys", base / "dev", base / "udev"
        self.bus = self.sys / "bus" / "i2c"
        self.driver = self.bus / "drivers" / "imx708"
        self.driver.mkdir(parents=True)
        (self.driver / "bind").write_text("")
        for device, name in (("1-0068", "ds3231"), ("10-001a", "imx708"), ("10-000c", "dw9807-vcm")):
            (self.bus / "devices" / device).mkdir(parents=True)
            (self.bus / "devices" / device / "name").write_text(f"{name}\n")
        (self.bus / "devices" / "i2c-10").mkdir()
        self.dev.mkdir()
        self.udev.mkdir()
        self.lens = True
        self.udev_delay_s = 0.0
        self.answers: Callable[[], int] = lambda: 0
        self.asked: list[bytes] = []
        self.now_s = 0.0
        monkeypatch.setattr("drivers.camera.kernel_sensor.os.write", self._write)

    def sensor(self) -> KernelSensor:
        return KernelSensor(
            "imx708", sys=self.sys, dev=self.dev, udev=self.udev, wait_s=1.0, monotonic=lambda: self.now_s,
            sleep=self._sleep,
        )  # fmt: skip

    @property
    def bound(self) -> bool:
        return (self.bus / "devices" / "10-001a" / "driver").exists()

    def _sleep(self, seconds: float) -> None:
        self.now_s += seconds
        if (self.dev / "video0").exists() and self.now_s >= self.udev_delay_s:
            self.record()

    def record(self) -> None:
        """Do as udev, when it is through with a device: these are plain files, and so have no number."""
        (self.udev / "c0:0").write_text("I:1\n")

    def _write(self, descriptor: int, data: bytes) -> int:
        assert Path(f"/proc/self/fd/{descriptor}").readlink() == self.driver / "bind"
        self.asked.append(data)
        if number := self.answers():
            raise OSError(number, os.strerror(number))
        self.bind()
        if self.lens:
            self.make_camera()
        return len(data)

    def bind(self) -> None:
        (self.bus / "devices" / "10-001a" / "driver").symlink_to(self.driver)

    def make_camera(self) -> None:
        (self.bus / "devices" / "10-001a" / "video4linux" / "v4l-subdev0").mkdir(parents=True)
        (self.dev / "video0").write_text("")


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
        kernel.bind()
        kernel.make_camera()
        return errno.EBUSY

    kernel.answers = busy
    kernel.sensor().bind()


def test_it_waits_until_udev_is_through_with_the_camera(kernel: Kernel) -> None:
    """Also where it was bound already, by a process that has just ended."""
    kernel.udev_delay_s = 0.5
    kernel.sensor().bind()
    assert kernel.now_s == pytest.approx(0.5, abs=0.05)
    (kernel.udev / "c0:0").unlink()
    kernel.udev_delay_s = 0.8
    kernel.sensor().bind()
    assert kernel.now_s == pytest.approx(0.8, abs=0.05)
    assert kernel.asked == [b"10-001a"]
    kernel.udev_delay_s = 99.0
    (kernel.udev / "c0:0").unlink()
    with pytest.raises(DriverError, match=r"imx708 answers, but udev does not know of .*video0; is systemd-udevd"):
        kernel.sensor().bind()


def test_a_sensor_of_which_no_camera_comes(kernel: Kernel) -> None:
    kernel.lens = False
    with pytest.raises(DriverError, match=r"imx708 answers, but no camera came of it: its lens or its receiver"):
        kernel.sensor().bind()
    assert kernel.now_s == pytest.approx(1.0, abs=0.05)
    kernel.make_camera()
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
