"""What MicroPython on the RP2040 starts first. An update over the line leaves this file alone."""

import sys

import config
import starter
from machine import Pin, reset


def main() -> None:
    """Keep the camera without power from the first instruction on, and run; whatever goes wrong ends in a reset."""
    camera = Pin(config.CAMERA_PIN, Pin.OUT, value=0)
    if not Pin(config.SERVICE_PIN, Pin.IN, Pin.PULL_UP).value():
        return  # a technician's jumper: to the prompt on USB, the camera without power
    found = starter.choose()
    if found is None:
        return  # nothing whole to run: to the prompt on USB, likewise
    slot, digest, trial = found
    try:
        sys.path.insert(0, slot)
        from program import run

        run(camera, slot, digest, trial)
    finally:
        camera.value(0)
        reset()  # on this chip the watchdog does it, and that is what the next start reports


main()
