"""A real recorder, killed at random instants: whatever it reported as durable is there, sound, and opens."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from station.export import choose_recording, export_recording
from station.keys import StationKey
from station.opener import FileKeyOpener
from storage.keyfiles import encode_recipient
from storage.segment_report import Status, verify_segment
from storage.verdict import Verdict
from storage.verify import verify
from tests.storage.kit import INIT, Device, media_bytes
from tests.storage.relentless import CHUNKS, SIZE

KILLS = 12


def record_until_killed(device: Device, recording: bytes, chunks: int) -> list[tuple[int, int]]:
    """Kill the recorder when it has reported so many chunks; return all that it reported, as (segment, chunk)."""
    script = [sys.executable, "-m", "tests.storage.relentless", str(device.base), str(device.base / "station.pub")]
    with subprocess.Popen([*script, recording.hex()], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(chunks)]
        process.kill()
        lines += process.stdout.readlines()
        assert process.wait(30) == -9
    return [(int(line.split()[0]), int(line.split()[1])) for line in lines if line.endswith(b"\n")]


@pytest.mark.timeout(120)
def test_killed_again_and_again(tmp_path: Path) -> None:
    device = Device(tmp_path / "device", StationKey.generate(hybrid=False))
    (device.base / "station.pub").write_bytes(encode_recipient(device.station.recipient))
    chance = random.Random(7)
    told_before = 0
    for kill in range(1, KILLS + 1):
        recording = bytes([kill]) * 16
        told = record_until_killed(device, recording, chance.randrange(2, 60))
        assert told[0][0] > told_before
        assert told == sorted(set(told))
        told_before = told[-1][0]
        check_as_it_lies(device, told)
        with device.open() as store:
            assert store.recovery.how in ("cut", "rotation")
            assert store.recovery.previous.segment >= told_before
        check_as_it_lies(device, told)
        report = verify(device.flash, device.identity, keep_chunks=True)
        assert report.missing_segments == ()
        assert {item.status for item in report.segments} <= {Status.CLOSED, Status.CUT}
        chosen = choose_recording(report, recording.hex())
        output = tmp_path / "out.mp4"
        made = export_recording(chosen, FileKeyOpener(device.station), output, sound_prefix_only=True)
        assert made.chunks >= sum(0 < chunk <= CHUNKS for _, chunk in told)
        bodies = [media_bytes(index // CHUNKS, index % CHUNKS, SIZE) for index in range(made.chunks)]
        assert output.read_bytes() == INIT + b"".join(bodies)


def check_as_it_lies(device: Device, told: list[tuple[int, int]]) -> None:
    """The flash verifies, nothing of it is broken, and all that was told is sound."""
    assert verify(device.flash, device.identity).verdict is Verdict.MISSING_PARTS
    for number in {segment for segment, _ in told}:
        report = verify_segment(device.flash / "segments" / f"{number:010d}.seg", device.identity)
        assert report.sound_chunks > max(chunk for segment, chunk in told if segment == number)
