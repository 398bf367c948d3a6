"""A recorder, a console and a technician's computer, each a process of its own, at a pseudo-terminal."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from drivers.clock.system import SystemClock
from station.cli import app
from station.errors import StationError
from station.keys import load_station_key
from station.technicians import issue_credential
from tests.firmware.console.cable import Cable
from tests.firmware.console.desk import ISSUED_S
from tests.firmware.console.manager import Manager
from tests.firmware.device import PATIENCE_S, ROOT, Held, Kit, python
from tests.firmware.kit import read_store
from tests.firmware.policies import UNIT

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    made = Kit.make(tmp_path / "device")
    with made.settings.open("a", encoding="utf-8") as file:
        file.write('\n[console]\nstatus = "status.json"\nsystem = "systemd"\n')
    (tmp_path / "station").mkdir()
    issue_credential(tmp_path / "station", UNIT, "Jan", 825, tmp_path / "jan.key", b"", ISSUED_S)
    return made


@contextmanager
def console(kit: Kit, port: str, env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "firmware", "console", "--settings", str(kit.settings), "--port", port],
        cwd=ROOT, env=env, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0


def ask(kit: Kit, cable: Cable, *arguments: str) -> tuple[int, str]:
    key = kit.base.parent / "jan.key"
    done = CliRunner().invoke(app, ["console", "--port", cable.station, "--key", str(key), *arguments])
    if isinstance(done.exception, StationError):
        return done.exception.exit_status, str(done.exception)
    assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
    return done.exit_code, done.output


def acts(kit: Kit) -> list[dict[str, Any]]:
    station = load_station_key(kit.station_key)
    return [
        dict(event.details)
        for segment in read_store(kit.flash, station)
        for event in segment.events
        if event.name == "technician"
    ]


def test_a_technician_looks_checks_and_switches_off(kit: Kit, tmp_path: Path) -> None:
    with Manager(tmp_path, kit.settings) as manager, Cable() as cable, console(kit, cable.device, manager.env):
        manager.start()
        manager.until_said("standby")
        key = str(tmp_path / "jan.key")
        done = python("station", "console", "--port", cable.station, "--key", key, "status", "--json")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert (found["recorder"]["state"], found["chain"]["kind"], found["chain"]["closed"]) == (
            "standby", "journal", False,
        )  # fmt: skip
        status, text = ask(kit, cable, "check-board", "--wait", "5", "--watch", "1")
        assert (status, text.splitlines()[-1]) == (0, "all of it works"), text
        assert "button: pressed for" in text
        assert "light lit | button" in text
        assert "52.09" not in text
        manager.until_said("standby", 3)  # once at its start, and once more when it shows it, each time
        status, text = ask(kit, cable, "set-clock")
        if SystemClock().read().synchronised:
            assert (status, "in step by itself" in text) == (1, True)
        else:
            assert status == 0, text
            assert "SetTime" in manager.asked[-1]
        status, text = ask(kit, cable, "journal")
        assert status == 0
        assert "segment 1  journal" in text
        assert "getuige.service  getuige: standby" in text
        assert ask(kit, cable, "shut-down") == (0, "the device switches itself off\n")
        assert manager.asked[-1][-3:] == ["PowerOff", "b", "false"]
        manager.stop()
    found_acts = acts(kit)
    # What came just before the end is taken by the next run.
    left = [json.loads(path.read_bytes()) for path in (kit.base / "state" / "technician").iterdir()]
    assert {act["who"] for act in [*found_acts, *left]} == {"Jan"}
    assert {act["act"] for act in found_acts} >= {"status", "check-board"}
    assert {act["act"] for act in [*found_acts, *left]} >= {"clock", "journal", "shut-down"}
    assert kit.verify()[0] == 0
    assert not (kit.base / "status.json").exists()


def test_a_recording_is_not_ended_over_a_cable(kit: Kit, tmp_path: Path) -> None:
    with Manager(tmp_path, kit.settings) as manager, Cable() as cable, console(kit, cable.device, manager.env):
        with Held("simulate", "--settings", str(kit.settings)) as held:
            held.until("standby")
            held.key(b" ")
            held.until("recording")
            for act in ("shut-down", "restart-recorder", "self-test", "check-board"):
                status, text = ask(kit, cable, act)
                assert (status, "it records" in text) == (1, True), text
            status, text = ask(kit, cable, "prove", "--device-key", str(kit.base / "state" / "device.pub"))
            assert (status, text.startswith("it holds signing keys that ")) == (0, True), text
            held.key(b"h")
            held.until("standby", 2)
            held.key(b"q")
            held.end()
        assert not manager.asked
    assert [act["act"] for act in acts(kit)] == ["shut-down", "restart-recorder", "self-test", "check-board", "prove"]
    assert kit.verify()[0] == 0


def test_a_console_that_is_killed_in_a_check_starts_the_recorder_when_it_is_back(kit: Kit, tmp_path: Path) -> None:
    with Manager(tmp_path, kit.settings) as manager, Cable() as cable:
        manager.start()
        manager.until_said("standby")
        with console(kit, cable.device, manager.env) as process:
            key = tmp_path / "jan.key"
            asking = subprocess.Popen(
                [sys.executable, "-m", "station", "console", "--port", cable.station, "--key", str(key), "self-test"],
                cwd=ROOT, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            assert asking.stdout is not None
            assert "the recorder is stopped" in asking.stdout.readline()
            process.kill()
            process.wait(PATIENCE_S)
            asking.kill()
            asking.communicate()
            with console(kit, cable.device, manager.env):
                manager.until_said("standby", 3)
            process.returncode = 0  # the first one did not end as told
    assert [words[-2] for words in manager.asked] == ["stop", "start"]
