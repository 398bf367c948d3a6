"""Fake drivers, a clock that moves only when told, and a few real coded pictures."""

from __future__ import annotations

import threading
from functools import cache
from types import TracebackType
from typing import Self

from drivers.camera.protocol import AccessUnit, AccessUnitSink, VideoFormat
from drivers.camera.scene import Scene
from drivers.camera.synthetic import open_encoder
from drivers.errors import DriverError
from drivers.microphone.protocol import AudioFormat, PcmBlock, PcmSink
from drivers.microphone.synthetic import Voice

SECOND = 1_000_000_000
MS = 1_000_000
SMALL = VideoFormat(width=320, height=192, frame_rate=30, bitrate_bps=300_000, key_interval=30)
FRAME = SECOND // 30
BLOCK = 20 * MS


class Clock:
    """Moves only when told."""

    def __init__(self, now_ns: int = 1000 * SECOND) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        return self.now_ns


@cache
def coded(count: int = 90, fmt: VideoFormat = SMALL) -> tuple[tuple[bytes, bool], ...]:
    """Coded pictures of the synthetic scene, numbers from 0 on: (data, key)."""
    scene = Scene(fmt.width, fmt.height, fmt.frame_rate)
    encoder = open_encoder(fmt)
    units = []
    for number in range(count):
        picture = scene.draw(number)
        picture.pts = number
        units += [(bytes(packet), packet.is_keyframe) for packet in encoder.encode(picture)]
    return tuple(units)


class _FakeDriver:
    def __init__(self) -> None:
        self.starts = 0
        self.stops = 0
        self.refusals = 0
        """So many calls of `start` will be refused."""
        self.trouble: str | None = None
        self.started = threading.Event()
        self.stopped = threading.Event()
        self.hang: threading.Event | None = None
        """Where set, `stop` waits for it."""

    @property
    def name(self) -> str:
        return "fake"

    def fault(self) -> str | None:
        return self.trouble

    def stop(self) -> None:
        self.stops += 1
        if self.hang is not None:
            self.hang.wait(30)
        self.stopped.set()

    def close(self) -> None:
        self.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def _start(self) -> None:
        if self.refusals:
            self.refusals -= 1
            raise DriverError("fake: refused")
        self.trouble = None
        self.starts += 1
        self.started.set()


class FakeCamera(_FakeDriver):
    """Delivers what it is told to, on the caller's thread."""

    def __init__(self) -> None:
        super().__init__()
        self.sink: AccessUnitSink | None = None
        self.number = 0

    def start(self, fmt: VideoFormat, sink: AccessUnitSink) -> None:
        self._start()
        self.number = 0
        self.sink = sink

    def deliver(self, capture_ns: int) -> None:
        """The next coded picture of this run."""
        assert self.sink is not None
        data, key = coded()[self.number % len(coded())]
        self.number += 1
        self.sink(AccessUnit(data, capture_ns, key))


class FakeMicrophone(_FakeDriver):
    """Delivers what it is told to, on the caller's thread."""

    def __init__(self, *, present: bool = True) -> None:
        super().__init__()
        self.present = present
        self.sink: PcmSink | None = None
        self.voice = Voice(AudioFormat(), 0)

    def start(self, fmt: AudioFormat, sink: PcmSink) -> None:
        self._start()
        self.sink = sink

    def deliver(self, capture_ns: int, *, overflowed: bool = False) -> None:
        """A block of the synthetic microphone's sound."""
        assert self.sink is not None
        self.sink(PcmBlock(self.voice.block(capture_ns // BLOCK), capture_ns, overflowed))
