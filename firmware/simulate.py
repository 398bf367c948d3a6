"""The device held in a terminal: keys are the button and whatever may happen to a device, the screen shows what its
wearer would see, hear and feel.

Without a terminal (a pipe) keys are read as characters all the same, and every change of state is printed as a line.
"""  # noqa: D205

from __future__ import annotations

import sys
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from drivers.clock.shifted import ShiftedClock
from drivers.clock.system import SystemClock
from firmware.board import find_board
from firmware.parts import Parts
from firmware.settings import Settings
from firmware.signals import hold_back, power_off_on_signal
from firmware.simulated_keys import Keys, World
from firmware.simulated_medium import SimulatedMedium
from firmware.simulated_screen import Screen
from firmware.wiring import Device


def simulate(settings: Settings) -> int:
    """Run the device with simulated parts in the terminal; return the exit status.

    Camera and microphone stay those of the settings' board; every other part is simulated. A device that ends with
    its recorder dead is started anew, as a service manager would.
    """
    simulated = find_board("simulated")
    board = replace(
        simulated,
        camera=settings.board.camera if settings.board.camera.driver != "picamera2" else simulated.camera,
        microphone=settings.board.microphone if settings.board.microphone.driver != "pyaudio" else simulated.microphone,
    )
    settings = replace(settings, board=board)
    screen = Screen(sys.stdout.isatty() and sys.stdin.isatty())
    hold_back()
    keys = Keys()
    with _raw_terminal():
        threading.Thread(target=keys.read, name="keys", daemon=True).start()
        fault = ""
        while not keys.ended:
            fault = _live(keys.settings_now(settings), screen, keys)
            if not fault and not keys.restart:
                break
            keys.restart = False
    sys.stdout.write(f"\nPowered off{': ' + fault if fault else ''}.\n")
    return 1 if fault else 0


def _live(settings: Settings, screen: Screen, keys: Keys) -> str:
    """Run one life of the device; return the fault that it ended with."""
    clock, medium = ShiftedClock(SystemClock()), SimulatedMedium()
    with Device(settings, Parts(settings.board), screen.changed, clock=clock, sync=medium.sync, health_s=0.5) as device:
        if not keys.signals_watched:
            power_off_on_signal(keys.inputs_of)
            keys.signals_watched = True
        keys.hold(World(device, clock, medium))
        with screen.painting(device):
            fault = device.run()
        medium.hang(False)
        keys.hold(None)
    return fault


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
