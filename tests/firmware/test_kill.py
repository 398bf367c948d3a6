"""The battery is pulled while recording: what was recorded until a second before opens, plays and verifies."""

from __future__ import annotations

import random
import subprocess
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from station.keys import load_station_key
from tests.firmware.device import Held, Kit, python
from tests.firmware.kit import read_store

_KILLS = 3


def until_s(recording: dict[str, Any]) -> float:
    return datetime.fromisoformat(recording["sound_until"]).timestamp()


def record_and_kill(kit: Kit, wait_s: float) -> float:
    """Record, and be killed so long after the first durable chunk; return when, by the wall clock."""
    with Held("simulate", "--settings", str(kit.settings)) as device:
        device.until("standby")
        before = len(kit.segments())
        device.key(b"p")
        device.until("recording")
        kit.await_media(after=before)
        time.sleep(wait_s)  # the battery asks nobody
        return device.kill()


def plays(path: Path) -> None:
    for command in (
        ["ffmpeg", "-v", "error", "-xerror", "-i", str(path), "-f", "null", "-"],
        ["ffprobe", "-v", "error", str(path)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr


def test_killed_while_recording_again_and_again(tmp_path: Path) -> None:
    kit = Kit.make(tmp_path)
    chance = random.Random(20)
    for number in range(1, _KILLS + 1):
        killed_s = record_and_kill(kit, chance.uniform(0.05, 1.2))
        status, report = kit.verify()
        assert (status, report["verdict"]) == (3, "authentic with missing parts")
        assert len(report["recordings"]) == number
        cut = report["recordings"][-1]
        assert cut["end_reason"] is None
        lost_s = killed_s - until_s(cut)
        assert -0.01 <= lost_s <= 1.0, f"{lost_s:.2f} s lost"
        output = tmp_path / f"cut{number}.mp4"
        export = (
            "station", "export", str(kit.flash), "--key", str(kit.station_key), "--recording", cut["id"],
            "--device-key", str(tmp_path / "state" / "device.pub"), "--output", str(output),
        )  # fmt: skip
        assert python(*export).returncode == 2, "what is cut is not exported unasked"
        done = python(*export, "--sound-prefix-only")
        assert done.returncode == 0, done.stderr
        plays(output)

    with Held("simulate", "--settings", str(kit.settings)) as device:
        device.until("standby")
        before = len(kit.segments())
        device.key(b"p")
        kit.await_media(after=before)
        device.key(b"q")
        assert device.end() == 0
    status, report = kit.verify()
    assert (status, report["verdict"]) == (3, "authentic with missing parts")
    assert [item["verdict"] for item in report["recordings"]] == ["authentic with missing parts"] * _KILLS + [
        "authentic"
    ]
    boots = [
        event
        for segment in read_store(kit.flash, load_station_key(kit.station_key))
        for event in segment.events
        if event.name == "boot"
    ]
    assert [event.details["last_run"] for event in boots] == ["new"] + ["cut"] * _KILLS
    assert [event.details["cut_recording"] for event in boots] == [
        None, *(item["id"] for item in report["recordings"][:_KILLS]),
    ]  # fmt: skip
