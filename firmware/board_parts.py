"""What a board profile says: a device's parts, and where they are connected. Pins have Broadcom numbers (BCM)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from firmware.board_rules import Address, Bus, DeviceFile, DriverName, OneOf, Pin, Text, Texts, Whole, YesNo


@dataclass(frozen=True, slots=True)
class GpioChip:
    """`[gpio]`: how pins are reached."""

    pin_factory: Annotated[str, OneOf("lgpio", "mock")] = "lgpio"
    chip: Annotated[int | None, Whole(0, 31)] = None
    """N of /dev/gpiochipN, where it is the same for every kernel; otherwise the driver looks for it."""


@dataclass(frozen=True, slots=True)
class CameraPart:
    """`[camera]`."""

    driver: Annotated[str, OneOf("picamera2", "v4l2", "synthetic", "disabled")]
    device: Annotated[str | None, DeviceFile()] = None
    """For v4l2 alone."""
    sensor: Annotated[str | None, DriverName()] = None
    """For picamera2, where the camera has no power at boot: the kernel's driver, bound once it has."""


@dataclass(frozen=True, slots=True)
class CameraPowerPart:
    """`[camera_power]`: who switches the camera's power."""

    driver: Annotated[str, OneOf("companion", "always", "simulated")]


@dataclass(frozen=True, slots=True)
class MicrophonePart:
    """`[microphone]`."""

    driver: Annotated[str, OneOf("pyaudio", "synthetic", "disabled")]
    connection: Annotated[str | None, OneOf("i2s", "usb")] = None
    """For pyaudio alone; i2s takes four pins of the header."""


@dataclass(frozen=True, slots=True)
class IndicatorPart:
    """`[indicator]`: the recording light. No board is without one."""

    driver: Annotated[str, OneOf("gpio", "companion", "simulated")]
    pin: Annotated[int | None, Pin()] = None
    sense_pin: Annotated[int | None, Pin()] = None
    """Reads whether the light draws current."""
    dimmable: Annotated[bool, YesNo()] = False
    active_high: Annotated[bool, YesNo()] = True
    sense_active_high: Annotated[bool, YesNo()] = True


@dataclass(frozen=True, slots=True)
class ButtonPart:
    """`[button]`: the record button. No board is without one."""

    driver: Annotated[str, OneOf("gpio", "companion", "simulated")]
    pin: Annotated[int | None, Pin()] = None
    pull_up: Annotated[bool, YesNo()] = True
    """The button is between its pin and ground; false: between the pin and 3.3 V."""


@dataclass(frozen=True, slots=True)
class BuzzerPart:
    """`[buzzer]`."""

    driver: Annotated[str, OneOf("gpio", "simulated", "disabled")]
    pin: Annotated[int | None, Pin()] = None


@dataclass(frozen=True, slots=True)
class HapticsPart:
    """`[haptics]`: the vibration motor."""

    driver: Annotated[str, OneOf("gpio", "simulated", "disabled")]
    pin: Annotated[int | None, Pin()] = None


@dataclass(frozen=True, slots=True)
class BatteryPart:
    """`[battery]`: the gauge."""

    driver: Annotated[str, OneOf("max17048", "companion", "simulated", "disabled")]
    bus: Annotated[int | None, Bus()] = None
    address: Annotated[int | None, Address()] = None


@dataclass(frozen=True, slots=True)
class GnssPart:
    """`[gnss]`: the satellite receiver."""

    driver: Annotated[str, OneOf("nmea", "simulated", "disabled")]
    port: Annotated[str | None, DeviceFile()] = None
    baud: Annotated[int | None, Whole(4800, 921_600)] = None


@dataclass(frozen=True, slots=True)
class AccelerometerPart:
    """`[accelerometer]`."""

    driver: Annotated[str, OneOf("lis3dh", "simulated", "disabled")]
    bus: Annotated[int | None, Bus()] = None
    address: Annotated[int | None, Address()] = None


@dataclass(frozen=True, slots=True)
class DockPart:
    """`[dock]`: how the device knows that it stands in its dock.

    udc asks the USB device controller; gpio reads a contact between its pin and ground.
    """

    driver: Annotated[str, OneOf("udc", "gpio", "simulated", "disabled")]
    pin: Annotated[int | None, Pin()] = None


@dataclass(frozen=True, slots=True)
class RtcPart:
    """`[rtc]`: the clock that goes on without power. The kernel drives it; an external one is on the I2C bus."""

    driver: Annotated[str, OneOf("linux", "simulated", "disabled")]
    device: Annotated[str | None, DeviceFile()] = None
    bus: Annotated[int | None, Bus()] = None
    address: Annotated[int | None, Address()] = None


@dataclass(frozen=True, slots=True)
class CompanionPart:
    """`[companion]`: the controller that owns the parts whose driver is ``companion``."""

    port: Annotated[str, DeviceFile()]
    baud: Annotated[int, Whole(57_600, 921_600)] = 115_200
    """Its status lines need 57,600 at least."""


@dataclass(frozen=True, slots=True)
class Board:
    """The whole file; `name` is the file's."""

    name: str
    title: Annotated[str, Text()]
    camera: CameraPart
    camera_power: CameraPowerPart
    microphone: MicrophonePart
    indicator: IndicatorPart
    button: ButtonPart
    buzzer: BuzzerPart
    haptics: HapticsPart
    battery: BatteryPart
    gnss: GnssPart
    accelerometer: AccelerometerPart
    dock: DockPart
    rtc: RtcPart
    gpio: GpioChip = GpioChip()
    companion: CompanionPart | None = None
    config_txt: Annotated[tuple[str, ...], Texts()] = ()
    """Lines of the Pi's config.txt that switch these connections on."""
