"""Live on, off, broken or narrow: what is on flash is the same, to the last stamp."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from capture.chunk import CmafChunk
from firmware.recorder import News
from storage.layout import Kind
from tests.firmware.kit import SECOND, THIRD, Bench, FakeCapture, chunk
from tests.live.broker import TestBroker
from tests.live.kit import Told
from tests.live.proxy import Proxy
from uplink.live.backoff import Backoff
from uplink.live.broker import Broker
from uplink.live.outbox import OutboxLimits
from uplink.live.publisher import Publisher, PublisherOptions

_SECONDS = 40
_SIZE = 40_000
_DEVICE = bytes(range(16))


def _footage() -> list[CmafChunk]:
    """Forty seconds, with a hole where the camera itself lost something, in pieces that no fragment parser accepts."""
    start = 1000 * SECOND
    made = [chunk(start + number * THIRD, key=number % 3 == 0, size=_SIZE) for number in range(3 * _SECONDS)]
    return [replace(item, audio_live=number % 7 != 0) for number, item in enumerate(made)]


@contextmanager
def uplink(how: str, broker: TestBroker) -> Iterator[Publisher | None]:
    if how == "off":
        yield None
        return
    with Proxy(broker.port) as proxy, socket.create_server(("127.0.0.1", 0)) as silent:
        port = {"silent": int(silent.getsockname()[1]), "narrow": proxy.port}.get(how, broker.port)
        if how == "narrow":
            proxy.bytes_per_s = 50_000
        options = PublisherOptions(
            limits=OutboxLimits(queue_bytes=300_000), window_bytes=100_000, acknowledge_ns=500_000_000
        )
        where = broker.for_device(_DEVICE)
        publisher = Publisher(
            Broker(where.host, port, where.tls), _DEVICE, Told().news, dict, options=options,
            backoff=Backoff(lambda: 0.0, first_s=0.1, longest_s=0.2),
        )  # fmt: skip
        publisher.allow(True)
        if how == "previews":
            publisher._outbox.set_preview(True)
        publisher.begin()
        try:
            yield publisher
        finally:
            broker.thaw()
            publisher.close()


def _recorded(base: Path, publisher: Publisher | None, during: Callable[[int], None]) -> list[object]:
    """Record the footage; return everything about it that must not depend on the network."""
    capture = FakeCapture()
    with Bench(base, [capture], uplink=publisher) as bench:
        bench.recorder.begin()
        bench.recorder.start()
        for number, item in enumerate(_footage()):
            during(number)
            capture.feed(item)
        bench.watched.until_durable(Kind.MEDIA, 3 * _SECONDS)
        bench.recorder.stop()
        bench.watched.until_news(News.ENDED)
        bench.finish()
        return [
            (part.part, part.reason, [(entry.stamp, entry.flags, entry.body, entry.gaps) for entry in part.footage])
            for part in bench.written()
            if part.media
        ]


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    return _recorded(tmp_path_factory.mktemp("off"), None, lambda _: None)


@pytest.mark.parametrize("how", ["on", "frozen", "restarted", "silent", "narrow", "previews"])
def test_what_is_on_flash_does_not_depend_on_the_network(
    tmp_path: Path, broker: TestBroker, without: list[object], how: str
) -> None:
    def during(number: int) -> None:
        if number == 30 and how == "frozen":
            broker.freeze()
        if number == 30 and how == "restarted":
            broker.stop()
        if number == 60 and how == "restarted":
            broker.start()

    with uplink(how, broker) as publisher:
        assert _recorded(tmp_path / "device", publisher, during) == without
        assert publisher is not None
        assert publisher._outbox.size_bytes <= 300_000
