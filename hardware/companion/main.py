"""The companion controller's program. MicroPython on an RP2040 starts it; the watchdog ends it when it hangs."""

import os
import time

import config
from machine import WDT_RESET, Pin, reset, reset_cause

_ROUND_MS = 5


def run(camera) -> None:
    """Run until something fails."""
    from controller import Controller
    from gauge import make_gauge
    from pins import Clock, Hardware

    cause = "watchdog" if reset_cause() == WDT_RESET else "power"
    boot = "".join(f"{byte:02X}" for byte in os.urandom(4))
    clock = Clock()
    controller = Controller(Hardware(config, camera, clock, make_gauge(config)), boot, cause, config)
    while True:
        controller.step()
        time.sleep_ms(_ROUND_MS)


def main() -> None:
    """Keep the camera without power from the first instruction on, and run; whatever goes wrong ends in a reset."""
    camera = Pin(config.CAMERA_PIN, Pin.OUT, value=0)
    if not Pin(config.SERVICE_PIN, Pin.IN, Pin.PULL_UP).value():
        return  # a technician's jumper: to the prompt on USB, the camera without power
    try:
        run(camera)
    finally:
        camera.value(0)
        reset()  # on this chip the watchdog does it, and that is what the next start reports


main()
