"""The device held in a terminal: keys are the button, the screen shows what its wearer would see and hear.

Without a terminal (a pipe) keys are read as characters all the same, and every change of state is printed as a line.
"""

from __future__ import annotations

import os
import select
import sys
import termios
import threading
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from drivers.button.simulated import SimulatedButton
from drivers.indicator.simulated import SimulatedIndicator
from firmware.appliance import PowerOff, Snapshot
from firmware.errors import FirmwareError
from firmware.parts import Parts
from firmware.settings import Settings
from firmware.signals import hold_back, power_off_on_signal
from firmware.states import State
from firmware.wiring import Device

_PRESS_S = 0.1
_HOLD_S = 2.2
_REFRESH_S = 0.2
_PAUSE_S = 0.1
"""Between two keys: a button that is up for less than the debouncing time was never up."""
_HELP = "  space press   h hold 2 s (stop)   d double press   x break/mend the light   q power off"


def simulate(settings: Settings) -> int:
    """Run the device with simulated light and button in the terminal; return the exit status.

    Raises:
        FirmwareError: the settings ask for a real light or button.
    """
    hardware = replace(settings.hardware, indicator="simulated", button="simulated")
    screen = _Screen(sys.stdout.isatty() and sys.stdin.isatty())
    hold_back()
    with Device(replace(settings, hardware=hardware), Parts(hardware), screen.changed) as device:
        power_off_on_signal(device.inputs)
        keys = threading.Thread(target=_read_keys, args=(device,), name="keys", daemon=True)
        painter = threading.Thread(target=screen.paint, args=(device,), name="screen", daemon=True)
        with _raw_terminal():
            keys.start()
            painter.start()
            fault = device.run()
            screen.ended.set()
            painter.join(2.0)
    sys.stdout.write(f"\nPowered off{': ' + fault if fault else ''}.\n")
    return 1 if fault else 0


class _Screen:
    """Paints the device onto a terminal, or prints changes of state as lines."""

    def __init__(self, terminal: bool) -> None:
        self._terminal = terminal
        self.ended = threading.Event()

    def changed(self, snapshot: Snapshot) -> None:
        if not self._terminal:
            sys.stdout.write(f"{snapshot.state.value}{': ' + snapshot.fault if snapshot.fault else ''}\n")
            sys.stdout.flush()

    def paint(self, device: Device) -> None:
        if not self._terminal:
            return
        sys.stdout.write("\x1b[2J")
        while not self.ended.wait(_REFRESH_S):
            lines = "".join(f"{line}\x1b[K\r\n" for line in _lines(device))
            sys.stdout.write(f"\x1b[H{lines}\x1b[J")
            sys.stdout.flush()


def _lines(device: Device) -> Iterator[str]:
    snapshot = device.appliance.snapshot
    progress, light = snapshot.progress, snapshot.light
    lamp = "\x1b[1;31m(*) ON \x1b[0m" if light.lit else "( ) off"
    sensed = {True: "sensed lit", False: "sensed dark", None: "no sense line"}[light.sensed]
    recording = snapshot.state is State.RECORDING
    level_db = (device.capture.level_dbfs if recording and device.capture else None) or -96.0
    bar = "#" * max(0, min(30, int((level_db + 60) / 2)))
    yield "  GETUIGE, simulated"
    yield ""
    yield f"  light     {lamp}  {sensed}"
    yield f"  state     {snapshot.state.value}{'  ' + progress.recording.hex()[:8] if recording else ''}"
    yield f"  fault     {snapshot.fault or '-'}"
    yield f"  chain     segment {progress.segment}, chunk {progress.chunk}, {progress.chain.hex()[:16]}"
    yield f"  recorded  {progress.media_ns / 1e9:.1f} s in this segment"
    yield f"  storage   {device.store.free_bytes() / 2**30:.1f} GiB free, {device.store.queued_bytes} bytes queued"
    yield f"  sound     {level_db:6.1f} dBFS |{bar:<30}|"
    yield ""
    yield _HELP


def _read_keys(device: Device) -> None:
    button, light = device.hardware.button, device.hardware.indicator
    if not isinstance(button, SimulatedButton) or not isinstance(light, SimulatedIndicator):
        raise FirmwareError("the simulator needs a simulated light and button")
    broken = False
    while True:
        ready, _, _ = select.select([sys.stdin], [], [], 60.0)
        if not ready:
            continue
        key = os.read(sys.stdin.fileno(), 1)
        if key in (b" ", b"p"):
            _press(button, _PRESS_S)
        elif key == b"h":
            _press(button, _HOLD_S)
        elif key == b"d":
            _press(button, _PRESS_S)
            _press(button, _PRESS_S)
        elif key == b"x":
            broken = not broken
            light.stick(False if broken else None)
        elif key in (b"q", b""):
            device.inputs.put(PowerOff(), timeout=1.0)
            return


def _press(button: SimulatedButton, duration_s: float) -> None:
    button.press()
    time.sleep(duration_s)
    button.release()
    time.sleep(_PAUSE_S)


@contextmanager
def _raw_terminal() -> Iterator[None]:
    if not sys.stdin.isatty():
        yield
        return
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    try:
        tty.setcbreak(fd)
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
