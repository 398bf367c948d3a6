"""What the parts of a board say just now, for a technician who watches: twice a second, for some seconds.

The recording light is lit for as long as camera and microphone run, and where it cannot be, they do not. Of pictures
only their number is counted, of sound only its level, of a fix only that there is one.
"""

from __future__ import annotations

import array
import math
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any, Protocol, TypeVar

from capture.profiles import PROFILES
from drivers.accelerometer.protocol import Acceleration
from drivers.camera.protocol import AccessUnit, VideoFormat
from drivers.errors import DriverError
from drivers.gnss.protocol import Fix
from drivers.indicator.protocol import Indicator
from drivers.microphone.protocol import AudioFormat, PcmBlock
from firmware.check_board import BoardParts
from firmware.errors import FirmwareError
from firmware.lighted import Lighted
from firmware.patience import Patience

PERIOD_S = 0.5
_VIDEO = PROFILES["480p30"].video
_SILENCE_DB = -99
_FULL_SCALE = 32_768
_POWER_S = 2.0

Emit = Callable[[Mapping[str, Any]], None]


class _Counts:
    """What came from the parts' own threads since it was looked at last. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._frames = 0
        self._loudest_db: int | None = None
        self._fix: Fix | None = None
        self._pull: Acceleration | None = None

    def picture(self, _unit: AccessUnit) -> None:
        with self._lock:
            self._frames += 1

    def sound(self, block: PcmBlock) -> None:
        level = _level_db(block.data)
        with self._lock:
            self._loudest_db = level if self._loudest_db is None else max(level, self._loudest_db)

    def fix(self, fix: Fix) -> None:
        with self._lock:
            self._fix = fix

    def pull(self, sample: Acceleration) -> None:
        with self._lock:
            self._pull = sample

    def take(self) -> tuple[int, int | None, Fix | None, Acceleration | None]:
        with self._lock:
            frames, self._frames = self._frames, 0
            level, self._loudest_db = self._loudest_db, None
            return frames, level, self._fix, self._pull


def watch(
    parts: BoardParts,
    seconds: int,
    emit: Emit,
    trouble: Callable[[str, str], None],
    *,
    patience: Patience,
    video: VideoFormat = _VIDEO,
) -> None:
    """Emit what the parts say until the time is over; `trouble` gets the part and a line for what cannot be watched.

    Whatever happens, all parts are closed at the end and the light is dark.

    Raises:
        DriverError, FirmwareError: the light went dark meanwhile, or a part cannot be read any more.
    """
    with ExitStack() as stack:
        bench = _Bench(stack, trouble)
        counts = _Counts()
        light, button = bench.make("light", parts.indicator), bench.make("button", parts.button)
        battery, dock = bench.make("battery", parts.battery), bench.make("dock", parts.dock)
        gnss = bench.make("gnss", parts.gnss)
        if gnss is not None and gnss.present:
            bench.begin("gnss", partial(gnss.start, counts.fix))
        accelerometer = bench.make("accelerometer", parts.accelerometer)
        if accelerometer is not None and accelerometer.present:
            bench.begin("accelerometer", partial(accelerometer.start, counts.pull))
        lighted = bench.light_up(light, patience)
        if lighted is not None:
            _listen(bench, parts, counts)
            _film(bench, parts, counts, lighted, video)
        for _ in range(round(seconds / PERIOD_S)):
            (patience.pause if lighted is None else lighted.stay)(PERIOD_S)
            frames, level_db, fix, pull = counts.take()
            state = light.state() if light is not None else None
            reading = battery.read() if battery is not None and battery.present else None
            emit(
                {
                    "light_commanded": state.commanded if state else None,
                    "light_sensed": state.sensed if state else None,
                    "pressed": button.pressed if button is not None else None,
                    "battery_mv": reading.voltage_mv if reading else None,
                    "battery_percent": round(reading.percent) if reading else None,
                    "pull_mg": _pull_mg(pull),
                    "fix": None if gnss is None or not gnss.present else fix is not None,
                    "satellites": fix.satellites if fix else None,
                    "sound_db": level_db,
                    "pictures_per_s": round(frames / PERIOD_S),
                    "docked": dock.docked if dock is not None and dock.present else None,
                }
            )


class _Part(Protocol):
    def close(self) -> None: ...


_P = TypeVar("_P", bound=_Part)


class _Bench:
    """Makes parts that are closed at the end; what cannot be made or started is told."""

    def __init__(self, stack: ExitStack, trouble: Callable[[str, str], None]) -> None:
        self.stack = stack
        self._trouble = trouble

    def make(self, name: str, maker: Callable[[], _P]) -> _P | None:
        try:
            part = maker()
        except DriverError as error:
            self._trouble(name, str(error))
            return None
        self.stack.callback(part.close)
        return part

    def begin(self, name: str, begin: Callable[[], None]) -> None:
        try:
            begin()
        except (DriverError, FirmwareError) as error:
            self._trouble(name, str(error))

    def light_up(self, light: Indicator | None, patience: Patience) -> Lighted | None:
        if light is None:
            return None
        try:
            return self.stack.enter_context(Lighted(light, patience))
        except (DriverError, FirmwareError) as error:
            self._trouble("light", str(error))
            return None


def _listen(bench: _Bench, parts: BoardParts, counts: _Counts) -> None:
    microphone = bench.make("microphone", parts.microphone)
    if microphone is not None and microphone.present:
        bench.stack.callback(microphone.stop)
        bench.begin("microphone", partial(microphone.start, AudioFormat(), counts.sound))


def _film(bench: _Bench, parts: BoardParts, counts: _Counts, lighted: Lighted, video: VideoFormat) -> None:
    power = bench.make("camera", parts.camera_power)
    camera = bench.make("camera", parts.camera) if power is not None else None
    if power is None or camera is None:
        return

    def begin() -> None:
        power.enable(True)
        if not lighted.until(lambda: power.powered, _POWER_S):
            raise DriverError(f"the camera has no power {_POWER_S:g} s after it was asked for")
        camera.start(video, counts.picture)

    bench.stack.callback(power.enable, False)
    bench.stack.callback(camera.stop)
    bench.begin("camera", begin)


def _pull_mg(pull: Acceleration | None) -> int | None:
    return None if pull is None else round(1000 * math.hypot(pull.x_g, pull.y_g, pull.z_g))


def _level_db(data: bytes) -> int:
    """Return the level of 16-bit samples, in dB of full scale."""
    samples = array.array("h", data[: len(data) // 2 * 2])
    if not samples:
        return _SILENCE_DB
    mean = sum(value * value for value in samples) / len(samples)
    return max(_SILENCE_DB, round(10 * math.log10(mean / _FULL_SCALE**2))) if mean else _SILENCE_DB
