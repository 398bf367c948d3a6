"""A device that is killed while it records: what the policy says about going on holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from station.keys import load_station_key
from tests.firmware.device import Held, Kit
from tests.firmware.kit import read_store


@pytest.mark.parametrize("resume", [False, True])
def test_a_recording_cut_by_a_restart(tmp_path: Path, resume: bool) -> None:
    kit = Kit.make(tmp_path, resume_after_reboot=str(resume).lower())
    with Held("simulate", "--settings", str(kit.settings)) as device:
        device.until("standby")
        device.key(b"p")
        kit.await_media(after=1, chunks=2)
        device.process.kill()
        device.process.wait(30)
    with Held("simulate", "--settings", str(kit.settings)) as device:
        if resume:
            device.until("announcing")
            device.until("recording")
            kit.await_media(after=3)
        else:
            device.until("standby")
        device.key(b"q")
        assert device.end() == 0
    status, report = kit.verify()
    assert (status, report["verdict"]) == (3, "authentic with missing parts")
    first, *others = report["recordings"]
    assert len(others) == resume
    events = [event for item in read_store(kit.flash, load_station_key(kit.station_key)) for event in item.events]
    resumed = [event.details["recording"] for event in events if event.name == "resumed"]
    assert resumed == ([first["id"]] if resume else [])
    boots = [event.details["last_run"] for event in events if event.name == "boot"]
    assert boots == ["new", "cut"]
    for other in others:
        assert other["verdict"] == "authentic"
        assert other["indicator"]["coverage"] == 1.0
