"""The real picamera2 driver records on libcamera's virtual pipeline."""

from __future__ import annotations

import gc
import io
import time
from pathlib import Path

import av
import numpy as np
import pytest

from drivers.camera.picamera2_camera import Picamera2Camera
from drivers.camera.protocol import AccessUnit, VideoFormat
from drivers.errors import DriverError
from tests.rig import numbered
from tests.rig.collector import Collector, until
from tests.rig.virtual_camera import HEIGHT, SMALL_HEIGHT, SMALL_WIDTH, WIDTH, VirtualPipeline

pytestmark = [
    pytest.mark.rig,
    # picamera2's event loop still sets its thread up in the old way
    pytest.mark.filterwarnings("ignore:setDaemon:DeprecationWarning"),
]

FORMAT = VideoFormat(WIDTH, HEIGHT, frame_rate=30, bitrate_bps=2_000_000, key_interval=15)
SMALL = VideoFormat(SMALL_WIDTH, SMALL_HEIGHT, frame_rate=30, bitrate_bps=1_000_000, key_interval=30)
NON_IDR, IDR, SPS, PPS = 1, 5, 7, 8  # nal_unit_type, ITU-T H.264 table 7-1


def nal_types(data: bytes) -> list[int]:
    """List the NAL unit types of a byte stream (ITU-T H.264 annex B)."""
    types, at = [], data.find(b"\x00\x00\x01")
    while at >= 0:
        types.append(data[at + 3] & 0x1F)
        at = data.find(b"\x00\x00\x01", at + 3)
    return types


def decode(units: list[AccessUnit]) -> list[np.ndarray]:
    """Decode to luma pictures with FFmpeg, from nothing but the bytes."""
    with av.open(io.BytesIO(b"".join(unit.data for unit in units)), format="h264") as container:
        return [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]


