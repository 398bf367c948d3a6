"""Foreign certificates, foreign topics, replays, garbage: refused, logged, and nothing of it shown as verified."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from station.authority import new_authority
from station.errors import StationError
from storage.chain import Tip, link
from storage.layout import HEADER_BYTES, parse_header
from storage.live_wire import PREVIOUS, Channel, encode_tip, topic
from storage.particulars import parse_opening
from storage.tls import TlsFiles, client_context
from tests.live.broker import TestBroker, wait_for
from tests.live.kit import Camera, of, receiving
from tests.storage.forge import split

Publish = Callable[..., int]


@contextmanager
def client(
    broker: TestBroker, files: TlsFiles, name: str = "attacker"
) -> Iterator[tuple[mqtt.Client, Publish, list[str]]]:
    """A plain MQTT client that says whatever it likes; `publish` returns the broker's reason code."""
    reasons: dict[int, int] = {}
    got: list[str] = []
    came = threading.Condition()
    made = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTProtocolVersion.MQTTv5)
    made.tls_set_context(client_context(files))
    up = threading.Event()
    made.on_connect = lambda *_: up.set()
    made.on_message = lambda _client, _data, message: got.append(message.topic)

    def published(_client: object, _data: object, number: int, reason: object, _more: object) -> None:
        with came:
            reasons[number] = reason.value  # type: ignore[attr-defined]
            came.notify_all()

    made.on_publish = published

    def publish(where: str, payload: bytes, previous: str | None = None, retain: bool = False) -> int:
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if previous is not None:
            properties.UserProperty = [(PREVIOUS, previous)]
        number = made.publish(where, payload, 1, retain, properties).mid
        with came:
            assert came.wait_for(lambda: number in reasons, 20)
        return reasons[number]

    made.connect("127.0.0.1", broker.port, 30)
    made.loop_start()
    assert up.wait(20)
    try:
        yield made, publish, got
    finally:
        made.disconnect()
        made.loop_stop()


def test_a_device_writes_its_own_topics_alone_and_reads_nobodys(
    tmp_path: Path, broker: TestBroker, camera: Camera
) -> None:
    other = bytes(range(16))
    with client(broker, broker.device_files(camera.id), camera.id.hex()) as (made, publish, got):
        for channel in Channel:
            own = publish(topic(camera.id, channel), b"x")
            assert (own < 128) is (channel is not Channel.ASK), channel
            assert publish(topic(other, channel), b"x") == 135, "not authorised"
        assert publish("getuige/1", b"x") == 135
        assert publish("elsewhere", b"x") == 135
        granted: list[object] = []
        answered = threading.Event()

        def subscribed(_client: object, _data: object, _number: int, reasons: list[object], _more: object) -> None:
            granted.extend(reasons)
            answered.set()

        made.on_subscribe = subscribed  # type: ignore[assignment]
        made.subscribe("#", 1)
        assert answered.wait(20)
        with receiving(broker, tmp_path, [camera]) as (receiver, _, _):
            camera_two = Camera(tmp_path / "two", broker.for_device)
            camera_two.begin()
            segment = camera_two.record()
            camera_two.chunk(segment, 0)
            wait_for(lambda: camera_two.publisher.published == 1)
            number = receiver.ask(camera.id, "meldkamer")
            assert number
            wait_for(lambda: got)
            camera_two.close()
        assert set(got) == {topic(camera.id, Channel.ASK)}


def test_a_station_writes_nothing_but_asks(broker: TestBroker, camera: Camera) -> None:
    with client(broker, broker.station_files(), "station-x") as (_, publish, _):
        for channel in Channel:
            assert (publish(topic(camera.id, channel), b"x") < 128) is (channel is Channel.ASK)


def test_a_name_with_wildcards_in_it_is_no_station(broker: TestBroker) -> None:
    for name in ("#", "+", "station/#", "0" * 32, "a" * 32, "Station", ""):
        with pytest.raises(StationError, match="is no name for a station"):
            broker.station_files(name)


def test_a_station_without_rules_gets_nothing(tmp_path: Path, broker: TestBroker, camera: Camera) -> None:
    (tmp_path / "unlisted").mkdir()
    with (
        receiving(broker, tmp_path, [camera]) as (_, _, verified),
        receiving(broker, tmp_path / "unlisted", [camera], name="unlisted") as (other, refused, theirs),
    ):
        camera.begin()
        segment = camera.record()
        camera.chunk(segment, 0)
        wait_for(lambda: len(verified) == 2)
        assert (theirs, refused) == ([], [])
        assert not of(other, camera)["online"]


def test_a_foreign_certificate_gets_no_connection(tmp_path: Path, broker: TestBroker, camera: Camera) -> None:
    foreign = broker.device_files(camera.id, authority=new_authority("another unit", broker.now))
    made = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    made.tls_set_context(client_context(foreign))
    answered: list[object] = []
    made.on_connect = lambda *arguments: answered.append(arguments)
    # In TLS 1.3 the server's refusal may come after the client believes the handshake done.
    try:
        made.connect("127.0.0.1", broker.port, 30)
        while made.loop(0.5) == mqtt.MQTT_ERR_SUCCESS:
            pass
    except OSError:
        pass
    assert answered == []


