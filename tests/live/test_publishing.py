"""The whole way with a real broker: sealed on the device, published, verified, opened, kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from station.live.frames import Frame, FrameKind
from station.live.hub import Viewer
from tests.live.broker import TestBroker, wait_for
from tests.live.kit import Camera, receiving


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[TestBroker]:
    made = TestBroker(tmp_path / "broker")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def camera(tmp_path: Path, broker: TestBroker) -> Iterator[Camera]:
    made = Camera(tmp_path / "camera", broker.for_device)
    yield made
    made.close()


def test_the_very_bytes_on_flash_arrive_verify_and_open(tmp_path: Path, broker: TestBroker, camera: Camera) -> None:
    frames: list[Frame] = []
    with receiving(broker, tmp_path, [camera]) as (receiver, refused, verified):
        camera.begin()
        viewer = Viewer(lambda: frames.extend(viewer.take()))
        receiver.watch(camera.id, viewer)
        segment = camera.record()
        bodies = [camera.chunk(segment, number) for number in range(5)]
        segment.close("stop", camera.device.clock.stamp())
        wait_for(lambda: len(verified) == 7, what=str(refused))
        path = camera.device.flash / "segments" / "0000000001.seg"
        kept, pieces = receiver._shelf.pieces(camera.id, 1)
        assert kept.read_bytes() == path.read_bytes()
        assert [piece.number for piece in pieces] == list(range(7))
    assert refused == []
    assert [frame.kind for frame in frames] == [FrameKind.INIT] + [FrameKind.MEDIA] * 5 + [FrameKind.ENDED]
    assert frames[0].data == b"init"
    assert [frame.data for frame in frames[1:6]] == bodies
    assert camera.told.dropped == []
