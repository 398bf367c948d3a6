"""The publisher as the device has it: wired to inputs and journal, or absent where no broker is named."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from firmware.appliance import Snapshot
from firmware.inputs import Input, LiveAsked, LiveLink, Trouble
from firmware.live_view import Notes
from firmware.settings import LiveOptions
from storage.seal import SealedChunk
from storage.tls import TlsFiles
from uplink.live.backoff import Backoff
from uplink.live.broker import Broker
from uplink.live.messages import Ask
from uplink.live.publisher import LiveNews, Publisher, PublisherOptions
from uplink.live.queue import Dropped

_NO_BROKER = "the policy allows live view, and nobody named a broker: enrol the device again with --networks"


Put = Callable[[Input], None]
"""Hands an input to the main thread."""


class LiveUplink:
    """Chunks in, broker out. It never holds up whoever calls it."""

    def __init__(
        self,
        options: LiveOptions,
        tls: TlsFiles,
        device: bytes,
        health: Callable[[], Mapping[str, object]],
        put: Put,
        note: Callable[[], Notes],
    ) -> None:
        """`put` hands inputs to the main thread; `note` returns what puts events on record."""
        self._put = put
        self._note = note
        self._publisher: Publisher | None = None
        if not options.host:
            put(Trouble("live", _NO_BROKER))
            return
        news = LiveNews(self._up, self._down, self._asked, self._dropped, self._previewing)
        self._publisher = Publisher(
            Broker(options.host, options.port, tls),
            device,
            news,
            health,
            options=PublisherOptions(previews=options.previews),
            backoff=Backoff(random.random),
        )

    def begin(self) -> None:
        """Start its thread."""
        if self._publisher is not None:
            self._publisher.begin()

    def close(self) -> None:
        """End it. Idempotent."""
        if self._publisher is not None:
            self._publisher.close()

    @property
    def alive(self) -> bool:
        """Whether its thread runs, or there is none to run."""
        return self._publisher is None or self._publisher.alive

    @property
    def wants_previews(self) -> bool:
        """Whether the recorder is to make previews."""
        return self._publisher is not None and self._publisher.wants_previews

    def preview(self, segment: int, number: int, record: bytes) -> None:
        """Take a preview, on the recorder's thread."""
        if self._publisher is not None:
            self._publisher.preview(segment, number, record)

    def durable(self, chunk: SealedChunk) -> None:
        """Take a chunk that is on flash, on the flash thread."""
        if self._publisher is not None:
            self._publisher.durable(chunk)

    def changed(self) -> None:
        """The device's state is another: the station is told soon."""
        if self._publisher is not None:
            self._publisher.say_health()

    def allow(self, on: bool) -> None:
        """Let chunks out, or none any more."""
        if self._publisher is not None:
            self._publisher.allow(on)

    def answer(self, ask: str, answer: str) -> None:
        """Answer a station's ask."""
        if self._publisher is not None:
            self._publisher.answer(ask, answer)

    def _up(self) -> None:
        self._put(LiveLink(True))

    def _down(self, why: str) -> None:
        self._put(LiveLink(False, why))

    def _asked(self, ask: Ask) -> None:
        self._put(LiveAsked(ask.id, ask.by))

    def _dropped(self, dropped: Dropped) -> None:
        self._note()("live-dropped", chunks=dropped.chunks, bytes=dropped.size_bytes)

    def _previewing(self, on: bool) -> None:
        self._note()("live-preview", on=on)


def health_of(snapshot: Snapshot) -> dict[str, object]:
    """Return what a device says about itself to the station, about every ten seconds (docs/LIVE.md)."""
    progress, health = snapshot.progress, snapshot.health
    return {
        "state": snapshot.state.value,
        "fault": snapshot.fault,
        "live": snapshot.live,
        "battery_percent": round(health.battery_percent) if health and health.battery_percent is not None else None,
        "charging": health.charging if health else None,
        "free_percent": round(health.free_percent, 1) if health else None,
        "minutes_left": health.minutes_left if health else None,
        "segment": progress.segment,
        "chunk": progress.chunk,
        "chain": progress.chain.hex(),
    }
