"""Board profiles: the project's own are sound, and whatever is wrong in one is one line that names file and key."""

from __future__ import annotations

import tomllib
from collections import defaultdict
from pathlib import Path

import pytest

from drivers.camera.late import LateCamera
from firmware.board import BOARDS, Board, find_board, load_board
from firmware.board_wiring import GROUND, HEADER, POWER_3V3, POWER_5V, wires
from firmware.errors import SettingsError
from firmware.parts import Parts

NAMES = ["pi4", "pi5", "simulated", "zero2w"]
SIMULATED = (BOARDS / "simulated.toml").read_text("utf-8")
PI4 = (BOARDS / "pi4.toml").read_text("utf-8")
ZERO = (BOARDS / "zero2w.toml").read_text("utf-8")


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(text, "utf-8")
    return path


def refused(tmp_path: Path, text: str) -> str:
    path = written(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        load_board(path)
    said = str(caught.value)
    assert "\n" not in said
    assert str(path) in said
    return said


def changed(text: str, old: str, new: str) -> str:
    assert text.count(old) >= 1
    return text.replace(old, new, 1)


def test_these_boards_there_are() -> None:
    assert sorted(path.stem for path in BOARDS.glob("*.toml")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_board_is_named_after_its_file_and_loads(name: str) -> None:
    board = find_board(name)
    assert board.name == name
    assert board.title == tomllib.loads((BOARDS / f"{name}.toml").read_text("utf-8"))["title"]


def test_one_real_board_has_the_companion_and_two_have_not() -> None:
    zero, *others = (find_board(name) for name in ("zero2w", "pi4", "pi5"))
    assert zero.companion is not None
    assert {zero.indicator.driver, zero.button.driver, zero.battery.driver, zero.camera_power.driver} == {"companion"}
    for board in others:
        assert board.companion is None
        assert (board.indicator.driver, board.button.driver) == ("gpio", "gpio")
        assert board.indicator.sense_pin is not None


def test_the_simulated_board_touches_no_hardware() -> None:
    board = find_board("simulated")
    assert board.gpio.pin_factory == "mock"
    assert wires(board) == ()


@pytest.mark.parametrize("name", NAMES)
def test_no_pin_is_used_twice_and_none_belongs_to_a_bus_in_use(name: str) -> None:
    board = find_board(name)
    # Written again here, apart from the loader's own check: what is on a pin by itself, and what the buses take.
    single = [
        pin
        for pin in (
            board.indicator.pin, board.indicator.sense_pin, board.button.pin, board.buzzer.pin, board.haptics.pin,
            board.dock.pin,
        )
        if pin is not None
    ]  # fmt: skip
    taken: set[int] = set()
    if any(part.bus is not None for part in (board.battery, board.accelerometer, board.rtc)):
        taken |= {2, 3}
    if board.gnss.port is not None or board.companion is not None:
        taken |= {14, 15}
    if board.microphone.connection == "i2s":
        taken |= {18, 19, 20, 21}
    assert len(single) == len(set(single))
    assert not taken & set(single)
    assert not {0, 1} & set(single)


@pytest.mark.parametrize("name", NAMES)
def test_every_wire_ends_on_a_pin_that_has_that_use(name: str) -> None:
    users = defaultdict(set)
    for wire in wires(find_board(name)):
        if wire.bcm is not None:
            assert wire.header_pin == HEADER[wire.bcm]
            users[wire.bcm].add(wire.part)
        elif wire.header_pin is not None:
            expected = {"ground": GROUND, "3.3 V": POWER_3V3, "5 V": POWER_5V}[wire.signal]
            assert wire.header_pin in expected
    assert all(len(parts) == 1 for bcm, parts in users.items() if bcm not in (2, 3))


def test_the_header_is_the_one_of_a_pi() -> None:
    assert len({*HEADER.values(), *GROUND, *POWER_3V3, *POWER_5V}) == 40
    # From Raspberry Pi's own drawing: corners, buses, and the pins that this project uses.
    for bcm, pin in {2: 3, 3: 5, 14: 8, 15: 10, 17: 11, 18: 12, 12: 32, 13: 33, 6: 31, 16: 36, 25: 22, 21: 40}.items():
        assert HEADER[bcm] == pin


def test_a_profile_of_ones_own_is_named_after_its_file(tmp_path: Path) -> None:
    assert load_board(written(tmp_path, SIMULATED)).name == "mine"


def test_everything_can_be_set(tmp_path: Path) -> None:
    text = changed(PI4, "dimmable = true", "dimmable = false\nactive_high = false\nsense_active_high = false")
    text = changed(text, "pin = 17", "pin = 5\npull_up = false")
    text = changed(text, 'driver = "picamera2"', 'driver = "v4l2"\ndevice = "/dev/video2"')
    board: Board = load_board(written(tmp_path, text))
    assert (board.indicator.active_high, board.indicator.sense_active_high) == (False, False)
    assert (board.button.pin, board.button.pull_up) == (5, False)
    assert (board.camera.driver, board.camera.device) == ("v4l2", "/dev/video2")
    assert next(wire.note for wire in wires(board) if wire.part == "button").startswith("closes to 3.3 V")


def test_an_unknown_board_is_told_with_those_there_are() -> None:
    with pytest.raises(SettingsError, match=r"board '../pi4': unknown; there are pi4, pi5, simulated, zero2w"):
        find_board("../pi4")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot read the board profile .*none.toml: No such file"):
        load_board(tmp_path / "none.toml")


@pytest.mark.parametrize("data", [b"x = [", b"\xff", b"x = " + b"[" * 5000, b"x = " + b"9" * 5000])
def test_what_is_not_toml(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(data)
    with pytest.raises(SettingsError, match=r"mine.toml is not TOML"):
        load_board(path)


@pytest.mark.parametrize(
    ("text", "old", "new", "said"),
    [
        (PI4, "[gnss]", "[gps]", "unknown section 'gps'"),
        (PI4, "[dock]", "[rtc_]", "unknown section 'rtc_'"),
        (SIMULATED, '[dock]\ndriver = "simulated"\n', "", "there is no [dock]; give its driver"),
        (SIMULATED, 'title = "Simulated device"', "", "title is missing"),
        (SIMULATED, 'title = "Simulated device"', 'title = "a\\nb"', "title: 'a\\nb' is not a line"),
        (PI4, "sense_pin", "sens_pin", "unknown key 'indicator.sens_pin'; there are driver, pin, sense_pin"),
        (PI4, "pin = 12", "pin = 28", "indicator.pin: 28 is not from 2 to 27"),
        (PI4, "pin = 12", "pin = 1", "indicator.pin: 1 is not from 2 to 27"),
        (PI4, "pin = 12", "pin = true", "indicator.pin: True is not a whole number"),
        (PI4, "pin = 12", 'pin = "GPIO12"', "indicator.pin: 'GPIO12' is not a whole number"),
        (PI4, "dimmable = true", "dimmable = 1", "indicator.dimmable: 1 is neither true nor false"),
        (PI4, "dimmable = true", "dimmable = true\nactive_high = false", "indicator.dimmable: a dimmable light"),
        (PI4, "pin = 17", "", "[button] lacks 'pin', which the driver 'gpio' needs"),
        (PI4, "pin = 17", "pin = 12", "BCM 12 is used twice: by indicator (light) and button (contact)"),
        (PI4, "pin = 17", "pin = 26", "BCM 26 is used twice: by indicator (sense) and button (contact)"),
        (PI4, "sense_pin = 26", "sense_pin = 16", "BCM 16 is used twice: by indicator (sense) and microphone"),
        (ZERO, 'sensor = "imx708"', 'sensor = "../x"', "camera.sensor: '../x' is not the name of a driver"),
        (ZERO, 'sensor = "imx708"', "", "[camera] lacks 'sensor': it has no power when the kernel looks for it"),
        (ZERO, 'sensor = "imx708"', 'sensor = "imx219"', "'imx219', but config_txt lacks 'dtoverlay=imx219'"),
        (ZERO, '"camera_auto_detect=0",', "", "'imx708', but config_txt lacks 'camera_auto_detect=0'"),
        (PI4, "pin = 17", "pin = 2", "BCM 2 is used twice"),
        (PI4, "pin = 17", "pin = 15", "BCM 15 is used twice: by button (contact) and gnss (RXD)"),
        (PI4, "pin = 17", "pin = 21", "BCM 21 is used twice"),
        (PI4, "address = 0x18", "address = 0x36", "I2C address 0x36 is used twice: by battery and accelerometer"),
        (PI4, "address = 0x18", "address = 0x78", "accelerometer.address: 120 is not from 8 to 119"),
        (PI4, "bus = 1", "bus = 0", "battery.bus: 0 is not 1, the I2C bus on the header"),
        (PI4, "bus = 1", "bus = true", "battery.bus: True is not 1"),
        (PI4, "baud = 9600", "baud = 300", "gnss.baud: 300 is not from 4800"),
        (PI4, "baud = 9600", "", "[gnss] lacks 'baud'"),
        (PI4, '"/dev/serial0"', '"serial0"', "gnss.port: 'serial0' is not the path of a device"),
        (PI4, '"/dev/serial0"', '"/dev/../etc/passwd"', "is not the path of a device"),
        (PI4, '"/dev/serial0"', '"/dev/a\\u0000"', "is not the path of a device"),
        (PI4, '"/dev/serial0"', '"/dev/rtc0"', "/dev/rtc0 is used twice: by gnss and rtc"),
        (PI4, 'connection = "i2s"', "", "[microphone] lacks 'connection'"),
        (PI4, 'connection = "i2s"', 'connection = "i2c"', "'i2c' is none of i2s, usb"),
        (PI4, 'driver = "lis3dh"', 'driver = "disabled"', "accelerometer.address means nothing to the driver"),
        (PI4, 'driver = "lis3dh"', 'driver = "mpu6050"', "accelerometer.driver: 'mpu6050' is none of lis3dh"),
        (PI4, 'driver = "lis3dh"', "driver = 3", "accelerometer.driver: 3 is none of"),
        (PI4, 'driver = "lis3dh"', "", "accelerometer.driver is missing"),
        (PI4, "address = 0x68", "", "rtc.bus and rtc.address come together"),
        (PI4, 'driver = "always"', 'driver = "companion"', "there is no [companion], which camera_power need"),
        (PI4, "chip = 0", "chip = -1", "gpio.chip: -1 is not from 0"),
        (SIMULATED, 'pin_factory = "mock"', 'pin_factory = "native"', "gpio.pin_factory: 'native' is none of"),
        (SIMULATED, 'pin_factory = "mock"', 'pin_factory = "mock"\nchip = 0', "gpio.chip means nothing"),
        (PI4, "config_txt = [", "config_txt = [7, ", "config_txt: 7 is not a line"),
        (SIMULATED, 'title = "Simulated device"', 'title = "a"\nconfig_txt = "b"', "config_txt: 'b' is not a list"),
        (ZERO, '[button]\ndriver = "companion"', '[button]\ndriver = "gpio"\npin = 5', "it owns light and button"),
        (ZERO, '"/dev/serial0"', "7", "companion.port: 7 is not the path of a device"),
        (ZERO, "pin = 13", "pin = 14", "BCM 14 is used twice: by companion (TXD) and buzzer (drive)"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_that_names_it(tmp_path: Path, text: str, old: str, new: str, said: str) -> None:
    assert said in refused(tmp_path, changed(text, old, new))


def test_a_section_that_is_none(tmp_path: Path) -> None:
    text = "dock = 3\n" + changed(SIMULATED, '[dock]\ndriver = "simulated"\n', "")
    assert "dock is not a section" in refused(tmp_path, text)


def test_two_serial_parts_cannot_share_the_headers_uart(tmp_path: Path) -> None:
    text = changed(ZERO, 'driver = "disabled"', 'driver = "nmea"\nport = "/dev/ttyAMA0"\nbaud = 9600')
    assert "BCM 14 is used twice: by companion (TXD) and gnss (TXD)" in refused(tmp_path, text)
    text = changed(text, "/dev/ttyAMA0", "/dev/ttyACM0")
    board = load_board(written(tmp_path, text))
    assert [wire.signal for wire in wires(board) if wire.part == "gnss"] == ["USB"]


def test_another_sensor_with_what_its_overlay_is_told(tmp_path: Path) -> None:
    text = changed(changed(ZERO, 'sensor = "imx708"', 'sensor = "imx219"'), "=imx708", "=imx219,rotation=0")
    assert load_board(written(tmp_path, text)).camera.sensor == "imx219"


@pytest.mark.parametrize(("board", "late"), [("zero2w", True), ("pi4", False)])
def test_a_camera_without_power_at_boot_has_its_sensor_bound(board: str, late: bool) -> None:
    with Parts(find_board(board)) as parts, parts.camera() as camera:
        assert isinstance(camera, LateCamera) is late
        assert camera.name == "picamera2"