def test_it_records_every_picture_in_order_and_in_time(
    pipeline: VirtualPipeline, record_property: pytest.RecordProperty, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures: Collector[AccessUnit] = Collector()
    with Picamera2Camera(load=pipeline.load) as camera:
        before_ns = time.monotonic_ns()
        camera.start(FORMAT, pictures)
        pictures.wait(160)
        assert camera.fault() is None
        camera.stop()
        after_ns = time.monotonic_ns()
    sensor = pipeline.opened[-1]
    units = pictures.items

    # Nothing is lost between sensor and sink but the few pictures that were in work when the camera was stopped.
    assert len(sensor.taken_ns) - len(units) <= 8
    numbers = [numbered.read(luma) for luma in decode(units)]
    assert len(numbers) == len(units)
    assert numbered.losses(numbers) == []

    # Key pictures stand where they were asked for, and can be decoded by themselves.
    assert [index for index, unit in enumerate(units) if unit.key] == list(range(0, len(units), FORMAT.key_interval))
    for unit in units:
        types = [kind for kind in nal_types(unit.data) if kind in (NON_IDR, IDR, SPS, PPS)]
        if unit.key:
            assert types[:2] == [SPS, PPS]
            assert set(types[2:]) == {IDR}
        else:
            assert set(types) == {NON_IDR}

    # Times are of the monotonic clock, of the moment of capture, and as regular as the sensor.
    stamps = np.array([unit.capture_ns for unit in units])
    intervals = np.diff(stamps) / 1e6
    delays = (np.array(pictures.arrivals_ns) - stamps) / 1e6
    assert before_ns < stamps[0]
    assert stamps[-1] < after_ns
    assert intervals.min() > 0
    assert delays.min() > 0
    assert delays.max() < 1000
    assert np.median(intervals) == pytest.approx(1000 / FORMAT.frame_rate, abs=1.0)
    seconds = (stamps[-1] - stamps[0]) / 1e9
    assert seconds >= 5
    periods = len(units) - 1 + sensor.starved
    assert periods / seconds == pytest.approx(FORMAT.frame_rate, rel=0.02)
    figures = (
        f"{len(units)} pictures in {seconds:.3f} s, interval {intervals.mean():.2f} ms, standard deviation "
        f"{intervals.std():.2f} ms, largest {intervals.max():.1f} ms, handed over {np.median(delays):.1f} ms "
        f"(median) after capture, {sensor.starved} periods without a free buffer"
    )
    record_property("camera", figures)
    with capsys.disabled():
        print(f"\ncamera: {figures}")  # noqa: T201


def test_it_starts_again_in_another_format_and_is_silent_in_between(pipeline: VirtualPipeline) -> None:
    with Picamera2Camera(load=pipeline.load) as camera:
        last_ns = 0
        for fmt in (SMALL, FORMAT, FORMAT):
            pictures: Collector[AccessUnit] = Collector()
            camera.start(fmt, pictures)
            pictures.wait(20)
            camera.stop()
            assert pictures.none_within(0.2)
            assert pictures.items[0].key
            assert pictures.items[0].capture_ns > last_ns
            last_ns = pictures.items[-1].capture_ns
            decoded = decode(pictures.items)
            assert len(decoded) == len(pictures.items)
            assert decoded[0].shape == (fmt.height, fmt.width)
            assert numbered.losses([numbered.read(luma) for luma in decoded]) == []
            assert camera.fault() is None
        camera.stop()
        assert len(pipeline.opened) > 0
    camera.close()


def test_one_that_loses_its_power_is_given_back_wholly_at_each_stop(pipeline: VirtualPipeline) -> None:
    """Only then does the kernel close the lens, and set it up when it is opened again."""

    def threads() -> set[str]:
        return {path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")}

    with Picamera2Camera(keep_open=False, load=pipeline.load) as camera:
        for _ in range(2):
            pictures: Collector[AccessUnit] = Collector()
            camera.start(SMALL, pictures)
            pictures.wait(10)
            assert "CameraManager" in threads(), "libcamera's own"
            camera.stop()
            pipeline.opened.clear()
            assert "CameraManager" not in threads()


def test_a_sensor_that_falls_silent_is_a_fault_and_a_restart_mends_it(pipeline: VirtualPipeline) -> None:
    pictures: Collector[AccessUnit] = Collector()
    with Picamera2Camera(load=pipeline.load, stall_ns=400_000_000) as camera:
        camera.start(SMALL, pictures)
        pictures.wait(5)
        pipeline.opened[-1].running.clear()
        until(lambda: camera.fault() is not None)
        assert "no picture for" in str(camera.fault())
        camera.stop()
        again: Collector[AccessUnit] = Collector()
        camera.start(SMALL, again)
        again.wait(5)
        assert camera.fault() is None
        assert again.items[0].key


def test_an_encoder_that_fails_is_a_fault_and_a_restart_mends_it(pipeline: VirtualPipeline) -> None:
    failing = True

    def load():
        parts = pipeline.load()

        class Encoder(parts.encoder):  # type: ignore[name-defined, misc]
            def _encode(self, stream, request):
                if failing and self.frames_encoded == 5:
                    raise OSError("the encoder is out of order")
                return super()._encode(stream, request)

        return type(parts)(parts.open_camera, Encoder, parts.output, parts.preview)

    pictures: Collector[AccessUnit] = Collector()
    with Picamera2Camera(load=load) as camera:
        camera.start(SMALL, pictures)
        until(lambda: camera.fault() is not None)
        assert "out of order" in str(camera.fault())
        camera.stop()
        failing = False
        again: Collector[AccessUnit] = Collector()
        camera.start(SMALL, again)
        again.wait(20)
        assert camera.fault() is None


def test_what_it_cannot_do_is_one_clear_line(pipeline: VirtualPipeline) -> None:
    odd = VideoFormat(1024, 768, frame_rate=30, bitrate_bps=1_000_000, key_interval=30)
    pictures: Collector[AccessUnit] = Collector()
    with Picamera2Camera(load=pipeline.load) as camera:
        with pytest.raises(DriverError, match="1024x768") as caught:
            camera.start(odd, pictures)
        assert "\n" not in str(caught.value)
        camera.start(SMALL, pictures)  # and it is usable after that
        pictures.wait(2)


def test_a_camera_that_is_absent_or_in_use_is_one_clear_line_and_costs_nothing(pipeline: VirtualPipeline) -> None:
    pictures: Collector[AccessUnit] = Collector()
    with Picamera2Camera(load=pipeline.load) as first, Picamera2Camera(load=pipeline.load) as second:
        first.start(SMALL, pictures)
        pictures.wait(2)
        with pytest.raises(DriverError, match="camera: libcamera would not start it") as caught:
            second.start(SMALL, pictures)
        assert "\n" not in str(caught.value)
    with Picamera2Camera(camera_number=7, load=pipeline.load) as absent:
        with pytest.raises(DriverError, match="number 7"):
            absent.start(SMALL, pictures)
        gc.collect()
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(3):
            with pytest.raises(DriverError, match="number 7"):
                absent.start(SMALL, pictures)
        gc.collect()
        assert len(list(Path("/proc/self/fd").iterdir())) == before
