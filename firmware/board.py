"""Board profiles: one TOML file each, checked as a whole. The project's own stand in `hardware/boards/`."""

from __future__ import annotations

import tomllib
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from firmware.board_parts import (
    AccelerometerPart,
    BatteryPart,
    Board,
    ButtonPart,
    BuzzerPart,
    CameraPart,
    CameraPowerPart,
    CompanionPart,
    DockPart,
    GnssPart,
    GpioChip,
    HapticsPart,
    IndicatorPart,
    MicrophonePart,
    RtcPart,
)
from firmware.board_rules import Rule
from firmware.board_wiring import clashes
from firmware.errors import SettingsError

__all__ = ["BOARDS", "Board", "find_board", "load_board"]

BOARDS = Path(__file__).resolve().parent.parent / "hardware" / "boards"
"""Where the project's own profiles are."""

_T = TypeVar("_T")
_SECTIONS: dict[str, type[Any]] = {
    "camera": CameraPart, "camera_power": CameraPowerPart, "microphone": MicrophonePart, "indicator": IndicatorPart,
    "button": ButtonPart, "buzzer": BuzzerPart, "haptics": HapticsPart, "battery": BatteryPart, "gnss": GnssPart,
    "accelerometer": AccelerometerPart, "dock": DockPart, "rtc": RtcPart, "gpio": GpioChip, "companion": CompanionPart,
}  # fmt: skip
_OPTIONAL = {"gpio", "companion"}
_REQUIRED_KEYS = {
    "v4l2": ("device",), "pyaudio": ("connection",), "max17048": ("bus", "address"), "lis3dh": ("bus", "address"),
    "nmea": ("port", "baud"), "gpio": ("pin",), "linux": ("device",),
}  # fmt: skip
_OPTIONAL_KEYS = {
    ("indicator", "gpio"): {"sense_pin", "dimmable", "active_high", "sense_active_high"},
    ("indicator", "companion"): {"dimmable"},
    ("indicator", "simulated"): {"dimmable"},
    ("button", "gpio"): {"pull_up"},
    ("rtc", "linux"): {"bus", "address"},
    ("camera", "picamera2"): {"sensor"},
}


def find_board(name: str) -> Board:
    """Load the project's own profile of that name, such as ``zero2w``.

    Raises:
        SettingsError: there is none, or it is wrong.
    """
    names = sorted(path.stem for path in BOARDS.glob("*.toml"))
    if name not in names:
        raise SettingsError(f"board {name!r}: unknown; there are {', '.join(names) or 'none'} in {BOARDS}")
    return load_board(BOARDS / f"{name}.toml")


def load_board(path: Path) -> Board:
    """Read and check a board profile.

    Raises:
        SettingsError: unreadable, not TOML, an unknown or missing key, a value of the wrong type or range, a key that
            the chosen driver has no use for, or two parts at the same place.
    """
    data = _read(path)
    top = {"title", "config_txt"}
    for name in sorted(data.keys() - _SECTIONS.keys() - top):
        raise SettingsError(f"{path}: unknown section {name!r}")
    values: dict[str, Any] = _values(path, "", {key: data[key] for key in top & data.keys()}, Board, top)
    for name, kind in _SECTIONS.items():
        if name in data:
            values[name] = _section(path, name, data[name], kind)
        elif name not in _OPTIONAL:
            raise SettingsError(f"{path}: there is no [{name}]; give its driver")
    board = Board(name=path.stem, **values)
    _check(path, board)
    return board


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read the board profile {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, or a number too long for Python
        raise SettingsError(f"the board profile {path} is not TOML: {error}") from None


def _section(path: Path, name: str, raw: object, kind: type[_T]) -> _T:
    if not isinstance(raw, dict):
        raise SettingsError(f"{path}: {name} is not a section")
    part = kind(**_values(path, f"{name}.", raw, kind, {item.name for item in fields(kind)}))  # type: ignore[arg-type]
    driver = getattr(part, "driver", None)
    if driver is not None:
        required = _REQUIRED_KEYS.get(driver, ())
        for key in required:
            if key not in raw:
                raise SettingsError(f"{path}: [{name}] lacks {key!r}, which the driver {driver!r} needs")
        for key in sorted(raw.keys() - {"driver", *required} - _OPTIONAL_KEYS.get((name, driver), set())):
            raise SettingsError(f"{path}: {name}.{key} means nothing to the driver {driver!r}; leave it out")
    return part


def _values(path: Path, prefix: str, raw: dict[str, Any], kind: type[Any], allowed: set[str]) -> dict[str, Any]:
    """Read the keys of one table; those left out have their defaults."""
    hints = get_type_hints(kind, include_extras=True)
    known = {item.name: item for item in fields(kind) if item.name in allowed}
    for key in sorted(raw.keys() - known.keys()):
        raise SettingsError(f"{path}: unknown key {prefix + key!r}; there are {', '.join(known)}")
    values = {}
    for key, item in known.items():
        if key in raw:
            rule: Rule = hints[key].__metadata__[0]
            try:
                values[key] = rule.read(raw[key])
            except SettingsError as error:
                raise SettingsError(f"{path}: {prefix}{key}: {error}") from None
        elif item.default is MISSING:
            raise SettingsError(f"{path}: {prefix}{key} is missing")
    return values


def _check(path: Path, board: Board) -> None:
    """Hold the parts against one another.

    Raises:
        SettingsError: they cannot all be so.
    """
    if board.gpio.chip is not None and board.gpio.pin_factory != "lgpio":
        raise SettingsError(f"{path}: gpio.chip means nothing to the pin factory {board.gpio.pin_factory!r}")
    if board.indicator.dimmable and not board.indicator.active_high:
        raise SettingsError(f"{path}: indicator.dimmable: a dimmable light is active high; it would flash at start-up")
    if (board.rtc.bus is None) != (board.rtc.address is None):
        raise SettingsError(f"{path}: rtc.bus and rtc.address come together, or not at all")
    owned = [name for name in _SECTIONS if getattr(getattr(board, name), "driver", None) == "companion"]
    if owned and board.companion is None:
        raise SettingsError(f"{path}: there is no [companion], which {', '.join(owned)} need; give its port")
    if board.companion is not None and not {"indicator", "button"} <= set(owned):
        raise SettingsError(f"{path}: [companion]: it owns light and button together, whose drivers say otherwise")
    _check_sensor(path, board)
    for clash in clashes(board):
        raise SettingsError(f"{path}: {clash}")


def _check_sensor(path: Path, board: Board) -> None:
    """A camera without power at boot is found only if profile, firmware and kernel mean the same sensor."""
    sensor = board.camera.sensor
    if sensor is None:
        if board.camera.driver == "picamera2" and board.camera_power.driver == "companion":
            raise SettingsError(f"{path}: [camera] lacks 'sensor': it has no power when the kernel looks for it")
        return
    overlay = f"dtoverlay={sensor}"
    wanted = {"camera_auto_detect=0", overlay}
    given = {overlay if line.startswith(f"{overlay},") else line for line in board.config_txt}
    for line in sorted(wanted - given):
        raise SettingsError(f"{path}: camera.sensor is {sensor!r}, but config_txt lacks {line!r}")
