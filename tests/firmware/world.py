"""A small world with a time of its own, for the tests of self-test and board check: parts that answer at once."""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Callable
from types import TracebackType
from typing import Self

from drivers.battery.protocol import BatteryReading
from drivers.buzzer.simulated import SimulatedBuzzer
from drivers.camera.protocol import AccessUnit, AccessUnitSink, VideoFormat
from drivers.errors import DriverError
from drivers.indicator.simulated import SimulatedIndicator
from drivers.microphone.protocol import AudioFormat, PcmBlock, PcmSink
from firmware.patience import GaveUpError, Patience

SECOND = 1_000_000_000
STEP_NS = 10_000_000
FORMAT = VideoFormat(640, 480, 30, 1_000_000, key_interval=30)


class World:
    """Time that passes only when somebody waits; `each_step` is called every 10 ms of it."""

    def __init__(self) -> None:
        self.now_ns = 100 * SECOND
        self.each_step: list[Callable[[], None]] = []

    def pass_time(self, seconds: float) -> None:
        end_ns = self.now_ns + round(seconds * SECOND)
        while self.now_ns < end_ns:
            self.now_ns = min(end_ns, self.now_ns + STEP_NS)
            for step in list(self.each_step):
                step()

    def now(self) -> int:
        return self.now_ns

    def patience(self) -> Patience:
        return QuickPatience(self)

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        due_ns = self.now_ns + round(seconds * SECOND)

        def look() -> None:
            if self.now_ns >= due_ns:
                self.each_step.remove(look)
                act()

        self.each_step.append(look)


class QuickPatience(Patience):
    """Waits in the world's time, which takes none."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def now_ns(self) -> int:
        return self._world.now_ns

    def pause(self, seconds: float) -> None:
        if self._over.is_set():
            raise GaveUpError("nobody waits for this any more; nothing to do")
        self._world.pass_time(seconds)


class Part:
    """What all of these parts have in common."""

    name = "world"
    present = True

    def __init__(self) -> None:
        self.trouble: str | None = None
        self.refusal: str | None = None
        self.running = False
        self.starts = 0

    def fault(self) -> str | None:
        return self.trouble

    def stop(self) -> None:
        self.running = False

    def close(self) -> None:
        self.running = False

    def begin(self) -> None:
        if self.refusal:
            raise DriverError(self.refusal)
        self.running = True
        self.starts += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()


class WorldMicrophone(Part):
    """Hears a buzzer over noise, 20 ms at a time, and notes whether the light was lit whenever it ran."""

    def __init__(self, world: World, buzzer: SimulatedBuzzer, light: SimulatedIndicator) -> None:
        super().__init__()
        self.deaf = False
        self.silent = False
        self.dies_after_s = 1000.0
        self.noise_hz = 0
        self.ran_in_the_dark = False
        self._world, self._buzzer, self._light = world, buzzer, light
        self._sink: PcmSink | None = None
        self._next_ns = 0
        self._began_ns = 0
        world.each_step.append(self._step)

    def start(self, fmt: AudioFormat, sink: PcmSink) -> None:
        self.begin()
        self._fmt, self._sink = fmt, sink
        self._next_ns = self._began_ns = self._world.now_ns

    def _step(self) -> None:
        while self.running and self._world.now_ns >= self._next_ns + 20_000_000:
            self.ran_in_the_dark |= not self._light.shining
            at_ns, self._next_ns = self._next_ns, self._next_ns + 20_000_000
            if self.silent or at_ns - self._began_ns > self.dies_after_s * SECOND:
                continue
            tone = 0 if self.deaf else self._buzzer.tone_hz
            assert self._sink is not None
            self._sink(PcmBlock(sound(self._fmt, tone or self.noise_hz, 4000 if tone or self.noise_hz else 0), at_ns))


def sound(fmt: AudioFormat, tone_hz: int, peak: int) -> bytes:
    """20 ms of a tone over quiet noise."""
    dice = random.Random(5)
    samples = array("h")
    for number in range(fmt.sample_rate // 50):
        value = round(peak * math.sin(2 * math.pi * tone_hz * number / fmt.sample_rate)) + dice.randint(-20, 20)
        samples.extend([value] * fmt.channels)
    return samples.tobytes()


class WorldPower(Part):
    """The camera's switch; like the companion it gives no power while the light is dark."""

    def __init__(self, world: World, light: SimulatedIndicator) -> None:
        super().__init__()
        self.dead = False
        self.asked = False
        self._light = light

    def enable(self, on: bool) -> None:
        if self.refusal:
            raise DriverError(self.refusal)
        self.asked = on

    @property
    def powered(self) -> bool:
        return self.asked and not self.dead and self._light.shining


class WorldCamera(Part):
    """Delivers a plain picture each step, and a key picture after `key_after_s`, while it has power."""

    def __init__(self, world: World, power: WorldPower, light: SimulatedIndicator) -> None:
        super().__init__()
        self.key_after_s = 0.4
        self.ran_in_the_dark = False
        self.formats: list[VideoFormat] = []
        self._world, self._power, self._light = world, power, light
        self._sink: AccessUnitSink | None = None
        self._began_ns = 0
        world.each_step.append(self._step)

    def start(self, fmt: VideoFormat, sink: AccessUnitSink) -> None:
        if not self._power.powered:
            raise DriverError("camera world: it has no power")
        self.begin()
        self.formats.append(fmt)
        self._sink, self._began_ns = sink, self._world.now_ns

    def _step(self) -> None:
        if self.running and self._sink is not None:
            self.ran_in_the_dark |= not self._light.shining
            key = self._world.now_ns - self._began_ns >= self.key_after_s * SECOND
            self._sink(AccessUnit(b"\0\0\0\1picture", self._world.now_ns, key))


class WorldBattery(Part):
    """Says what it is told to."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.percent = 80.0
        self.charging: bool | None = False
        self.answers_at_ns = 0
        self._world = world

    def read(self) -> BatteryReading | None:
        if self.refusal:
            raise DriverError(self.refusal)
        if self._world.now_ns < self.answers_at_ns:
            return None
        return BatteryReading(self._world.now_ns, self.percent, 3912, self.charging)
