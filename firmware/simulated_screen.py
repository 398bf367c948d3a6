"""What the wearer of a simulated device sees, hears and feels, as lines on a terminal."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from drivers.battery.simulated import SimulatedBattery
from drivers.buzzer.simulated import SimulatedBuzzer
from drivers.haptics.simulated import SimulatedHaptics
from drivers.indicator.simulated import SimulatedIndicator
from firmware.appliance import Snapshot
from firmware.states import KEEPING
from firmware.wiring import Device

_REFRESH_S = 0.1
_BAR = 12
HELP = (
    "space press   d double press   v three presses   h hold 2 s   1-5 hold and count a-e   s button stuck/free",
    "x light broken   z buzzer broken   m microphone out   c camera power gone   f flash hangs   w flash breaks",
    "b battery 80/15/3 %/charging   k dock   g fall   t clock jumps a year   n night   u no unit   q power off",
    "l the broker is there/gone   a a station asks for live view",
)


class Screen:
    """Paints a device onto a terminal, or prints changes of state as lines."""

    def __init__(self, terminal: bool) -> None:
        self._terminal = terminal
        self._last = ""

    def changed(self, snapshot: Snapshot) -> None:
        """Print a change of state where there is no terminal."""
        line = f"{snapshot.state.value}{': ' + snapshot.fault if snapshot.fault else ''}"
        if not self._terminal and line != self._last:
            self._last = line
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

    @contextmanager
    def painting(self, device: Device) -> Iterator[None]:
        """Paint that device on a thread named "screen" for as long as the context lasts."""
        if not self._terminal:
            yield
            return
        ended = threading.Event()
        painter = threading.Thread(target=self._paint, args=(device, ended), name="screen", daemon=True)
        painter.start()
        try:
            yield
        finally:
            ended.set()
            painter.join(2.0)

    def _paint(self, device: Device, ended: threading.Event) -> None:
        sys.stdout.write("\x1b[2J")
        while not ended.wait(_REFRESH_S):
            lines = "".join(f"{line}\x1b[K\r\n" for line in screen_lines(device))
            sys.stdout.write(f"\x1b[H{lines}\x1b[J")
            sys.stdout.flush()


def screen_lines(device: Device) -> Iterator[str]:
    """Return the screen, line by line."""
    snapshot, parts = device.appliance.snapshot, device.hardware
    progress, light = snapshot.progress, snapshot.light
    level = parts.indicator.level if isinstance(parts.indicator, SimulatedIndicator) else float(light.lit)
    tone = parts.buzzer.tone_hz if isinstance(parts.buzzer, SimulatedBuzzer) else 0
    strength = parts.haptics.strength if isinstance(parts.haptics, SimulatedHaptics) else 0.0
    lamp = ("\x1b[1;31m" + "#" * max(1, round(level * _BAR)) + "\x1b[0m") if level else ""
    sensed = {True: "sensed lit", False: "sensed dark", None: "no sense line"}[light.sensed]
    keeping = snapshot.state in KEEPING
    level_db = (device.capture.level_dbfs if keeping and device.capture else None) or -96.0
    bar = "#" * max(0, min(30, int((level_db + 60) / 2)))
    yield "  GETUIGE, simulated"
    yield ""
    yield f"  light     [{lamp}{' ' * (_BAR - max(bool(level), round(level * _BAR)))}]  {sensed}"
    yield f"  buzzer    {f'{tone} Hz' if tone else '-':10} touch  {'bzzz' if strength else '-'}"
    yield f"  state     {snapshot.state.value}{'  ' + progress.recording.hex()[:8] if keeping else ''}"
    yield f"  says      {snapshot.cue.value}"
    yield f"  fault     {snapshot.fault or '-'}"
    yield f"  chain     segment {progress.segment}, chunk {progress.chunk}, {progress.chain.hex()[:16]}"
    yield f"  recorded  {progress.media_ns / 1e9:.1f} s in this segment"
    if device.store is not None:
        yield f"  storage   {device.store.free_bytes() / 2**30:.1f} GiB free, {device.store.queued_bytes} bytes queued"
    yield f"  battery   {_battery(parts.battery)}"
    yield f"  sound     {level_db:6.1f} dBFS |{bar:<30}|"
    yield ""
    yield from (f"  {line}" for line in HELP)


def _battery(battery: object) -> str:
    reading = battery.read() if isinstance(battery, SimulatedBattery) else None
    return "-" if reading is None else f"{reading.percent:.0f} %{', charging' if reading.charging else ''}"
