"""The synthetic pair: one clock, real coding, and faults when told to."""

from __future__ import annotations

import importlib
import queue
import sys
import time
from itertools import pairwise

import numpy as np
import pytest

from drivers.camera.protocol import AccessUnit, Camera, VideoFormat
from drivers.camera.synthetic import CameraFault, SyntheticCamera
from drivers.errors import DriverError, DriverUnavailableError
from drivers.microphone.protocol import AudioFormat, Microphone, PcmBlock
from drivers.microphone.synthetic import MicrophoneFault, SyntheticMicrophone, Voice

SECOND = 1_000_000_000
FMT = VideoFormat(320, 192, 30, 300_000, 10)


def _pictures(camera: Camera, count: int) -> list[AccessUnit]:
    arrived: queue.Queue[AccessUnit] = queue.Queue()
    camera.start(FMT, arrived.put)
    return [arrived.get(timeout=10) for _ in range(count)]


def _blocks(microphone: Microphone, count: int) -> list[PcmBlock]:
    arrived: queue.Queue[PcmBlock] = queue.Queue()
    microphone.start(AudioFormat(), arrived.put)
    return [arrived.get(timeout=10) for _ in range(count)]


@pytest.mark.parametrize("part", ["camera", "microphone"])
def test_without_numpy_the_part_is_unavailable(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    for name in ("camera.synthetic", "camera.scene", "camera.timecode", "microphone.synthetic"):
        monkeypatch.delitem(sys.modules, f"drivers.{name}", raising=False)
    with pytest.raises(DriverUnavailableError, match=f"{part} synthetic: numpy is not installed"):
        importlib.import_module(f"drivers.{part}.synthetic")


def test_pictures_come_in_time_with_their_headers() -> None:
    epoch_ns = time.monotonic_ns()
    with SyntheticCamera(epoch_ns=epoch_ns) as camera:
        pictures = _pictures(camera, 21)
        now_ns = time.monotonic_ns()
        camera.stop()
    assert [number for number, picture in enumerate(pictures) if picture.key] == [0, 10, 20]
    # A start code and an SPS before each key picture; no B-frames: each picture stands for itself, in order.
    assert all(picture.data[:4] == b"\0\0\0\1" for picture in pictures)
    assert all((picture.data[4] & 0x1F == 7) == picture.key for picture in pictures)
    steps = {after.capture_ns - before.capture_ns for before, after in pairwise(pictures)}
    assert steps <= {33_333_333, 33_333_334}
    offset = (pictures[0].capture_ns - epoch_ns) * 30 % SECOND
    assert offset in (0, SECOND - 10, SECOND - 20)
    assert 0 <= now_ns - pictures[-1].capture_ns < SECOND


def test_it_runs_again_after_a_stop_and_not_after_a_close() -> None:
    camera = SyntheticCamera()
    first = _pictures(camera, 2)
    with pytest.raises(DriverError, match="already running"):
        camera.start(FMT, lambda _unit: None)
    camera.stop()
    camera.stop()
    second = _pictures(camera, 2)
    assert second[0].key
    assert second[0].capture_ns > first[-1].capture_ns
    camera.close()
    camera.close()
    with pytest.raises(DriverError, match="closed"):
        camera.start(FMT, lambda _unit: None)


def test_camera_faults() -> None:
    faults = [
        CameraFault(refuse=True),
        CameraFault(die_after=2),
        CameraFault(lose=frozenset({1})),
        CameraFault(stall_after=1),
    ]
    with SyntheticCamera(faults=faults) as camera:
        with pytest.raises(DriverError, match="refused"):
            camera.start(FMT, lambda _unit: None)
        _pictures(camera, 2)
        deadline = time.monotonic() + 10
        while camera.fault() is None:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        camera.stop()
        first, second = _pictures(camera, 2)
        assert camera.fault() is None
        assert abs(second.capture_ns - first.capture_ns - SECOND * 2 // 30) <= 1
        camera.stop()
        arrived: queue.Queue[AccessUnit] = queue.Queue()
        camera.start(FMT, arrived.put)
        arrived.get(timeout=10)
        with pytest.raises(queue.Empty):
            arrived.get(timeout=0.15)
        assert camera.fault() is None, "a stall is silent"


def test_a_format_that_x264_refuses_is_an_error() -> None:
    with SyntheticCamera() as camera:
        with pytest.raises(DriverError, match="321x191"):
            camera.start(VideoFormat(321, 191, 30, 300_000, 30), lambda _unit: None)
        _pictures(camera, 1)


def test_blocks_come_in_time() -> None:
    epoch_ns = time.monotonic_ns()
    with SyntheticMicrophone(epoch_ns=epoch_ns) as microphone:
        assert microphone.present
        blocks = _blocks(microphone, 10)
        now_ns = time.monotonic_ns()
    assert {len(block.data) for block in blocks} == {1920}
    assert {after.capture_ns - before.capture_ns for before, after in pairwise(blocks)} == {20_000_000}
    assert (blocks[0].capture_ns - epoch_ns) % 20_000_000 == 0
    assert 20_000_000 <= now_ns - blocks[-1].capture_ns < SECOND
    assert not any(block.overflowed for block in blocks)


def test_microphone_faults() -> None:
    faults = [MicrophoneFault(refuse=True), MicrophoneFault(overflow=frozenset({1, 2})), MicrophoneFault(die_after=1)]
    with SyntheticMicrophone(faults=faults) as microphone:
        with pytest.raises(DriverError, match="refused"):
            microphone.start(AudioFormat(), lambda _block: None)
        first, second, third = _blocks(microphone, 3)
        assert [first.overflowed, second.overflowed, third.overflowed] == [False, True, False]
        assert second.capture_ns - first.capture_ns == 60_000_000
        microphone.stop()
        _blocks(microphone, 1)
        deadline = time.monotonic() + 10
        while microphone.fault() is None:
            assert time.monotonic() < deadline
            time.sleep(0.005)


@pytest.mark.parametrize("drift_ppm", [0.0, 200.0, -200.0])
def test_beeps_begin_at_whole_seconds(drift_ppm: float) -> None:
    voice = Voice(AudioFormat(), 0, drift_ppm)
    rate = 48_000 * (1 + drift_ppm / 1e6)
    samples = np.frombuffer(b"".join(voice.block(number) for number in range(260)), np.int16)
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > 1000)
    onsets = [int(loud[0]), *(int(after) for before, after in pairwise(loud) if after - before > 4800)]
    assert [onset / rate for onset in onsets] == pytest.approx(range(6), abs=0.0001)
    assert voice.capture_ns(250) == pytest.approx(250 * 960 / rate * SECOND, abs=2)


def test_stereo_is_interleaved() -> None:
    samples = np.frombuffer(Voice(AudioFormat(48_000, 2), 0).block(0), np.int16).reshape(-1, 2)
    assert samples.shape == (960, 2)
    assert (samples[:, 0] == samples[:, 1]).all()
