"""The Pi camera's driver against a camera made of plain objects. `make rig` runs the real one."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from drivers.camera import picamera2_camera
from drivers.camera.picamera2_camera import Picamera2Camera, Picamera2Parts, load_picamera2
from drivers.camera.protocol import AccessUnit, VideoFormat
from drivers.errors import DriverError, DriverUnavailableError

FORMAT = VideoFormat(640, 480, 30, 1_000_000, 30)
KEY, DELTA = b"\0\0\0\1\x67", b"\0\0\0\1\x41"


class FakeOutput:
    def outputframe(self, frame: bytes, keyframe: bool, timestamp: int, packet: object, audio: bool) -> None:
        raise NotImplementedError


class FakePreview:
    pass


class FakeEncoder:
    def __init__(self, **options: object) -> None:
        self.options = options
        self.firsttimestamp: int | None = None
        self.output: Any = None

    def send(self, sensor_ns: int, key: bool) -> None:
        """Do as picamera2: keep the first frame's time in microseconds, and count from it."""
        stamp_us = sensor_ns // 1000
        self.firsttimestamp = stamp_us if self.firsttimestamp is None else self.firsttimestamp
        self.output.outputframe(KEY if key else DELTA, key, stamp_us - self.firsttimestamp, None, False)


class FakeCamera:
    def __init__(self, number: int) -> None:
        self.number = number
        self.calls: list[str] = []
        self.encoder: Any = None
        self.preview: Any = None
        self.size = (640, 480)
        self.flushed: bytes | None = None
        self.stop_gate: threading.Event | None = None

    def create_video_configuration(self, **wanted: Any) -> dict[str, Any]:
        return wanted

    def configure(self, wanted: dict[str, Any]) -> None:
        self.calls.append("configure")
        self.wanted = wanted

    def camera_configuration(self) -> dict[str, Any]:
        return {"main": {"size": self.size}}

    def start_encoder(self, encoder: Any, output: Any) -> None:
        self.calls.append("start_encoder")
        self.encoder, encoder.output = encoder, output

    def start(self, *, show_preview: Any) -> None:
        self.calls.append("start")
        self.preview = show_preview

    def stop(self) -> None:
        self.calls.append("stop")
        if self.stop_gate is not None:
            self.stop_gate.wait(30)

    def stop_encoder(self, encoder: Any) -> None:
        self.calls.append("stop_encoder")
        assert encoder is self.encoder
        if self.flushed is not None:
            encoder.output.outputframe(self.flushed, False, 90_000, None, False)

    def close(self) -> None:
        self.calls.append("close")


class Bench:
    def __init__(self) -> None:
        self.cameras: list[FakeCamera] = []
        self.prepare: Callable[[FakeCamera], None] = lambda camera: None
        self.now_ns = 1_000_000_000_000
        self.units: list[AccessUnit] = []
        self.driver = Picamera2Camera(load=self.load, now=lambda: self.now_ns)

    def load(self) -> Picamera2Parts:
        return Picamera2Parts(self.open, FakeEncoder, FakeOutput, FakePreview)

    def open(self, number: int) -> FakeCamera:
        camera = FakeCamera(number)
        self.prepare(camera)
        self.cameras.append(camera)
        return camera

    @property
    def camera(self) -> FakeCamera:
        return self.cameras[-1]


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.driver.close()


def test_pictures_carry_the_sensors_time(bench: Bench) -> None:
    bench.driver.start(FORMAT, bench.units.append)
    first_ns = bench.now_ns - 40_000_000
    bench.camera.encoder.send(first_ns, True)
    bench.now_ns += 33_000_000
    bench.camera.encoder.send(first_ns + 33_333_000, False)
    assert bench.units == [AccessUnit(KEY, first_ns, True), AccessUnit(DELTA, first_ns + 33_333_000, False)]
    assert bench.driver.fault() is None


def test_the_format_reaches_encoder_and_sensor(bench: Bench) -> None:
    bench.driver.start(replace(FORMAT, frame_rate=25, key_interval=50), bench.units.append)
    assert bench.camera.encoder.options == {"bitrate": 1_000_000, "repeat": True, "iperiod": 50, "framerate": 25}
    assert bench.camera.wanted["controls"] == {"FrameDurationLimits": (40_000, 40_000)}
    assert bench.camera.wanted["buffer_count"] == picamera2_camera.BUFFERS


def test_nothing_is_delivered_before_the_first_key_picture(bench: Bench) -> None:
    bench.driver.start(FORMAT, bench.units.append)
    for number, key in enumerate([False, True, False]):
        bench.camera.encoder.send(bench.now_ns + number, key)
    assert [unit.key for unit in bench.units] == [True, False]


def test_what_the_encoder_still_holds_comes_before_the_stop_returns_and_nothing_after(bench: Bench) -> None:
    bench.driver.start(FORMAT, bench.units.append)
    bench.camera.encoder.send(bench.now_ns, True)
    bench.camera.flushed = b"last"
    bench.driver.stop()
    assert [unit.data for unit in bench.units] == [KEY, b"last"]
    bench.camera.encoder.send(bench.now_ns, True)
    bench.driver.stop()
    assert len(bench.units) == 2


