"""Keys of the simulator: the button, and whatever may happen to a device."""

from __future__ import annotations

import os
import queue
import secrets
import select
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from drivers.accelerometer.simulated import SimulatedAccelerometer
from drivers.battery.simulated import SimulatedBattery
from drivers.button.simulated import SimulatedButton
from drivers.buzzer.simulated import SimulatedBuzzer
from drivers.camera_power.simulated import SimulatedCameraPower
from drivers.clock.shifted import ShiftedClock
from drivers.dock.simulated import SimulatedDock
from drivers.indicator.simulated import SimulatedIndicator
from firmware.inputs import Input, LiveAsked, LiveLink, PowerOff
from firmware.settings import Settings
from firmware.simulated_medium import SimulatedMedium
from firmware.wiring import Device

_PRESS_S = 0.1
_HOLD_S = 2.2
_FIRST_COUNT_S = 3.6
_PAUSE_S = 0.1
"""Between two keys: a button that is up for less than the debouncing time was never up."""
_YEAR_NS = 365 * 86_400 * 1_000_000_000
_BATTERY = ((80.0, False), (15.0, False), (3.0, False), (30.0, True))
_PUT_S = 1.0
_HELD_S = 20.0


@dataclass
class World:
    """A running device and what is simulated around it."""

    device: Device
    clock: ShiftedClock
    medium: SimulatedMedium
    battery_step: int = 0
    stuck: bool = False
    live: bool = False
    night: bool = False


class Keys:
    """Reads keys on a thread named "keys" and lets them happen to the device of the moment."""

    def __init__(self) -> None:
        self._world: World | None = None
        self._held = threading.Condition()
        self._broken: set[str] = set()
        self._without_unit: tempfile.TemporaryDirectory[str] | None = None
        self._sequence = b""
        self.ended = False
        self.restart = False
        self.signals_watched = False

    def hold(self, world: World | None) -> None:
        """From now on keys happen to this device."""
        with self._held:
            self._world = world
            self._broken.clear()
            self._held.notify_all()

    @property
    def inputs_of(self) -> _CurrentInputs:
        """A queue of inputs that is always the present device's."""
        return _CurrentInputs(self)

    def settings_now(self, settings: Settings) -> Settings:
        """Return the settings for the next life: those of a device without a unit after the key for it."""
        if self._without_unit is None:
            return settings
        return replace(settings, store=replace(settings.store, state=Path(self._without_unit.name) / "state"))

    def read(self) -> None:
        """Read keys until the end of input, which is a power-off."""
        while not self.ended:
            ready, _, _ = select.select([sys.stdin], [], [], 60.0)
            if ready:
                key = os.read(sys.stdin.fileno(), 1)
                if not self._in_sequence(key):
                    self._press(key)

    def _in_sequence(self, key: bytes) -> bool:
        """Whether this byte belongs to an arrow key or the like: ESC, ``[`` or ``O``, parameters, a final letter."""
        if key == b"\x1b" or (self._sequence == b"\x1b" and key in (b"[", b"O")):
            self._sequence = key
        elif self._sequence in (b"[", b"O") and key and not b"@" <= key <= b"~":
            pass
        elif self._sequence in (b"[", b"O") and key:
            self._sequence = b""
        else:
            self._sequence = b""
            return False
        return True

    def world(self) -> World | None:
        """Return the present device, or wait for the next one; None if none came."""
        with self._held:
            self._held.wait_for(lambda: self._world is not None, _HELD_S)
            return self._world

    def _press(self, key: bytes) -> None:
        world = self.world()
        if world is None or key in (b"q", b""):
            self.ended = True
            if world is not None:
                world.device.inputs.put(PowerOff(), timeout=_PUT_S)
            return
        parts: Any = world.device.hardware
        match key:
            case b" " | b"p":
                _button(parts.button, _PRESS_S)
            case b"h":
                _button(parts.button, _HOLD_S)
            case b"1" | b"2" | b"3" | b"4" | b"5":
                _button(parts.button, _FIRST_COUNT_S + int(key) - 1)
            case b"d":
                _button(parts.button, _PRESS_S)
                _button(parts.button, _PRESS_S)
            case b"v":
                for _ in range(3):
                    _button(parts.button, _PRESS_S)
            case b"u":
                self._toggle_unit(world)
            case b"s" | b"x" | b"z" | b"m" | b"c" | b"f":
                self._break(key.decode(), world)
            case _:
                _happen(key, world)

    def _break(self, key: str, world: World) -> None:
        """Break a part, or mend it again."""
        self._broken ^= {key}
        broken = key in self._broken
        parts: Any = world.device.hardware
        light, buzzer, power = parts.indicator, parts.buzzer, parts.camera_power
        match key:
            case "s":
                (parts.button.press if broken else parts.button.release)()
            case "x" if isinstance(light, SimulatedIndicator):
                light.stick(False if broken else None)
            case "z" if isinstance(buzzer, SimulatedBuzzer):
                buzzer.refuse("it is broken" if broken else None)
            case "m" if hasattr(parts.microphone, "unplug"):
                parts.microphone.unplug(broken)
            case "c" if isinstance(power, SimulatedCameraPower):
                power.refuse("it lost its power" if broken else None)
            case "f":
                world.medium.hang(broken)
            case _:
                pass  # the settings' own camera or microphone cannot be broken

    def _toggle_unit(self, world: World) -> None:
        """Start anew as a device that belongs to no unit, or as the enrolled one again."""
        if self._without_unit is None:
            self._without_unit = tempfile.TemporaryDirectory(prefix="getuige-")
        else:
            self._without_unit.cleanup()
            self._without_unit = None
        self.restart = True
        self.hold(None)
        world.device.inputs.put(PowerOff(), timeout=_PUT_S)


class _CurrentInputs(queue.Queue[Input]):
    """Puts into the queue of the present device."""

    def __init__(self, keys: Keys) -> None:
        super().__init__(1)
        self._keys = keys

    def put(self, item: Input, block: bool = True, timeout: float | None = None) -> None:
        self._keys.ended = True
        world = self._keys.world()
        if world is not None:
            world.device.inputs.put(item, block, timeout)


def _happen(key: bytes, world: World) -> None:
    parts: Any = world.device.hardware
    match key:
        case b"b" if isinstance(parts.battery, SimulatedBattery):
            world.battery_step = (world.battery_step + 1) % len(_BATTERY)
            percent, charging = _BATTERY[world.battery_step]
            parts.battery.set(percent, charging=charging)
        case b"k" if isinstance(parts.dock, SimulatedDock):
            parts.dock.put(not parts.dock.docked)
        case b"g" if isinstance(parts.accelerometer, SimulatedAccelerometer):
            parts.accelerometer.fall()
        case b"t":
            world.clock.jump(_YEAR_NS)
        case b"w":
            world.medium.fail()
        case b"l":
            world.live = not world.live
            world.device.inputs.put(LiveLink(world.live, "" if world.live else "the key l"), timeout=_PUT_S)
        case b"a":
            world.device.inputs.put(LiveAsked(secrets.token_hex(8), "the key a"), timeout=_PUT_S)
        case b"n":
            world.night = not world.night
            world.device.signaller.set_night(world.night)
        case _:
            pass  # no key of ours


def _button(button: SimulatedButton, duration_s: float) -> None:
    button.press()
    time.sleep(duration_s)
    button.release()
    time.sleep(_PAUSE_S)
