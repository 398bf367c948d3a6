"""The webcam's driver on FFmpeg's own test picture, paced by FFmpeg, through the code that reads a device."""

from __future__ import annotations

import io
import itertools
import threading
import time
from pathlib import Path

import av
import pytest

from drivers.camera.disabled import DisabledCamera
from drivers.camera.protocol import AccessUnit, VideoFormat
from drivers.camera.v4l2_camera import V4l2Camera, VideoSource
from drivers.errors import DriverError, DriverUnavailableError

FORMAT = VideoFormat(160, 120, 25, 300_000, 5)
PACED = VideoSource("testsrc=size=160x120:rate=25,realtime", "lavfi")
LARGER = VideoSource("testsrc=size=320x240:rate=25,realtime", "lavfi")


class Collector:
    """Keeps what comes, and says when there is enough."""

    def __init__(self, enough: int) -> None:
        self.units: list[AccessUnit] = []
        self.arrived_ns: list[int] = []
        self.done = threading.Event()
        self._enough = enough

    def __call__(self, unit: AccessUnit) -> None:
        self.units.append(unit)
        self.arrived_ns.append(time.monotonic_ns())
        if len(self.units) >= self._enough:
            self.done.set()


def nal_types(unit: AccessUnit) -> list[int]:
    """The NAL unit types (ITU-T H.264, table 7-1) of an Annex B byte stream."""
    return [part[0] & 31 for part in unit.data.split(b"\0\0\1")[1:]]


def decoded(units: list[AccessUnit]) -> list[av.VideoFrame]:
    with av.open(io.BytesIO(b"".join(unit.data for unit in units)), mode="r", format="h264") as container:
        return list(container.decode(video=0))


@pytest.mark.parametrize("source", [PACED, LARGER], ids=["same-size", "scaled"])
def test_pictures_are_encoded_regularly_with_key_pictures_at_the_interval(source: VideoSource) -> None:
    got = Collector(12)
    with V4l2Camera(source) as camera:
        before_ns = time.monotonic_ns()
        camera.start(FORMAT, got)
        assert got.done.wait(30)
        assert camera.fault() is None
        camera.stop()
        count = len(got.units)
    assert len(got.units) == count
    assert [unit.key for unit in got.units[:12]] == [index % 5 == 0 for index in range(12)]
    for unit in got.units:
        kinds = nal_types(unit)
        assert {7, 8, 5} <= set(kinds) if unit.key else 1 in kinds and not {5, 7, 8} & set(kinds)
    times_ns = [unit.capture_ns for unit in got.units]
    # This source counts from zero, so that its stamps are mapped: none is before the start or after the arrival.
    assert before_ns <= times_ns[0]
    assert all(capture <= arrived for capture, arrived in zip(times_ns, got.arrived_ns, strict=True))
    assert all(earlier < later for earlier, later in itertools.pairwise(times_ns))
    pictures = decoded(got.units)
    assert len(pictures) == count
    assert (pictures[0].width, pictures[0].height) == (160, 120)


def test_start_and_stop_again() -> None:
    with V4l2Camera(PACED) as camera:
        for _ in range(2):
            got = Collector(2)
            camera.start(FORMAT, got)
            with pytest.raises(DriverError, match="running already"):
                camera.start(FORMAT, got)
            assert got.done.wait(30)
            camera.stop()
            camera.stop()
            assert got.units[0].key
    camera.close()
    with pytest.raises(DriverError, match="closed"):
        camera.start(FORMAT, Collector(1))


def test_a_source_that_ends_is_a_fault() -> None:
    got = Collector(3)
    ended = VideoSource("testsrc=size=160x120:rate=25:duration=0.12", "lavfi")
    with V4l2Camera(ended) as camera:
        camera.start(FORMAT, got)
        assert got.done.wait(30)
        assert camera._thread is not None
        camera._thread.join(30)
        assert str(camera.fault()).endswith("ended; plug it in again")


def test_there_is_no_such_device() -> None:
    with (
        V4l2Camera("/dev/video-not-there") as camera,
        pytest.raises(DriverUnavailableError, match="there is no /dev/video-not-there; plug a webcam in"),
    ):
        camera.start(FORMAT, Collector(1))


def test_a_file_is_no_camera(tmp_path: Path) -> None:
    file = tmp_path / "video9"
    file.write_bytes(b"not a device")
    with (
        V4l2Camera(str(file)) as camera,
        pytest.raises(DriverError, match="video9 cannot be opened"),
    ):
        camera.start(FORMAT, Collector(1))


def test_sound_is_no_camera() -> None:
    with (
        V4l2Camera(VideoSource("sine", "lavfi")) as camera,
        pytest.raises(DriverError, match="has no video"),
    ):
        camera.start(FORMAT, Collector(1))


def test_a_disabled_camera_cannot_be_started() -> None:
    with DisabledCamera() as camera:
        with pytest.raises(DriverUnavailableError, match="disabled in the configuration"):
            camera.start(FORMAT, Collector(1))
        camera.stop()
        assert camera.fault() is None
