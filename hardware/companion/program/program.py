"""The program that `main.py` starts, once it has found it whole. The watchdog ends it when it hangs."""

import os
import time

import config
from controller import Controller
from gauge import make_gauge
from machine import WDT_RESET, reset_cause
from pins import Clock, Hardware
from receiver import Receiver

_ROUND_MS = 5
_HOLD_MS = 5_000
"""Where the board's config.py is from before there were updates over the line."""
_DRAIN_MS = 100
"""The last answer is out of the UART by then."""


def run(camera, slot: str, digest: str, trial: bool) -> None:
    """Run until something fails, or a restart is asked for; `camera` is its enable pin, driven low already.

    `slot`, `digest` and `trial` are what the starter has found.
    """
    cause = "watchdog" if reset_cause() == WDT_RESET else "power"
    boot = "".join(f"{byte:02X}" for byte in os.urandom(4))
    clock = Clock()
    hardware = Hardware(config, camera, clock, make_gauge(config))
    hold_ms = getattr(config, "UPDATE_HOLD_MS", _HOLD_MS)
    receiver = Receiver(slot, digest, trial, hold_ms, hardware.feed)
    controller = Controller(hardware, boot, cause, config, receiver)
    while not receiver.ended(clock.now()):
        controller.step()
        time.sleep_ms(_ROUND_MS)
    camera.value(0)
    time.sleep_ms(_DRAIN_MS)
