"""The whole way with a real broker: sealed on the device, published, verified, opened, kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from station.errors import StationError
from station.keys import StationKey
from station.live.frames import Frame, FrameKind
from station.live.hub import Viewer
from storage.errors import ForeignError, StoreError
from storage.layout import Flags, parse_header
from tests.live.broker import TestBroker, wait_for
from tests.live.kit import Camera, of, receiving
from tests.live.proxy import Proxy


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


def test_presence_and_health_are_there_for_a_station_that_comes_later(
    tmp_path: Path, broker: TestBroker, camera: Camera
) -> None:
    camera.begin()
    with receiving(broker, tmp_path, [camera]) as (receiver, _, _):
        wait_for(lambda: of(receiver, camera).get("health") == {"state": "standby"})
        assert of(receiver, camera)["online"]
        camera.publisher.close()
        wait_for(lambda: not of(receiver, camera)["online"])


def test_a_device_that_dies_is_offline_by_its_last_will(tmp_path: Path, broker: TestBroker) -> None:
    with Proxy(broker.port) as proxy:
        camera = Camera(tmp_path / "camera", lambda device: broker.for_device(device, proxy.port))
        camera.begin()
        with receiving(broker, tmp_path, [camera]) as (receiver, _, _):
            wait_for(lambda: of(receiver, camera)["online"])
            proxy.refusing = True
            proxy.cut()
            wait_for(lambda: not of(receiver, camera)["online"])
        camera.close()


def test_a_station_that_comes_in_the_middle_opens_and_verifies_what_follows(
    tmp_path: Path, broker: TestBroker, camera: Camera
) -> None:
    camera.begin()
    segment = camera.record()
    for number in range(3):
        camera.chunk(segment, number)
    wait_for(lambda: camera.publisher.published >= 3)
    with receiving(broker, tmp_path, [camera]) as (receiver, refused, verified):
        wait_for(lambda: (camera.id, 1, 0) in verified, what="the retained opening did not come")
        camera.chunk(segment, 3)
        wait_for(lambda: (camera.id, 1, 4) in verified, what=str(refused))
        assert of(receiver, camera)["missing"] == 3
        assert of(receiver, camera)["live"]


def test_nothing_goes_out_before_it_is_allowed_nor_after(tmp_path: Path, broker: TestBroker, camera: Camera) -> None:
    with receiving(broker, tmp_path, [camera]) as (_, refused, verified):
        camera.begin(allow=False)
        segment = camera.record()
        camera.chunk(segment, 0)
        camera.store._flash.barrier()
        camera.publisher.allow(True)
        camera.chunk(segment, 1, key=False)
        camera.chunk(segment, 2)
        wait_for(lambda: (camera.id, 1, 3) in verified, what=str(refused))
        camera.publisher.allow(False)
        camera.chunk(segment, 3)
        camera.store._flash.barrier()
        camera.publisher.allow(True)
        camera.chunk(segment, 4)
        wait_for(lambda: (camera.id, 1, 5) in verified)
        # The opening, and the two chunks that began with a key picture while it was allowed.
        assert [chunk for _, _, chunk in verified] == [0, 3, 5]


def test_journals_never_go_live(tmp_path: Path, broker: TestBroker, camera: Camera) -> None:
    with receiving(broker, tmp_path, [camera]) as (_, _, verified):
        camera.begin()
        camera.device.journal(camera.store)
        segment = camera.record()
        camera.chunk(segment, 0)
        wait_for(lambda: (camera.id, 2, 1) in verified)
        assert {number for _, number, _ in verified} == {2}


def test_a_station_asks_and_is_answered(tmp_path: Path, broker: TestBroker, camera: Camera) -> None:
    camera.begin(allow=False)
    with receiving(broker, tmp_path, [camera]) as (receiver, _, _):
        number = receiver.ask(camera.id, "meldkamer")
        wait_for(lambda: camera.told.asks)
        assert (camera.told.asks[0].id, camera.told.asks[0].by) == (number, "meldkamer")
        camera.publisher.answer(number, "asked")
        wait_for(lambda: of(receiver, camera).get("answers") == {number: "asked"})
        with pytest.raises(StationError, match="not enrolled"):
            receiver.ask(bytes(16), "meldkamer")


def test_many_devices_at_once(tmp_path: Path, broker: TestBroker) -> None:
    key, stranger = StationKey.generate(), StationKey.generate()
    cameras = [Camera(tmp_path / f"camera{number}", broker.for_device, station=key) for number in range(5)]
    cameras.append(Camera(tmp_path / "stranger", broker.for_device, station=stranger))
    with receiving(broker, tmp_path, cameras) as (receiver, refused, verified):
        for camera in cameras:
            camera.begin()
        segments = [camera.record() for camera in cameras]
        for number in range(4):
            for camera, segment in zip(cameras, segments, strict=True):
                camera.chunk(segment, number)
        wait_for(lambda: len(verified) == 25, what=str(refused))
        assert [of(receiver, camera)["verified"] for camera in cameras] == [4] * 5 + [0]
        # What was sealed to another station's key does not open, and is not shown as anything.
        wait_for(lambda: refused)
        assert {device for device, _ in refused} == {cameras[-1].id.hex()}
        assert "was not sealed to this station key" in refused[0][1]
    for camera in cameras:
        camera.close()


def test_previews_go_out_where_the_recording_cannot_and_never_into_a_store(
    tmp_path: Path, broker: TestBroker, camera: Camera
) -> None:
    frames: list[Frame] = []
    with receiving(broker, tmp_path, [camera]) as (receiver, refused, verified):
        camera.begin()
        viewer = Viewer(lambda: frames.extend(viewer.take()))
        receiver.watch(camera.id, viewer)
        camera.publisher._outbox.set_preview(True)
        segment = camera.record()
        record = segment.preview(camera.device.clock.stamp(), b"a key picture", Flags.KEY)
        camera.publisher.preview(1, 1, record)
        camera.chunk(segment, 0)
        wait_for(lambda: of(receiver, camera).get("previews") == 1, what=str(refused))
        assert [(frame.kind, frame.data) for frame in frames] == [
            (FrameKind.INIT, b"init"),
            (FrameKind.PREVIEW, b"a key picture"),
        ]
        assert of(receiver, camera)["preview"]
        assert [chunk for _, _, chunk in verified] == [0]
        with pytest.raises(StoreError, match="no preview"):
            segment.preview(camera.device.clock.stamp(), b"again", Flags.KEY) and segment.preview(
                camera.device.clock.stamp(), b"again", Flags.KEY
            )
    with pytest.raises(ForeignError):
        parse_header(record)
