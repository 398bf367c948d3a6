"""Whatever the network does happens to live view alone, and ends by itself."""

from __future__ import annotations

import re
import socket
import threading
from pathlib import Path

import pytest

from station.authority import new_authority
from storage.layout import Flags
from storage.tls import TlsFiles
from tests.live.broker import TestBroker, free_port, wait_for
from tests.live.kit import Camera, of, receiving
from tests.live.proxy import Proxy
from tests.storage.kit import CHUNK_NS
from uplink.live.adaptive import AdaptiveTimes
from uplink.live.broker import Broker
from uplink.live.outbox import OutboxLimits
from uplink.live.publisher import PublisherOptions

_QUICK = PublisherOptions(
    limits=OutboxLimits(queue_bytes=400_000, max_age_ns=60_000_000_000), window_bytes=100_000, previews=False
)


def test_a_broker_that_restarts_is_found_again_and_what_waited_goes_out(
    tmp_path: Path, broker: TestBroker, camera: Camera
) -> None:
    with receiving(broker, tmp_path, [camera]) as (receiver, refused, verified):
        camera.begin()
        segment = camera.record()
        camera.chunk(segment, 0)
        wait_for(lambda: (camera.id, 1, 1) in verified)
        broker.stop()
        wait_for(lambda: camera.told.downs)
        wait_for(lambda: not receiver.connected)
        camera.chunk(segment, 1)
        broker.start()
        wait_for(lambda: receiver.connected)
        wait_for(lambda: camera.told.ups == 2)
        camera.chunk(segment, 2)
        wait_for(lambda: (camera.id, 1, 3) in verified, what=str((refused, camera.told)))
    assert refused == []


def test_a_broker_that_freezes_costs_the_oldest_chunks_and_nothing_else(tmp_path: Path, broker: TestBroker) -> None:
    options = PublisherOptions(
        limits=OutboxLimits(queue_bytes=400_000, max_age_ns=60_000_000_000),
        window_bytes=100_000, acknowledge_ns=1_000_000_000, previews=False,
    )  # fmt: skip
    camera = Camera(tmp_path / "camera", broker.for_device, options)
    with receiving(broker, tmp_path, [camera]) as (receiver, refused, verified):
        camera.begin()
        segment = camera.record()
        camera.chunk(segment, 0)
        wait_for(lambda: (camera.id, 1, 1) in verified)
        broker.freeze()
        for number in range(1, 200):
            camera.chunk(segment, number, size=20_000, key=number % 3 == 0)
        camera.store._flash.barrier()
        assert camera.publisher._outbox.size_bytes <= 400_000
        wait_for(lambda: any("acknowledges nothing" in why for why in camera.told.downs))
        broker.thaw()
        wait_for(lambda: (camera.id, 1, 200) in verified, what=str((refused, camera.told)))
        segment.close("stop", camera.device.clock.stamp())
        wait_for(lambda: not of(receiver, camera)["live"])
    arrived = sorted(chunk for _, _, chunk in verified)
    assert camera.told.dropped_chunks >= 150
    # Each run of chunks that arrived after a hole begins with a key picture: chunk n holds picture n - 1.
    begins = [chunk for chunk in arrived if chunk - 1 not in arrived and chunk > 1]
    assert begins
    assert all((chunk - 1) % 3 == 0 for chunk in begins)
    assert not [why for _, why in refused if "has not arrived" not in why]
    camera.close()


def test_a_half_open_connection_is_noticed_by_what_is_not_acknowledged(tmp_path: Path, broker: TestBroker) -> None:
    options = PublisherOptions(acknowledge_ns=500_000_000)
    with Proxy(broker.port) as proxy:
        camera = Camera(tmp_path / "camera", lambda device: broker.for_device(device, proxy.port), options)
        camera.begin()
        segment = camera.record()
        camera.chunk(segment, 0)
        wait_for(lambda: camera.publisher.published == 1)
        proxy.silent = True
        camera.chunk(segment, 1)
        wait_for(lambda: "live: the broker acknowledges nothing any more" in camera.told.downs)
        proxy.cut()
        proxy.silent = False
        wait_for(lambda: camera.publisher.published == 2)
        camera.close()


def test_a_link_that_is_cut_in_the_middle_of_a_chunk_sends_it_again(tmp_path: Path, broker: TestBroker) -> None:
    with Proxy(broker.port) as proxy:
        camera = Camera(tmp_path / "camera", lambda device: broker.for_device(device, proxy.port))
        with receiving(broker, tmp_path, [camera]) as (_, refused, verified):
            camera.begin()
            segment = camera.record()
            proxy.bytes_per_s = 400_000
            camera.chunk(segment, 0, size=300_000)
            before = proxy.passed_bytes
            wait_for(lambda: proxy.passed_bytes > before + 50_000)
            proxy.cut()
            proxy.bytes_per_s = None
            wait_for(lambda: (camera.id, 1, 1) in verified, what=str((refused, camera.told)))
        assert refused == []
        camera.close()


