"""The device's command line, as a process: exit status, one line for what is wrong, a chain that ends in good order."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from station.keys import load_station_key
from storage.inventory import SEGMENTS
from storage.keyfiles import device_id, load_device_key
from storage.policy import sign_policy
from storage.signer_tpm import TpmSigner
from tests.firmware.device import SETTINGS, Held, Kit, python
from tests.firmware.policies import UNIT, policy_text
from tests.storage.swtpm import running


def one_line(done_stderr: str) -> str:
    assert "Traceback" not in done_stderr
    assert done_stderr.endswith("\n")
    (line,) = done_stderr.splitlines()
    assert line.startswith("firmware: ")
    return line


def test_enrolling_twice_is_refused(tmp_path: Path) -> None:
    kit = Kit.make(tmp_path)
    before = kit.secrets()
    done = python("firmware", *kit.enrolment)
    assert done.returncode == 2
    assert "enrolled already" in one_line(done.stderr)
    assert kit.secrets() == before


def test_an_identity_in_a_tpm(tmp_path: Path) -> None:
    """A device whose state was lost gets another identity: one identity has one chain."""
    kit = Kit.make(tmp_path)
    shutil.rmtree(tmp_path / "state")
    done = python("firmware", *kit.enrolment, "--identity", "tpm:0x81100001?tcti=device:/dev/none")
    assert done.returncode == 2
    assert "no TPM answers there" in one_line(done.stderr)
    assert not (tmp_path / "state" / "keyring").exists()
    found = set()
    with running(tmp_path / "tpm") as tpm:
        for _ in range(2):
            done = python("firmware", *kit.enrolment, "--identity", tpm.uri)
            assert (done.returncode, done.stderr) == (0, "")
            identity = load_device_key(tmp_path / "state" / "device.pub")
            assert device_id(identity).hex() in done.stdout
            assert TpmSigner.find(tpm.place).public == identity
            found.add(identity)
            shutil.rmtree(tmp_path / "state")
    assert [len(identity) for identity in found] == [33, 33]


@pytest.mark.parametrize("command", ["enrol --unit u --policy p", "policy p", "run", "simulate", "check-board"])
def test_settings_that_are_not_there(tmp_path: Path, command: str) -> None:
    done = python("firmware", *command.split(), "--settings", str(tmp_path / "none.toml"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "none.toml" in one_line(done.stderr)


@pytest.mark.parametrize("wrong", ["garbage", "board", "camera", "recipient"])
def test_what_cannot_be_run(tmp_path: Path, wrong: str) -> None:
    kit = Kit.make(tmp_path)
    if wrong == "garbage":
        kit.settings.write_text("\x00\x01\x02")
    elif wrong == "camera":
        kit.change_board("camera", "pinhole")
    else:
        text = kit.settings.read_text()
        kit.settings.write_text(text.replace("board.toml", "pi3") if wrong == "board" else text + "recipients = 1")
    done = python("firmware", "run", "--settings", str(kit.settings))
    assert (done.returncode, done.stdout) == (2, "")
    named = {"garbage": "not TOML", "board": "'pi3'", "camera": "'pinhole'", "recipient": "'recipients'"}[wrong]
    assert named in one_line(done.stderr)


@pytest.mark.parametrize("missing", ["keyring", "policy.toml", "unit.pub"])
def test_a_device_without_a_unit_says_so_and_records_nothing(tmp_path: Path, missing: str) -> None:
    kit = Kit.make(tmp_path)
    (tmp_path / "state" / missing).unlink()
    with Held("simulate", "--settings", str(kit.settings)) as device:
        device.until("unenrolled")
        device.key(b"ppq")
        assert device.end() == 0
    assert not kit.flash.exists()


def test_enrolment_that_cannot_be_leaves_nothing_half_done(tmp_path: Path) -> None:
    kit = Kit.make(tmp_path)
    shutil.rmtree(tmp_path / "state")
    good = kit.policy.read_bytes()
    kit.policy.write_bytes(good.replace(b"serial = 1", b"serial = 2"))
    done = python("firmware", *kit.enrolment)
    assert done.returncode == 2
    assert "not signed by this unit" in one_line(done.stderr)
    assert not (tmp_path / "state").exists()
    kit.policy.unlink()
    assert "cannot read the policy" in one_line(python("firmware", *kit.enrolment).stderr)
    kit.policy.write_bytes(good)
    assert python("firmware", *kit.enrolment).returncode == 0


def test_a_newer_policy_replaces_the_older_and_never_the_reverse(tmp_path: Path) -> None:
    kit = Kit.make(tmp_path)
    recipient = load_station_key(kit.station_key).recipient
    newer = tmp_path / "newer.toml"
    newer.write_bytes(sign_policy(policy_text([recipient], serial="7"), UNIT))
    done = python("firmware", "policy", str(newer), "--settings", str(kit.settings))
    assert (done.returncode, done.stderr) == (0, "")
    assert "Policy 7" in done.stdout
    done = python("firmware", "policy", str(kit.policy), "--settings", str(kit.settings))
    assert done.returncode == 2
    assert "older than serial 7" in one_line(done.stderr)


def test_the_board_is_checked_part_by_part(tmp_path: Path) -> None:
    kit = Kit.make(tmp_path)
    kit.change_board("camera", "disabled")
    done = python("firmware", "check-board", "--settings", str(kit.settings))
    assert done.returncode == 1  # nobody presses the button, and the camera is none
    assert "light" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


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


def test_the_simulated_board_passes_its_check(tmp_path: Path) -> None:
    kit = Kit.make(tmp_path)
    done = python("firmware", "check-board", "--settings", str(kit.settings))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("all parts that this board has work\n")
    assert done.stdout.count("a simulation plays what a person or the sky would do") == 3
    assert "FAILED" not in done.stdout
