"""The companion's update over the cable: recorder, console and station as processes, and a real MicroPython."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from drivers.companion_program.bundle import make_program
from station.keys import load_station_key
from station.technicians import issue_credential
from tests.companion.flash import carried
from tests.companion.workbench import CAMERA_PIN, Bench
from tests.firmware.console.cable import Cable
from tests.firmware.console.desk import ISSUED_S
from tests.firmware.console.manager import Manager
from tests.firmware.console.test_end_to_end import ask, console
from tests.firmware.device import ROOT, Kit
from tests.firmware.kit import read_store
from tests.firmware.policies import UNIT

pytestmark = pytest.mark.timeout(120)


def older_bench(folder: Path) -> Bench:
    """A controller with the release before, whose other folder has most of this one already."""
    files = dict(carried().files)
    files["session.py"] = files["session.py"].replace(f'"{carried().version}"'.encode(), b'"1.0.99"')
    older = make_program(files)
    bench = Bench(folder, config=["UPDATE_HOLD_MS = 300"])
    put = {f"a/{name}": data for name, data in older.files.items() if data != carried().files[name]}
    bench.flash.put(
        put | {"a/manifest": older.manifest} | {f"b/{name}": data for name, data in carried().files.items()}
    )
    return bench


def test_a_device_in_the_field_gets_its_companions_program(tmp_path: Path) -> None:
    kit = Kit.make(tmp_path / "device")
    with kit.settings.open("a", encoding="utf-8") as file:
        file.write('\n[console]\nstatus = "status.json"\nsystem = "systemd"\n')
    (tmp_path / "station").mkdir()
    issue_credential(tmp_path / "station", UNIT, "Jan", 825, tmp_path / "jan.key", b"", ISSUED_S)
    (tmp_path / "bench").mkdir()
    with older_bench(tmp_path / "bench") as bench:
        bench.watch()
        kit.put_companion(os.path.realpath(bench.port))
        with Manager(tmp_path, kit.settings) as manager, Cable() as cable, console(kit, cable.device, manager.env):
            manager.start()
            manager.until_said("standby")
            status, text = ask(kit, cable, "status")
            assert (status, f"and NOT {carried().digest[:12]}" in text) == (1, True), text
            key = str(tmp_path / "jan.key")
            with subprocess.Popen(
                [sys.executable, "-m", "station", "console", "--port", cable.station, "--key", key, "update-companion"],
                cwd=ROOT, stdout=subprocess.PIPE, text=True,
            ) as process:  # fmt: skip
                assert process.stdout is not None
                lines = []
                for line in process.stdout:
                    lines.append(line.rstrip("\n"))
                    if line.startswith("hold the record button"):
                        bench.press()
                    elif line.strip() == "0 %":
                        bench.release()
            assert process.returncode == 0, lines
            assert lines[0] == "the recorder is stopped"
            assert lines[1].startswith("it runs 1.0.99 (")
            assert lines[-1] == "as the device's firmware carries it"
            manager.until_said("standby", 3)
            found = json.loads(ask(kit, cable, "status", "--json")[1])
            assert found["companion"]["as_carried"] is True
            assert found["recorder"]["state"] == "standby", "the button that was held starts no recording"
    assert [words[-2] for words in manager.asked] == ["stop", "start"]
    events = [event for segment in read_store(kit.flash, load_station_key(kit.station_key)) for event in segment.events]
    programs = [event.details["version"] for event in events if event.name == "companion-program"]
    assert programs == ["1.0.99", carried().version]
    assert "update-companion" in [event.details["act"] for event in events if event.name == "technician"]
    assert not any(event.value for event in bench.pin_events if event.pin == CAMERA_PIN)
