"""The parts of one device, made once."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from drivers.accelerometer.protocol import Accelerometer
from drivers.battery.protocol import Battery
from drivers.button.protocol import Button
from drivers.buzzer.protocol import Buzzer
from drivers.camera.powered import PoweredCamera
from drivers.camera.protocol import Camera
from drivers.camera_power.protocol import CameraPower
from drivers.clock.protocol import Clock
from drivers.clock.referenced import ReferencedClock
from drivers.clock.system import SystemClock
from drivers.dock.protocol import Dock
from drivers.gnss.protocol import Gnss
from drivers.haptics.protocol import Haptics
from drivers.indicator.protocol import Indicator
from drivers.microphone.protocol import Microphone
from drivers.rtc.protocol import Rtc
from firmware.parts import Parts


@dataclass(frozen=True, slots=True)
class Hardware:
    """All of them; every part is there, be it as a disabled driver."""

    camera: Camera
    """Behind its power switch: starting it asks for power."""
    bare_camera: Camera
    camera_power: CameraPower
    microphone: Microphone
    indicator: Indicator
    button: Button
    buzzer: Buzzer
    haptics: Haptics
    battery: Battery
    gnss: Gnss
    accelerometer: Accelerometer
    dock: Dock
    rtc: Rtc
    clock: ReferencedClock


def make_hardware(parts: Parts, stack: ExitStack, clock: Clock | None = None) -> Hardware:
    """Make every part of the board; `stack` closes them in reverse order.

    Raises:
        DriverError: a part is not there.
    """
    enter = stack.enter_context
    enter(parts)
    power = enter(parts.camera_power())
    camera = enter(parts.camera())
    microphone = enter(parts.microphone())
    # A simulated microphone hears a simulated buzzer, as the self-test wants it.
    hear = getattr(microphone, "hear", None)
    return Hardware(
        camera=PoweredCamera(camera, power),
        bare_camera=camera,
        camera_power=power,
        microphone=microphone,
        indicator=enter(parts.indicator()),
        button=enter(parts.button()),
        buzzer=enter(parts.buzzer(hear)),
        haptics=enter(parts.haptics()),
        battery=enter(parts.battery()),
        gnss=enter(parts.gnss()),
        accelerometer=enter(parts.accelerometer()),
        dock=enter(parts.dock()),
        rtc=enter(parts.rtc()),
        clock=ReferencedClock(clock or SystemClock()),
    )
