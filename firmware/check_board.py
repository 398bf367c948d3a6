"""For the technician: every part of a board in turn, a line for each, on a terminal.

One broken part hides no other: each is made by itself, and what cannot be made is a line too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, TextIO, TypeVar

from capture.profiles import PROFILES
from drivers.accelerometer.protocol import Accelerometer
from drivers.battery.protocol import Battery
from drivers.button.protocol import Button
from drivers.buzzer.protocol import Buzzer
from drivers.camera.protocol import Camera, VideoFormat
from drivers.camera_power.protocol import CameraPower
from drivers.clock.protocol import Clock
from drivers.dock.protocol import Dock
from drivers.errors import DriverError
from drivers.gnss.protocol import Gnss
from drivers.haptics.protocol import Haptics
from drivers.indicator.protocol import Indicator
from drivers.microphone.protocol import Microphone
from drivers.rtc.protocol import Rtc
from firmware.board_checks import DockCheck, FixCheck, PressCheck, RestCheck, RtcCheck, SoundCheck, VibrationCheck
from firmware.board_parts import Board
from firmware.board_wiring import wires
from firmware.part_checks import BatteryCheck, CameraCheck, LightCheck, MicrophoneCheck
from firmware.patience import Patience
from firmware.selftest import Check, Outcome, SelfTest
from firmware.state_checks import ClockCheck

_FINE, _BROKEN = 0, 1
_WORDS = {Outcome.PASSED: "ok", Outcome.FAILED: "FAILED", Outcome.ABSENT: "absent"}
_VIDEO = PROFILES["480p30"].video
_EMPTY_PERCENT = 1
"""A battery on the bench may be low; the device's own limit is the unit's policy."""
_CLOSE_S = 5.0


Heard = Callable[[str, str, Outcome | None], None]
"""Gets each line in its parts: the name of the part, what was found, and how the check ended. None: what to do now."""


class _Part(Protocol):
    def close(self) -> None: ...


_T = TypeVar("_T", bound=_Part)


@dataclass(frozen=True, slots=True)
class BoardParts:
    """How the parts of a board are made; each may raise `DriverError`. The clock needs nothing to be made."""

    indicator: Callable[[], Indicator]
    button: Callable[[], Button]
    buzzer: Callable[[], Buzzer]
    haptics: Callable[[], Haptics]
    microphone: Callable[[], Microphone]
    camera: Callable[[], Camera]
    camera_power: Callable[[], CameraPower]
    battery: Callable[[], Battery]
    gnss: Callable[[], Gnss]
    accelerometer: Callable[[], Accelerometer]
    dock: Callable[[], Dock]
    rtc: Callable[[], Rtc]
    clock: Clock


def check_board(
    parts: BoardParts,
    out: TextIO,
    *,
    patience_s: float = 20.0,
    places: Mapping[str, str] | None = None,
    video: VideoFormat = _VIDEO,
    patience: Callable[[], Patience] = Patience,
    heard: Heard = lambda _name, _text, _outcome: None,
) -> int:
    """Check every part and write a line for each; return 0 where all that are present work, and 1 otherwise.

    `patience_s`: how long to wait for what the technician or the sky must do. `places`: where the parts are
    connected, as `places_of` tells. `heard` gets each line's parts. Whatever happens, all parts are closed at the end
    and the light is dark.
    """
    with _Bench(out, places or {}, patience, heard) as bench:
        # The light first and last: no part that watches or listens is made before there is one.
        light = bench.make("light", parts.indicator)
        if light is not None:
            bench.run("light", LightCheck(light))
        button = bench.make("button", parts.button)
        if button is not None:
            bench.say(f"button: press it and let go, within {patience_s:g} s")
            bench.run("button", PressCheck(button, patience_s=patience_s))
        buzzer = bench.make("buzzer", parts.buzzer)
        if buzzer is not None:
            bench.run("buzzer", SoundCheck(buzzer))
        haptics = bench.make("haptics", parts.haptics)
        if haptics is not None:
            bench.run("haptics", VibrationCheck(haptics))
        if light is None:
            bench.skip("microphone", "not tried: there is no light; mend the light first")
            bench.skip("camera", "not tried: there is no light; mend the light first")
        else:
            _listen(bench, parts, light, buzzer)
            _look(bench, parts, light, video)
        battery = bench.make("battery", parts.battery)
        if battery is not None:
            bench.run("battery", BatteryCheck(battery, critical_percent=_EMPTY_PERCENT))
        gnss = bench.make("gnss", parts.gnss)
        if gnss is not None:
            if gnss.present:
                bench.say(f"gnss: waiting up to {patience_s:g} s for a fix")
            bench.run("gnss", FixCheck(gnss, patience_s=patience_s))
        accelerometer = bench.make("accelerometer", parts.accelerometer)
        if accelerometer is not None:
            bench.run("accelerometer", RestCheck(accelerometer))
        dock = bench.make("dock", parts.dock)
        if dock is not None:
            bench.run("dock", DockCheck(dock))
        rtc = bench.make("rtc", parts.rtc)
        if rtc is not None:
            bench.run("rtc", RtcCheck(rtc, parts.clock))
        bench.run("clock", ClockCheck(parts.clock))
    return bench.sum_up()


def places_of(board: Board) -> dict[str, str]:
    """Return where each part is connected, in a few words: ``{"light": "BCM 12, sense BCM 16"}``."""
    found: dict[str, list[str]] = {}
    for wire in wires(board):
        if wire.direction == "power" or wire.bus is not None:
            continue
        pin = wire.signal if wire.bcm is None else f"BCM {wire.bcm}"
        if wire.signal == "sense":
            pin = f"sense {pin}"
        found.setdefault(wire.part, []).append("companion" if "on the companion" in wire.note else pin)
    for name in ("battery", "accelerometer", "rtc"):
        part = getattr(board, name)
        if part.bus is not None:
            found[name] = [f"I2C 0x{part.address:02x}"]
    named = {"light" if name == "indicator" else name: ", ".join(pins) for name, pins in found.items()}
    return {name: place for name, place in named.items() if name not in ("companion", "camera_power")}


def _listen(bench: _Bench, parts: BoardParts, light: Indicator, buzzer: Buzzer | None) -> None:
    microphone = bench.make("microphone", parts.microphone)
    if microphone is None:
        return
    if buzzer is None:
        from drivers.buzzer.disabled import DisabledBuzzer

        buzzer = DisabledBuzzer()
    bench.run("microphone", MicrophoneCheck(microphone, buzzer, light))


def _look(bench: _Bench, parts: BoardParts, light: Indicator, video: VideoFormat) -> None:
    power = bench.make("camera", parts.camera_power)
    camera = bench.make("camera", parts.camera) if power is not None else None
    if power is not None and camera is not None:
        bench.run("camera", CameraCheck(camera, power, light, video))


class _Bench:
    """Makes parts, runs checks, writes what comes of it. A context manager that closes the parts, the last first."""

    def __init__(self, out: TextIO, places: Mapping[str, str], patience: Callable[[], Patience], heard: Heard) -> None:
        self._out = out
        self._places = places
        self._patience = patience
        self._heard = heard
        self._made: list[tuple[str, _Part]] = []
        self._failed: list[str] = []

    def make(self, name: str, maker: Callable[[], _T]) -> _T | None:
        """Make a part that is closed at the end; None, and a line, if it cannot be."""
        try:
            part = maker()
        except DriverError as error:
            self._line(name, str(error), Outcome.FAILED)
            return None
        self._made.append((name, part))
        return part

    def run(self, name: str, check: Check) -> None:
        """Run a check, and write its line."""
        (result,) = SelfTest([check], patience=self._patience).run().results
        self._line(name, result.text, result.outcome)

    def skip(self, name: str, why: str) -> None:
        """A part that cannot be checked has not passed."""
        self._line(name, why, Outcome.FAILED)

    def say(self, text: str) -> None:
        """Write at once what the technician should do."""
        self._heard("", text, None)
        self._write(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._made:
            self._close(*self._made.pop())

    def _close(self, name: str, part: _Part) -> None:
        """Close a part on a thread of its own: one that hangs keeps no other from being closed."""
        errors: list[str] = []

        def close() -> None:
            try:
                part.close()
            except DriverError as error:
                errors.append(str(error))

        thread = threading.Thread(target=close, name=f"close {name}", daemon=True)
        thread.start()
        thread.join(_CLOSE_S)
        if thread.is_alive():
            errors.append(f"did not close within {_CLOSE_S:g} s; take the power away")
        for text in errors:
            self._line(name, text, Outcome.FAILED)

    def _write(self, text: str) -> None:
        self._out.write(text + "\n")
        self._out.flush()

    def sum_up(self) -> int:
        """Write the last line; return the exit status."""
        if self._failed:
            self._write(f"FAILED: {', '.join(dict.fromkeys(self._failed))}")
            return _BROKEN
        self._write("all parts that this board has work")
        return _FINE

    def _line(self, name: str, text: str, outcome: Outcome) -> None:
        where = f" ({self._places[name]})" if name in self._places else ""
        self._write(f"{name}{where}: {' '.join(text.split())} ... {_WORDS[outcome]}")
        self._heard(name, f"{where.strip()} {text}".strip(), outcome)
        if outcome is Outcome.FAILED:
            self._failed.append(name)
