"""Which part of a board is on which pin of the 40-pin header: for the check of a profile, and for its drawing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from firmware.board_parts import Board

HEADER = {
    2: 3, 3: 5, 4: 7, 14: 8, 15: 10, 17: 11, 18: 12, 27: 13, 22: 15, 23: 16, 24: 18, 10: 19, 9: 21, 25: 22, 11: 23,
    8: 24, 7: 26, 0: 27, 1: 28, 5: 29, 6: 31, 12: 32, 13: 33, 19: 35, 16: 36, 26: 37, 20: 38, 21: 40,
}  # fmt: skip
"""Physical pin of each BCM number; the same on every Raspberry Pi with 40 pins."""
POWER_3V3 = (1, 17)
POWER_5V = (2, 4)
GROUND = (6, 9, 14, 20, 25, 30, 34, 39)

Direction = Literal["out", "in", "both", "power"]

_SDA, _SCL = 2, 3
_TXD, _RXD = 14, 15
_I2S_CLOCK, _I2S_FRAME, _I2S_IN, _I2S_OUT = 18, 19, 20, 21
_HEADER_UARTS = frozenset({"/dev/serial0", "/dev/ttyAMA0", "/dev/ttyS0"})
"""The names that one and the same pair of pins goes by."""
_I2C = "I2C bus 1"
_VOICE_HAT = "dtoverlay=googlevoicehat-soundcard"
"""An I²S microphone's usual overlay; it drives BCM 16, the enable pin of the amplifier that it thinks is there."""


@dataclass(frozen=True, slots=True)
class Wire:
    """One signal of one part."""

    part: str
    signal: str
    header_pin: int | None
    """Physical pin of the header, or None where the part is connected elsewhere."""
    bcm: int | None
    """None for power, ground, and parts that are not on the header."""
    direction: Direction
    """As the Pi sees it."""
    note: str
    bus: str | None = None
    """Several parts may share the pins of one bus."""


def wires(board: Board) -> tuple[Wire, ...]:
    """Return every connection of a board, part by part; simulated and disabled parts have none."""
    return tuple(wire for part in (_companion, _gpio_parts, _i2c_parts, _serial_parts, _others) for wire in part(board))


def clashes(board: Board) -> list[str]:
    """Return what cannot be: two parts on one pin, on one I2C address, or on one device file. Each is one line."""
    found = []
    users: defaultdict[int, dict[tuple[str, str], str | None]] = defaultdict(dict)
    for wire in wires(board):
        if wire.bcm is not None:
            users[wire.bcm][wire.part, wire.signal] = wire.bus
    for bcm, claims in sorted(users.items()):
        if len(claims) > 1 and set(claims.values()) != {_I2C}:
            names = " and ".join(f"{part} ({signal})" for part, signal in claims)
            found.append(f"BCM {bcm} is used twice: by {names}; move one")
    return found + _same_place(board)


def _same_place(board: Board) -> list[str]:
    places: defaultdict[str, list[str]] = defaultdict(list)
    for name in ("battery", "accelerometer", "rtc"):
        part = getattr(board, name)
        if part.bus is not None:
            places[f"I2C address 0x{part.address:02x}"].append(name)
    for name, device in (
        ("companion", board.companion.port if board.companion else None),
        ("gnss", board.gnss.port),
        ("camera", board.camera.device),
        ("rtc", board.rtc.device),
    ):
        if device is not None:
            places[device].append(name)
    return [
        f"{place} is used twice: by {' and '.join(names)}; move one"
        for place, names in places.items()
        if len(names) > 1
    ]


def _companion(board: Board) -> Iterator[Wire]:
    if board.companion is None:
        return
    yield from _serial("companion", board.companion.port, board.companion.baud)
    for part, signal in (
        ("indicator", "light and its sense line"),
        ("button", "contact"),
        ("camera_power", "enable"),
        ("battery", "gauge"),
    ):
        if getattr(board, part).driver == "companion":
            yield Wire(part, signal, None, None, "both", "on the companion controller")