class Replayed:
    """What a camera published, for others to misuse."""

    def __init__(self, camera: Camera, chunks: int) -> None:
        segment = camera.record()
        for number in range(chunks):
            camera.chunk(segment, number)
        segment.close("stop", camera.device.clock.stamp())
        path = camera.device.flash / "segments" / f"{segment.number:010d}.seg"
        self.records = split(path.read_bytes())
        self.previous = []
        tip: Tip | None = None
        for record in self.records:
            start = HEADER_BYTES + parse_header(record).particulars_bytes
            tip = tip or parse_opening(record[HEADER_BYTES:start]).previous.tip
            self.previous.append(encode_tip(tip))
            tip = Tip(link(tip, record[:start], hashlib.sha256(record[start:-64]).digest()), record[-64:])


def test_whatever_is_sent_in_a_devices_name_nothing_unverified_is_taken(tmp_path: Path, broker: TestBroker) -> None:
    """One who holds a device's TLS key, but not its signing key, sends what was not sealed; and what was, again."""
    camera = Camera(tmp_path / "camera", broker.for_device)
    other = Camera(tmp_path / "other", broker.for_device)
    theirs = Replayed(other, 3)
    ours = Replayed(camera, 6)
    dice = random.Random(1)
    opening, chunk = topic(camera.id, Channel.OPENING), topic(camera.id, Channel.CHUNK)
    with receiving(broker, tmp_path, [camera, other]) as (receiver, refused, verified):
        with client(broker, broker.device_files(camera.id)) as (_, publish, _):

            def refuses(why: str, where: str, payload: bytes, previous: str | None = None) -> None:
                before = len(refused)
                publish(where, payload, previous)
                wait_for(lambda: len(refused) > before, what=f"taken, although {why}")
                assert why in refused[-1][1], refused[-1]

            refuses("has not arrived", chunk, ours.records[1], ours.previous[1])
            refuses("it is of device", opening, theirs.records[0])
            refuses("does not begin with its opening", opening, ours.records[1])
            changed = bytearray(ours.records[0])
            changed[-1] ^= 1
            refuses("not signed", opening, bytes(changed))
            publish(opening, ours.records[0])
            publish(chunk, ours.records[1], ours.previous[1])
            wait_for(lambda: len(verified) == 2)
            refuses("without the property", chunk, ours.records[2])
            refuses("is not base64", chunk, ours.records[2], "?")
            refuses("not of 96", chunk, ours.records[2], "AAAA")
            refuses("does not follow", chunk, ours.records[2], ours.previous[1])
            refuses("another segment", chunk, ours.records[3][:24] + theirs.records[3][24:], ours.previous[3])
            refuses("its record says", chunk, ours.records[2] + b"x", ours.previous[2])
            refuses("its record says", chunk, ours.records[2][:-1], ours.previous[2])
            refuses("wrong magic", chunk, dice.randbytes(5000), ours.previous[2])
            refuses("shorter than", chunk, b"", ours.previous[2])
            refuses("wrong magic", topic(camera.id, Channel.PREVIEW), ours.records[2])
            refuses("should be JSON", topic(camera.id, Channel.HEALTH), b"\xff\xfe")
            refuses("should be a JSON object", topic(camera.id, Channel.HEALTH), b"[1]")
            refuses("are allowed", topic(camera.id, Channel.HEALTH), b" " * 5000)
            for position in (4, 40, 90, 200, len(ours.records[2]) - 10):
                changed = bytearray(ours.records[2])
                changed[position] ^= 1
                refuses("", chunk, bytes(changed), ours.previous[2])
            assert len(verified) == 2
            # Again, late and out of order: taken once each, shown in order.
            publish(chunk, ours.records[1], ours.previous[1])
            publish(chunk, ours.records[4], ours.previous[4])
            publish(chunk, ours.records[3], ours.previous[3])
            publish(chunk, ours.records[2], ours.previous[2])
            wait_for(lambda: len(verified) == 5)
            told = of(receiver, camera)
            assert (told["again"], told["late"]) == (1, 2)
            assert told["refused"] == len(refused)
            assert told["last_refusals"]
        assert sorted(number for _, _, number in verified) == [0, 1, 2, 3, 4]
        assert of(receiver, other).get("verified", 0) == 0
    camera.close()
    other.close()


def test_an_old_segment_is_not_shown_as_a_new_one(tmp_path: Path, broker: TestBroker) -> None:
    camera = Camera(tmp_path / "camera", broker.for_device)
    first, second = Replayed(camera, 2), Replayed(camera, 2)
    with (
        receiving(broker, tmp_path, [camera]) as (_, refused, verified),
        client(broker, broker.device_files(camera.id)) as (_, publish, _),
    ):
        publish(topic(camera.id, Channel.OPENING), second.records[0])
        wait_for(lambda: len(verified) == 1)
        publish(topic(camera.id, Channel.OPENING), first.records[0])
        wait_for(lambda: refused)
        assert "a replay" in refused[0][1]
    # The shelf remembers, so a receiver that was started anew refuses it too.
    with (
        receiving(broker, tmp_path, [camera]) as (_, refused, _),
        client(broker, broker.device_files(camera.id)) as (_, publish, _),
    ):
        publish(topic(camera.id, Channel.OPENING), first.records[0])
        wait_for(lambda: refused)
        assert "a replay" in refused[0][1]
    camera.close()


def test_a_revoked_device_is_taken_nothing_from(tmp_path: Path, broker: TestBroker, camera: Camera) -> None:
    with receiving(broker, tmp_path, [camera]) as (receiver, refused, verified):
        (tmp_path / "devices" / f"{camera.id.hex()}.pub").unlink()
        receiver._tidy()
        camera.begin()
        segment = camera.record()
        camera.chunk(segment, 0)
        wait_for(lambda: refused)
        assert verified == []
        assert "not enrolled here, or revoked" in refused[0][1]