def test_a_narrow_uplink_gets_previews_and_the_recording_again_when_it_widens(
    tmp_path: Path, broker: TestBroker
) -> None:
    options = PublisherOptions(limits=OutboxLimits(queue_bytes=200_000, max_age_ns=60_000_000_000), window_bytes=50_000)
    with Proxy(broker.port) as proxy:
        camera = Camera(tmp_path / "camera", lambda device: broker.for_device(device, proxy.port), options)
        camera.publisher._adaptive._times = AdaptiveTimes(retry_ns=1_000_000_000)
        camera.publisher._adaptive._retry_ns = 1_000_000_000
        with receiving(broker, tmp_path, [camera]) as (receiver, refused, verified):
            camera.begin()
            segment = camera.record()
            proxy.bytes_per_s = 60_000
            pause = threading.Event()
            number = 0

            def capture(size: int) -> bool:
                nonlocal number
                if camera.publisher.wants_previews:
                    preview = segment.preview(camera.device.clock.stamp(CHUNK_NS), bytes(2000), Flags.KEY)
                    camera.publisher.preview(segment.number, segment.chunks, preview)
                camera.chunk(segment, number, size=size)
                number += 1
                pause.wait(0.02)
                return True

            while not camera.publisher.wants_previews:
                capture(20_000)
                assert number < 1000
            wait_for(lambda: capture(20_000) and of(receiver, camera).get("previews", 0) >= 3)
            proxy.bytes_per_s = None
            wait_for(lambda: capture(2_000) and not camera.publisher.wants_previews)
            seen = len(verified)
            wait_for(lambda: capture(2_000) and len(verified) > seen)
            assert camera.told.previewing[:2] == [True, False]
            assert not [why for _, why in refused if "has not arrived" not in why]
        camera.close()


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ("foreign broker", "certificate of 127.0.0.1"),
        ("foreign device", "refuses|broke|TLS|closed|does not answer"),
        ("expired device", "refuses|broke|TLS|closed|does not answer"),
        ("nobody there", "does not answer"),
        ("no such host", "has no address"),
        ("no key file", "cannot read"),
        ("damaged key file", "is not a usable PEM file"),
    ],
)
def test_each_reason_for_no_link_is_told_in_one_line(
    tmp_path: Path, broker: TestBroker, broken: str, says: str
) -> None:
    def where(device: bytes) -> Broker:
        good = broker.for_device(device)
        foreign = new_authority("another unit", broker.now)
        match broken:
            case "foreign broker":
                other = broker.folder / "other.crt"
                other.write_bytes(foreign.pem)
                return Broker(good.host, good.port, TlsFiles(other, good.tls.certificate, good.tls.key))
            case "foreign device":
                return Broker(good.host, good.port, broker.device_files(device, authority=foreign))
            case "expired device":
                return Broker(good.host, good.port, broker.device_files(device, days=0))
            case "nobody there":
                return Broker(good.host, free_port(), good.tls)
            case "no such host":
                return Broker("broker.invalid", good.port, good.tls)
            case "no key file":
                good.tls.key.unlink()
            case "damaged key file":
                good.tls.key.write_text("no key")
        return good

    camera = Camera(tmp_path / "camera", where)
    camera.publisher.allow(True)
    camera.publisher.begin()
    wait_for(lambda: camera.told.downs)
    assert re.search(says, camera.told.downs[0]), camera.told.downs
    assert "\n" not in camera.told.downs[0]
    assert camera.told.ups == 0
    camera.close()


def test_a_certificate_that_is_renewed_is_used_at_the_next_connection(tmp_path: Path, broker: TestBroker) -> None:
    files: list[TlsFiles] = []

    def where(device: bytes) -> Broker:
        good = broker.for_device(device)
        files.append(good.tls)
        good.tls.key.rename(f"{good.tls.key}.away")
        return good

    camera = Camera(tmp_path / "camera", where)
    camera.publisher.begin()
    wait_for(lambda: camera.told.downs)
    Path(f"{files[0].key}.away").rename(files[0].key)
    wait_for(lambda: camera.told.ups)
    camera.close()


def test_offering_a_chunk_never_waits_for_the_network(tmp_path: Path, broker: TestBroker) -> None:
    """The thread that makes chunks durable gets through although the "mqtt" thread hangs in a connection attempt."""

    with socket.create_server(("127.0.0.1", 0)) as silent:
        camera = Camera(
            tmp_path / "second",
            lambda device: Broker("127.0.0.1", silent.getsockname()[1], broker.device_files(device)),
            _QUICK,
        )
        camera.publisher.allow(True)
        camera.publisher.begin()
        peer, _ = silent.accept()  # and never a word of TLS
        segment = camera.record()
        for number in range(100):
            camera.chunk(segment, number, size=20_000)
        segment.close("stop", camera.device.clock.stamp())  # waits until all is durable
        assert camera.publisher._outbox.size_bytes <= 400_000
        assert camera.publisher.published == 0
        peer.close()
        camera.close()


def test_all_kinds_of_chunks_of_a_recording_go_out(tmp_path: Path, broker: TestBroker, camera: Camera) -> None:
    with receiving(broker, tmp_path, [camera]) as (receiver, refused, verified):
        camera.begin()
        segment = camera.record()
        camera.chunk(segment, 0)
        segment.events(camera.device.clock.stamp(), b"\x80")
        camera.chunk(segment, 1)
        segment.close("rotation", camera.device.clock.stamp())
        segment = camera.record()
        camera.chunk(segment, 0)
        segment.close("stop", camera.device.clock.stamp())
        wait_for(lambda: len(verified) == 8, what=str(refused))
        assert refused == []
        assert not of(receiver, camera)["live"]
        assert of(receiver, camera)["missing"] == 0
