"""A device that seals and publishes, and a receiver, for the tests of live view."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from station.keys import StationKey
from station.live.receiver import LiveReceiver
from station.live.register import DeviceRegister
from station.live.shelf import LiveShelf
from station.opener import FileKeyOpener
from storage.keyfiles import encode_device_key
from storage.layout import Flags
from storage.seal import SealedChunk
from storage.store import Segment, Store
from tests.live.broker import TestBroker, wait_for
from tests.storage.kit import CHUNK_NS, Device, media_bytes
from uplink.live.backoff import Backoff
from uplink.live.broker import Broker
from uplink.live.messages import Ask
from uplink.live.publisher import LiveNews, Publisher, PublisherOptions
from uplink.live.queue import Dropped


@dataclass
class Told:
    """What a publisher told its owner."""

    ups: int = 0
    downs: list[str] = field(default_factory=list)
    asks: list[Ask] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    previewing: list[bool] = field(default_factory=list)

    def up(self) -> None:
        self.ups += 1

    @property
    def news(self) -> LiveNews:
        return LiveNews(self.up, self.downs.append, self.asks.append, self.dropped.append, self.previewing.append)

    @property
    def dropped_chunks(self) -> int:
        return sum(item.chunks for item in self.dropped)


class Camera:
    """An enrolled device with a store whose durable chunks go to a publisher."""

    def __init__(
        self,
        base: Path,
        broker: Callable[[bytes], Broker],
        options: PublisherOptions | None = None,
        station: StationKey | None = None,
    ) -> None:
        self.device = Device(base, station or StationKey.generate())
        self.told = Told()
        self.sealed: list[SealedChunk] = []
        self._lock = threading.Lock()
        self.store: Store = self.device.open(on_durable=self._durable)
        self.id = self.store.device
        self.health: dict[str, object] = {"state": "standby"}
        self.publisher = Publisher(
            broker(self.id), self.id, self.told.news, lambda: self.health,
            options=options or PublisherOptions(), backoff=Backoff(lambda: 0.0, first_s=0.1, longest_s=0.4),
        )  # fmt: skip
        self.recording = bytes([7]) * 16
        self.part = 0

    def begin(self, *, allow: bool = True) -> None:
        self.publisher.allow(allow)
        self.publisher.begin()
        wait_for(lambda: self.told.ups, what=f"no connection: {self.told.downs}")

    def record(self) -> Segment:
        """Open the next media segment."""
        clock = self.device.clock
        segment = self.store.begin(
            clock.stamp(), recording=self.recording, part=self.part, profile="480p30", init=b"init"
        )
        self.part += 1
        return segment

    def chunk(self, segment: Segment, number: int, *, size: int = 2000, key: bool = True) -> bytes:
        body = media_bytes(self.part, number, size)
        segment.media(self.device.clock.stamp(CHUNK_NS), body, Flags.SOUND | (Flags.KEY if key else Flags(0)))
        return body

    def _durable(self, chunk: SealedChunk) -> None:
        self.publisher.durable(chunk)

    def close(self) -> None:
        self.publisher.close()
        self.store.close()


@contextmanager
def receiving(
    broker: TestBroker, base: Path, cameras: list[Camera], *, limit_bytes: int = 2**30, name: str = "station"
) -> Iterator[tuple[LiveReceiver, list[tuple[str, str]], list[tuple[bytes, int, int]]]]:
    """Run a receiver that has all cameras enrolled; all cameras seal to the first one's station."""
    folder = base / "devices"
    folder.mkdir(exist_ok=True)
    for camera in cameras:
        (folder / f"{camera.id.hex()}.pub").write_bytes(encode_device_key(camera.store.identity))
    refused: list[tuple[str, str]] = []
    verified: list[tuple[bytes, int, int]] = []
    receiver = LiveReceiver(
        broker.for_station(name),
        DeviceRegister(folder),
        FileKeyOpener(cameras[0].device.station),
        LiveShelf(base / "shelf", limit_bytes),
        on_refused=lambda device, why: refused.append((device, why)),
        on_verified=lambda device, segment, chunk: verified.append((device, segment, chunk)),
    )
    receiver.begin()
    try:
        wait_for(lambda: receiver.connected, what=receiver.trouble)
        yield receiver, refused, verified
    finally:
        receiver.close()


def of(receiver: LiveReceiver, camera: Camera) -> dict[str, Any]:
    """What a receiver says of a camera."""
    found: dict[str, Any] = next(item for item in receiver.status()["devices"] if item["device"] == camera.id.hex())
    return found
