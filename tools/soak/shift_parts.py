"""The parts of a device in a shift that passes as fast as it can be recorded: nothing waits for real time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import cycle
from types import TracebackType
from typing import Self

from drivers.button.protocol import Button
from drivers.button.simulated import SimulatedButton
from drivers.camera.protocol import AccessUnit, AccessUnitSink, Camera, VideoFormat
from drivers.camera.scene import Scene
from drivers.camera.synthetic import open_encoder
from drivers.clock.simulated import SimulatedClock
from drivers.indicator.protocol import Indicator
from drivers.indicator.simulated import SimulatedIndicator
from drivers.microphone.protocol import AudioFormat, Microphone, PcmBlock, PcmSink
from firmware.board import Board
from firmware.parts import Parts

_SMALL = VideoFormat(width=160, height=96, frame_rate=30, bitrate_bps=100_000, key_interval=30)
_BLOCK_S = 0.02


class _Part:
    """What both have in common."""

    name = "shift"
    present = True

    def __init__(self) -> None:
        self.started = threading.Event()

    def fault(self) -> str | None:
        """Nothing breaks in this shift."""
        return None

    def stop(self) -> None:
        """Take no more."""
        self.started.clear()

    def close(self) -> None:
        """Take no more."""
        self.started.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()


class ShiftCamera(_Part):
    """Delivers pictures that were coded beforehand, on the caller's thread."""

    def __init__(self) -> None:
        super().__init__()
        self._coded = list(_code())
        self._pictures: Iterator[tuple[bytes, bool]] = iter(())
        self._sink: AccessUnitSink | None = None
        self.delivered = 0

    def start(self, _fmt: VideoFormat, sink: AccessUnitSink) -> None:
        """Begin with a key picture; what format is asked for does not matter."""
        self._pictures, self._sink, self.delivered = cycle(self._coded), sink, 0
        self.started.set()

    def deliver(self, now_ns: int) -> None:
        """Hand over the next picture, if it runs."""
        if self.started.is_set() and self._sink is not None:
            data, key = next(self._pictures)
            self._sink(AccessUnit(data, now_ns, key))
            self.delivered += 1


class ShiftMicrophone(_Part):
    """Delivers quiet, on the caller's thread."""

    def __init__(self) -> None:
        super().__init__()
        self._sink: PcmSink | None = None
        self._next_ns = 0
        self._block = b""

    def start(self, fmt: AudioFormat, sink: PcmSink) -> None:
        """Begin to listen."""
        self._block = bytes(2 * fmt.channels * round(fmt.sample_rate * _BLOCK_S))
        self._sink, self._next_ns = sink, 0
        self.started.set()

    def deliver(self, now_ns: int) -> None:
        """Hand over what was heard until now, if it runs."""
        if not self.started.is_set() or self._sink is None:
            return
        block_ns = round(_BLOCK_S * 1e9)
        self._next_ns = self._next_ns or now_ns - block_ns
        while self._next_ns + block_ns <= now_ns:
            self._sink(PcmBlock(self._block, self._next_ns))
            self._next_ns += block_ns


def _code() -> Iterator[tuple[bytes, bool]]:
    scene, encoder = Scene(_SMALL.width, _SMALL.height, _SMALL.frame_rate), open_encoder(_SMALL)
    for number in range(_SMALL.key_interval):
        picture = scene.draw(number)
        picture.pts = number
        for packet in encoder.encode(picture):
            yield bytes(packet), packet.is_keyframe


class ShiftParts(Parts):
    """A simulated board with these parts, and light and button on the shift's own clock."""

    def __init__(self, board: Board, clock: SimulatedClock) -> None:
        super().__init__(board)
        self.clock = clock
        self.shift_camera = ShiftCamera()
        self.shift_microphone = ShiftMicrophone()
        self.shift_button = SimulatedButton(now=clock.monotonic_ns)

    def camera(self) -> Camera:
        """The one that waits for nothing."""
        return self.shift_camera

    def microphone(self) -> Microphone:
        """The one that waits for nothing."""
        return self.shift_microphone

    def indicator(self) -> Indicator:
        """A light on the shift's clock."""
        return SimulatedIndicator(now=self.clock.monotonic_ns)

    def button(self) -> Button:
        """A button on the shift's clock."""
        return self.shift_button
