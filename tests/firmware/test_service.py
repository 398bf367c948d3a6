"""sd_notify(3) over a real socket, and the unit file that goes with it."""

from __future__ import annotations

import configparser
import os
import re
import socket
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware.service import Service, ServiceError

UNIT = Path(__file__).resolve().parents[2] / "hardware" / "systemd" / "getuige.service"


class Manager:
    """The other end of the socket."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address[0] == "@" else address)
        self._socket.settimeout(10)

    def heard(self) -> list[str]:
        return self._socket.recv(4096).decode().split("\n")

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "notify") if request.param == "path" else f"@getuige-test-{uuid.uuid4()}")
    yield made
    made.close()


def test_everything_that_is_told(manager: Manager) -> None:
    with Service.from_environment({"NOTIFY_SOCKET": manager.address}) as service:
        service.ready("standby")
        assert manager.heard() == ["READY=1", "STATUS=standby"]
        service.ready()
        assert manager.heard() == ["READY=1"]
        service.status("recording, 2 min")
        assert manager.heard() == ["STATUS=recording, 2 min"]
        service.alive()
        assert manager.heard() == ["WATCHDOG=1"]
        service.stopping()
        assert manager.heard() == ["STOPPING=1"]
        assert service.lost == 0


def test_a_status_is_one_line_and_no_other_assignment(manager: Manager) -> None:
    with Service(manager.address) as service:
        service.status("fault\nMAINPID=1 " + "é" * 500)
        (line,) = manager.heard()
        assert line.startswith("STATUS=fault MAINPID=1 é")
        assert len(line) == len("STATUS=") + 200
        service.status(" \n ")
        service.alive()
        assert manager.heard() == ["WATCHDOG=1"]


def test_without_systemd_nobody_is_told() -> None:
    for environ in ({}, {"NOTIFY_SOCKET": ""}, {"WATCHDOG_USEC": "5000000"}):
        with Service.from_environment(environ) as service:
            assert service.watchdog_s is None
            assert service.beat_s is None
            service.ready("standby")
            service.alive()
            service.stopping()
            assert service.lost == 0


def test_the_watchdogs_time(tmp_path: Path) -> None:
    base = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "5000000"}
    for environ, expected in (
        (base, 5.0),
        (base | {"WATCHDOG_PID": str(os.getpid())}, 5.0),
        (base | {"WATCHDOG_PID": str(os.getpid() + 1)}, None),
        (base | {"WATCHDOG_USEC": "0"}, None),
        (base | {"WATCHDOG_USEC": ""}, None),
    ):
        with Service.from_environment(environ) as service:
            assert service.watchdog_s == expected
            assert service.beat_s == (None if expected is None else expected / 2)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NOTIFY_SOCKET", "notify"),
        ("NOTIFY_SOCKET", "vsock:2:1234"),
        ("NOTIFY_SOCKET", "/run/\0"),
        ("WATCHDOG_USEC", "soon"),
        ("WATCHDOG_USEC", "-1"),
        ("WATCHDOG_USEC", "²"),
        ("WATCHDOG_USEC", "9" * 5000),
        ("WATCHDOG_PID", "me"),
    ],
)
def test_nonsense_is_one_clear_line(name: str, value: str) -> None:
    with pytest.raises(ServiceError, match=rf"^{name}: [^\n]*unset it$"):
        Service.from_environment({"NOTIFY_SOCKET": "/run/systemd/notify"} | {name: value})


def test_a_manager_that_is_gone_is_counted_and_hurts_nobody(manager: Manager) -> None:
    service = Service(manager.address)
    manager.close()
    service.alive()
    service.alive()
    assert service.lost == 2
    service.close()
    service.close()
    service.alive()
    assert service.lost == 2


def test_an_address_too_long_for_the_kernel_is_counted() -> None:
    with Service("/run/" + "x" * 300) as service:
        service.ready()
        assert service.lost == 1


@pytest.fixture(scope="module")
def unit() -> configparser.ConfigParser:
    # systemd lets a key come more than once; these sections use that for Environment alone.
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",), comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(UNIT.read_text("utf-8"))
    return parser


def test_the_unit_is_supervised(unit: configparser.ConfigParser) -> None:
    service = unit["Service"]
    assert service["Type"] == "notify"
    assert service["NotifyAccess"] == "main"
    assert service["WatchdogSec"] == "5"
    assert service["Restart"] == "always"
    assert service["RestartSec"] == "1"
    assert unit["Unit"]["StartLimitIntervalSec"] == "0", "a device never gives up on itself"
    assert unit["Install"]["WantedBy"] == "multi-user.target"


def test_the_unit_runs_as_an_ordinary_user_with_the_groups_of_its_parts(unit: configparser.ConfigParser) -> None:
    service = unit["Service"]
    assert (service["User"], service["Group"]) == ("getuige", "getuige")
    assert set(service["SupplementaryGroups"].split()) == {"gpio", "video", "audio", "i2c", "dialout", "tss"}
    assert service["NoNewPrivileges"] == "yes"
    assert service["CapabilityBoundingSet"] == ""
    assert service["UMask"] == "0077"


def test_the_unit_names_the_pin_factory_and_the_command(unit: configparser.ConfigParser) -> None:
    text = UNIT.read_text("utf-8")
    environment = dict(re.findall(r"^Environment=(\w+)=(\S+)$", text, re.MULTILINE))
    assert environment["GPIOZERO_PIN_FACTORY"] == "lgpio"
    command = unit["Service"]["ExecStart"]
    assert re.fullmatch(r"/opt/getuige/\.venv/bin/python -m firmware run --settings /etc/getuige/device\.toml", command)
    assert unit["Service"]["WorkingDirectory"] == "/opt/getuige"


def test_the_unit_is_hardened_and_still_reaches_its_devices(unit: configparser.ConfigParser) -> None:
    service = unit["Service"]
    filters = " ".join(re.findall(r"^SystemCallFilter=(.+)$", UNIT.read_text("utf-8"), re.MULTILINE)).split()
    # Without these the device could not tell whether its clock is kept in step.
    assert {"@system-service", "adjtimex", "clock_adjtime"} <= set(filters)
    assert service["ProtectSystem"] == "strict"
    assert set(service["ReadWritePaths"].split()) == {"/var/lib/getuige"}
    assert service["StateDirectory"] == "getuige"
    assert service["StateDirectoryMode"] == "0700"
    # A closed or private /dev would take camera, pins, sound, I2C bus and serial ports away.
    assert "PrivateDevices" not in service
    allowed = {line.split()[0] for line in re.findall(r"^DeviceAllow=(.+)$", UNIT.read_text("utf-8"), re.MULTILINE)}
    assert {
        "char-gpiochip", "char-video4linux", "char-media", "char-alsa", "char-i2c", "char-ttyAMA", "char-ttyS",
        "char-rtc", "char-dma_heap",
    } <= allowed  # fmt: skip


def test_the_clock_chip_is_open_to_the_units_group(unit: configparser.ConfigParser) -> None:
    rules = (UNIT.parents[1] / "udev" / "90-getuige.rules").read_text("utf-8").splitlines()
    (rule,) = [line for line in rules if line.startswith('SUBSYSTEM=="rtc"')]
    assert rule.split(", ") == [
        'SUBSYSTEM=="rtc"', 'KERNEL=="rtc[0-9]*"', f'GROUP="{unit["Service"]["Group"]}"', 'MODE="0440"',
    ]  # fmt: skip


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    # The command and the user are a device's: systemd looks whether the program is there.
    text = UNIT.read_text("utf-8").replace("/opt/getuige/.venv/bin/python", "/bin/true")
    copy = tmp_path / "getuige.service"
    copy.write_text(text, "utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(copy)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_exposes_little() -> None:
    """`systemd-analyze security` gives 0 (nothing) to 10 (everything); above the threshold, in tenths, it fails."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", str(UNIT)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-300:]