def test_start_and_stop_again_keep_the_camera_open_and_configured(bench: Bench) -> None:
    for _ in range(2):
        bench.driver.start(FORMAT, bench.units.append)
        bench.camera.encoder.send(bench.now_ns, True)
        bench.driver.stop()
    assert len(bench.cameras) == 1
    assert bench.camera.calls.count("configure") == 1
    assert len(bench.units) == 2
    bench.driver.start(replace(FORMAT, bitrate_bps=2_000_000), bench.units.append)
    assert bench.camera.calls.count("configure") == 2


def test_a_camera_that_loses_its_power_is_opened_anew_at_each_start(bench: Bench) -> None:
    driver = Picamera2Camera(keep_open=False, load=bench.load, now=lambda: bench.now_ns)
    for number in (1, 2):
        driver.start(FORMAT, bench.units.append)
        bench.camera.encoder.send(bench.now_ns, True)
        driver.stop()
        assert bench.camera.calls[-3:] == ["stop", "stop_encoder", "close"], "closed while it has power yet"
        assert len(bench.cameras) == number
    driver.stop()
    assert [camera.calls.count("close") for camera in bench.cameras] == [1, 1]
    assert len(bench.units) == 2


def test_a_second_start_is_an_error(bench: Bench) -> None:
    bench.driver.start(FORMAT, bench.units.append)
    with pytest.raises(DriverError, match="running already"):
        bench.driver.start(FORMAT, bench.units.append)


def test_a_size_that_libcamera_adjusted_is_refused(bench: Bench) -> None:
    bench.prepare = lambda camera: setattr(camera, "size", (1920, 1080))
    with pytest.raises(DriverError, match="cannot do 640x480, only 1920x1080"):
        bench.driver.start(FORMAT, bench.units.append)
    assert bench.camera.calls[-1] == "close"


def test_an_error_of_libcamera_is_one_clear_line_and_the_next_start_opens_anew(bench: Bench) -> None:
    def busy(**_: object) -> None:
        raise RuntimeError("Device or resource busy")

    bench.prepare = lambda camera: setattr(camera, "start", busy)
    with pytest.raises(DriverError, match=r"RuntimeError: Device or resource busy\); check the ribbon cable"):
        bench.driver.start(FORMAT, bench.units.append)
    assert bench.camera.calls[-3:] == ["stop", "stop_encoder", "close"]
    bench.prepare = lambda camera: None
    bench.driver.start(FORMAT, bench.units.append)
    bench.camera.encoder.send(bench.now_ns, True)
    assert len(bench.cameras) == 2
    assert len(bench.units) == 1


def test_an_encoder_that_fails_is_the_fault_and_the_loop_lives_on(bench: Bench) -> None:
    class BrokenCamera:
        def process_requests(self, preview: object) -> None:
            raise OSError("ioctl failed")

    bench.driver.start(FORMAT, bench.units.append)
    bench.camera.preview.handle_request(BrokenCamera())
    assert bench.driver.fault() == "camera: the encoder failed (OSError: ioctl failed); restart it"
    bench.driver.stop()
    bench.driver.start(FORMAT, bench.units.append)
    assert bench.driver.fault() is None
    assert len(bench.cameras) == 2


def test_a_stall_is_the_fault(bench: Bench) -> None:
    bench.driver.start(FORMAT, bench.units.append)
    bench.camera.encoder.send(bench.now_ns, True)
    bench.now_ns += picamera2_camera.STALL_NS + 1
    assert str(bench.driver.fault()).startswith("camera: no picture for 1.5 s")


def test_a_camera_that_does_not_stop_is_left_behind(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picamera2_camera, "STOP_TIMEOUT_S", 0.01)
    leave = threading.Event()
    bench.driver.start(FORMAT, bench.units.append)
    bench.camera.stop_gate = leave
    try:
        bench.driver.stop()
        bench.camera.encoder.send(bench.now_ns, True)
        assert bench.units == []
        assert "camera-stop did not finish" in str(bench.driver.fault())
        with pytest.raises(DriverError, match="restart the process"):
            bench.driver.start(FORMAT, bench.units.append)
        bench.driver.close()
    finally:
        leave.set()


def test_closing_is_final_and_idempotent(bench: Bench) -> None:
    with bench.driver as driver:
        driver.start(FORMAT, bench.units.append)
    driver.close()
    assert bench.camera.calls == ["configure", "start_encoder", "start", "stop", "stop_encoder", "close"]
    with pytest.raises(DriverError, match="closed"):
        driver.start(FORMAT, bench.units.append)


def test_without_picamera2_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(DriverUnavailableError, match="install the system package python3-libcamera"):
        load_picamera2()
    with Picamera2Camera() as camera, pytest.raises(DriverUnavailableError):
        camera.start(FORMAT, lambda unit: None)


def test_the_default_clock_is_the_monotonic_one() -> None:
    bench = Bench()
    units: list[AccessUnit] = []
    with Picamera2Camera(load=bench.load) as camera:
        camera.start(FORMAT, units.append)
        stamp_ns = time.monotonic_ns() // 1000 * 1000
        bench.camera.encoder.send(stamp_ns, True)
    assert units[0].capture_ns == stamp_ns
