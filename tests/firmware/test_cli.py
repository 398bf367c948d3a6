"""The device's command line, as a process: exit status, one line for what is wrong, a chain that ends in good order."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from storage.inventory import SEGMENTS
from tests.firmware.device import SETTINGS, Held, Kit, python


def one_line(done_stderr: str) -> str:
    assert "Traceback" not in done_stderr
    assert done_stderr.endswith("\n")
    (line,) = done_stderr.splitlines()
    assert line.startswith("firmware: ")
    return line


def test_enrolling_twice_is_refused(tmp_path: Path) -> None:
    kit = Kit.make(tmp_path)
    before = kit.secrets()
    done = python("firmware", "enrol", "--settings", str(kit.settings))
    assert done.returncode == 2
    assert "enrolled already" in one_line(done.stderr)
    assert kit.secrets() == before


@pytest.mark.parametrize("command", ["enrol", "run", "simulate"])
def test_settings_that_are_not_there(tmp_path: Path, command: str) -> None:
    done = python("firmware", command, "--settings", str(tmp_path / "none.toml"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "none.toml" in one_line(done.stderr)


@pytest.mark.parametrize("wrong", ["garbage", "profile", "camera", "recipient", "not enrolled", "sealed to nobody"])
def test_what_cannot_be_run(tmp_path: Path, wrong: str) -> None:
    kit = Kit.make(tmp_path)
    text = kit.settings.read_text()
    changed = {
        "garbage": "\x00\x01\x02",
        "profile": text.replace("480p30", "8k"),
        "camera": text.replace('camera = "synthetic"', 'camera = "pinhole"'),
        "recipient": text.replace("station.pub", "device.toml"),
        "not enrolled": text.replace('"state"', '"elsewhere"'),
        "sealed to nobody": text.replace('["station.pub"]', "[]"),
    }[wrong]
    kit.settings.write_text(changed)
    done = python("firmware", "run", "--settings", str(kit.settings))
    assert (done.returncode, done.stdout) == (2, "")
    line = one_line(done.stderr)
    assert {
        "garbage": "not TOML",
        "profile": "'8k'",
        "camera": "'pinhole'",
        "recipient": "not a PEM key file",
        "not enrolled": "enrol",
        "sealed to nobody": "no recipient",
    }[wrong] in line


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_ends_in_good_order_when_told_to(tmp_path: Path, number: signal.Signals) -> None:
    kit = Kit.make(tmp_path)
    with Held("run", "--settings", str(kit.settings)) as device:
        device.until("standby")
        device.process.send_signal(number)
        assert device.end() == 0
        assert "Traceback" not in device.output
        assert "getuige: off" in device.lines
        output = device.output
    status, report = kit.verify()
    assert (status, report["verdict"]) == (0, "authentic")
    assert [item["reason"] for item in report["segments"]] == ["power-off"]
    assert not [secret for secret in kit.secrets() if secret in output]


def test_a_second_device_on_the_same_store_is_refused(tmp_path: Path) -> None:
    kit = Kit.make(tmp_path)
    with Held("run", "--settings", str(kit.settings)) as device:
        device.until("standby")
        done = python("firmware", "run", "--settings", str(kit.settings))
        assert done.returncode == 2
        assert "in use by another recorder" in one_line(done.stderr)
        device.process.send_signal(signal.SIGTERM)
        assert device.end() == 0
    assert kit.verify()[0] == 0


def test_a_damaged_keyring_is_one_line_without_a_secret(tmp_path: Path) -> None:
    kit = Kit.make(tmp_path)
    secrets = kit.secrets()
    keyring = tmp_path / "state" / "keyring"
    keyring.write_bytes(keyring.read_bytes()[:-1])
    done = python("firmware", "run", "--settings", str(kit.settings))
    assert done.returncode == 2
    assert "damaged" in one_line(done.stderr)
    assert not [secret for secret in secrets if secret in done.stderr]


def test_a_flash_that_contradicts_the_keyring_is_refused(tmp_path: Path) -> None:
    kit = Kit.make(tmp_path)
    with Held("run", "--settings", str(kit.settings)) as device:
        device.until("standby")
        device.process.send_signal(signal.SIGTERM)
        assert device.end() == 0
    for path in (kit.flash / SEGMENTS).iterdir():
        path.unlink()
    done = python("firmware", "run", "--settings", str(kit.settings))
    assert done.returncode == 2
    assert "take the device in" in one_line(done.stderr)


def test_the_settings_of_these_tests_are_as_documented() -> None:
    documented = (Path(__file__).parents[2] / "docs" / "SETTINGS.md").read_text("utf-8")
    for line in SETTINGS.splitlines():
        if "=" in line:
            assert f"`{line.split(' = ')[0]}`" in documented
