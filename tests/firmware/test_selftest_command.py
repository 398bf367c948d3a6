"""``self-test``, as a technician's script runs it."""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path

import pytest

from drivers.companion.link import CompanionLink
from firmware.cli import main
from firmware.selftest import Finding, passed
from firmware.selftest_command import run_checks
from tests.firmware.device import Kit, python

NAMES = ["light", "button", "keys", "policy", "clock", "battery", "flash", "microphone", "camera"]


@pytest.fixture(scope="module")
def enrolled(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    return Kit.make(tmp_path_factory.mktemp("device") / "kit")


def state_of(kit: Kit) -> dict[str, str]:
    files = [path for path in kit.base.rglob("*") if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_every_check_is_told_and_nothing_is_recorded(enrolled: Kit) -> None:
    before = state_of(enrolled)
    done = python("firmware", "self-test", "--settings", str(enrolled.settings))
    assert (done.returncode, done.stderr) == (0, "")
    *lines, last = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [["ok", f"{name}:"] for name in NAMES]
    assert last == "self-test passed"
    assert state_of(enrolled) == before


def test_programs_get_json(enrolled: Kit, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["self-test", "--json", "--settings", str(enrolled.settings)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["passed"] is True
    assert [check["name"] for check in told["checks"]] == NAMES
    assert {check["outcome"] for check in told["checks"]} == {"passed"}
    assert all(isinstance(check["duration_ms"], int) and check["text"] for check in told["checks"])


def test_a_part_that_is_missing_is_no_failure_and_a_broken_one_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kit = Kit.make(tmp_path / "kit")
    kit.change_board("microphone", "disabled")
    kit.change_board("camera", "disabled")
    assert main(["self-test", "--settings", str(kit.settings)]) == 1
    out = capsys.readouterr().out
    assert "absent microphone: the board has no microphone\n" in out
    assert "FAILED camera: " in out
    assert out.endswith("self-test failed: camera\n")


@pytest.mark.parametrize(("missing", "check"), [("keyring", "keys"), ("policy.toml", "policy"), ("unit.pub", "policy")])
def test_a_device_without_a_unit_is_tested_as_far_as_it_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], missing: str, check: str
) -> None:
    kit = Kit.make(tmp_path / "kit")
    (kit.base / "state" / missing).unlink()
    capsys.readouterr()
    assert main(["self-test", "--json", "--settings", str(kit.settings)]) == 1
    told = json.loads(capsys.readouterr().out)
    failed = [item["name"] for item in told["checks"] if item["outcome"] == "failed"]
    assert failed == [check]
    assert len(told["checks"]) == len(NAMES) - 1


def test_a_key_that_is_gone_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kit = Kit.make(tmp_path / "kit")
    segments = kit.flash / "segments"
    segments.mkdir(parents=True, exist_ok=True)
    (segments / "0000000500.seg").write_bytes(b"")
    assert main(["self-test", "--settings", str(kit.settings)]) == 1
    assert "FAILED keys: the signing key of segment 501 is not in the keyring" in capsys.readouterr().out


class Waiting:
    """A check that ends when the companion has been refreshed three times."""

    name = "waiting"
    limit_s = 20.0

    def __init__(self) -> None:
        self.refreshed = threading.Semaphore(0)

    def run(self, patience: object) -> Finding:
        for _ in range(3):
            assert self.refreshed.acquire(timeout=10)
        return passed("it was kept awake")

    def abandon(self) -> None:
        pass


def test_the_companion_is_kept_awake_meanwhile() -> None:
    check = Waiting()

    class Link(CompanionLink):
        def __init__(self) -> None:
            pass

        def refresh(self) -> None:
            check.refreshed.release()

    told: list[str] = []
    report = run_checks([check], lambda result: told.append(result.text), Link())
    assert report.passed
    assert told == ["it was kept awake"]