def _gpio_parts(board: Board) -> Iterator[Wire]:
    light, button = board.indicator, board.button
    if light.driver == "gpio" and light.pin is not None:
        level = "high" if light.active_high else "low"
        dimmed = "; dimmed by pulse width" if light.dimmable else ""
        yield _pin("indicator", "light", light.pin, "out", f"to the lamp's transistor; lit when {level}{dimmed}")
        if light.sense_pin is not None:
            level = "high" if light.sense_active_high else "low"
            yield _pin("indicator", "sense", light.sense_pin, "in", f"{level} while the lamp draws current; no pull")
        yield _ground("indicator", light.pin)
    if button.driver == "gpio" and button.pin is not None:
        if button.pull_up:
            yield _pin("button", "contact", button.pin, "in", "closes to ground; internal pull-up")
            yield _ground("button", button.pin)
        else:
            yield _pin("button", "contact", button.pin, "in", "closes to 3.3 V; internal pull-down")
            yield Wire("button", "3.3 V", POWER_3V3[1], None, "power", "")
    for part, pin, note in (
        ("buzzer", board.buzzer.pin, "to the transistor of a passive buzzer; square wave"),
        ("haptics", board.haptics.pin, "to the motor's transistor, with a flyback diode; pulse width"),
    ):
        if pin is not None:
            yield _pin(part, "drive", pin, "out", note)
            yield Wire(part, "5 V", POWER_5V[0], None, "power", "the part's supply")
            yield _ground(part, pin)
    if board.dock.pin is not None:
        yield _pin("dock", "contact", board.dock.pin, "in", "closes to ground in the dock; internal pull-up")
        yield _ground("dock", board.dock.pin)


def _i2c_parts(board: Board) -> Iterator[Wire]:
    for name, what in (
        ("battery", f"gauge {board.battery.driver.upper()}"),
        ("accelerometer", board.accelerometer.driver.upper()),
        ("rtc", "clock chip, driven by the kernel"),
    ):
        part = getattr(board, name)
        if part.bus is None:
            continue
        place = f"{what}, address 0x{part.address:02x}"
        yield _pin(name, "SDA", _SDA, "both", place, _I2C)
        yield _pin(name, "SCL", _SCL, "out", place, _I2C)
        yield Wire(name, "3.3 V", POWER_3V3[0], None, "power", "the part's supply")
        yield _ground(name, _SCL)


def _serial_parts(board: Board) -> Iterator[Wire]:
    if board.gnss.port is not None and board.gnss.baud is not None:
        yield from _serial("gnss", board.gnss.port, board.gnss.baud)


def _others(board: Board) -> Iterator[Wire]:
    match board.camera.driver:
        case "picamera2":
            yield Wire("camera", "CSI", None, None, "in", "flat cable to the camera connector")
        case "v4l2":
            yield Wire("camera", "USB", None, None, "in", f"webcam {board.camera.device}")
    match board.microphone.connection:
        case "i2s":
            note = "digital microphone (I²S)"
            yield _pin("microphone", "bit clock", _I2S_CLOCK, "out", note)
            yield _pin("microphone", "word clock", _I2S_FRAME, "out", note)
            yield _pin("microphone", "data", _I2S_IN, "in", note)
            yield _pin("microphone", "(data out)", _I2S_OUT, "out", "the I²S block claims this pin too: leave it open")
            if any(line.startswith(_VOICE_HAT) for line in board.config_txt):
                yield _pin("microphone", "(enable)", 16, "out", "the overlay's amplifier has it: leave it open")
            yield Wire("microphone", "3.3 V", POWER_3V3[1], None, "power", "the part's supply")
            yield _ground("microphone", _I2S_IN)
        case "usb":
            yield Wire("microphone", "USB", None, None, "in", "USB sound card or microphone")
    if board.dock.driver == "udc":
        yield Wire("dock", "USB", None, None, "both", "USB device port: the dock is the host")
    if board.rtc.driver == "linux" and board.rtc.bus is None:
        yield Wire("rtc", "on the board", None, None, "both", f"{board.rtc.device}; wants its backup battery")


def _serial(part: str, port: str, baud: int) -> Iterator[Wire]:
    note = f"{port}, {baud} baud"
    if port not in _HEADER_UARTS:
        yield Wire(part, "USB", None, None, "both", note)
        return
    yield _pin(part, "TXD", _TXD, "out", f"{note}; to the part's RXD")
    yield _pin(part, "RXD", _RXD, "in", f"{note}; from the part's TXD, 3.3 V at most")
    yield Wire(part, "5 V", POWER_5V[1], None, "power", "the part's supply")
    yield _ground(part, _TXD)


def _pin(part: str, signal: str, bcm: int, direction: Direction, note: str, bus: str | None = None) -> Wire:
    return Wire(part, signal, HEADER[bcm], bcm, direction, note, bus)


def _ground(part: str, bcm: int) -> Wire:
    """The ground pin nearest to a signal."""
    near = min(GROUND, key=lambda pin: (abs((pin - 1) // 2 - (HEADER[bcm] - 1) // 2), pin))
    return Wire(part, "ground", near, None, "power", "")
