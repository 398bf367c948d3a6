"""The recorder's word for the console: whole, fresh, of this boot, and nothing about people."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.clock.simulated import SimulatedClock
from drivers.companion.lines import Greeting
from drivers.indicator.protocol import LightState
from firmware.appliance import Snapshot
from firmware.cues import Cue
from firmware.inputs import Health
from firmware.recorder import Progress
from firmware.states import State
from firmware.status_file import StatusFile, read_status, status_of

BOOT = bytes(range(16))
S = 1_000_000_000


def test_it_is_read_while_it_is_fresh_and_of_this_boot(tmp_path: Path) -> None:
    clock, path = SimulatedClock(), tmp_path / "status.json"
    status = StatusFile(path, BOOT, clock.monotonic_ns)
    assert read_status(path, BOOT, clock.monotonic_ns()) is None
    status.beat(lambda: {"state": "standby"})
    found = read_status(path, BOOT, clock.monotonic_ns())
    assert found is not None
    assert found["state"] == "standby"
    assert read_status(path, bytes(16), clock.monotonic_ns()) is None
    assert read_status(path, BOOT, clock.monotonic_ns() + 11 * S) is None
    status.beat(lambda: {"state": "too early"})
    clock.advance(2 * S)
    status.beat(lambda: {"state": "beat"})
    found = read_status(path, BOOT, clock.monotonic_ns())
    assert found is not None
    assert found["state"] == "beat"
    status.close()
    status.close()
    assert not list(tmp_path.iterdir())


@given(st.binary(max_size=200))
def test_whatever_stands_there_is_a_word_or_none(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "status.json"
    path.write_bytes(data)
    assert read_status(path, BOOT, 0) is None


def test_a_place_that_takes_nothing_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    status = StatusFile(tmp_path / "none" / "status.json", BOOT, SimulatedClock().monotonic_ns)
    status.write({})
    status.write({})
    assert len(caplog.records) == 1
    (tmp_path / "none").mkdir()
    status.write({})
    status.close()


def test_a_word_that_no_json_has_ends_no_recorder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    status = StatusFile(tmp_path / "status.json", BOOT, SimulatedClock().monotonic_ns)
    status.write({"fault": "\ud800"})
    assert "not Unicode" in caplog.text


def test_the_longest_word_is_read(tmp_path: Path) -> None:
    clock = SimulatedClock()
    status = StatusFile(tmp_path / "status.json", BOOT, clock.monotonic_ns)
    progress = Progress(bytes(16), 2**32, 2**32, b"c" * 32, 1, 2)
    snapshot = Snapshot(
        State.RECORDING_DARK, Cue.OFF, LightState(1, True, True), progress, "\U0001f399" * 999, True, None
    )
    companion = Greeting(1, "x" * 16, "118BBDEA", "power", 430, 0, True, "f" * 64, "01234567")
    status.write(status_of(snapshot, clock.read(), policy_serial=2**62, segment_open=True, companion=companion))
    assert read_status(tmp_path / "status.json", BOOT, clock.monotonic_ns()) is not None


def test_it_says_nothing_about_people() -> None:
    recording = b"r" * 16
    progress = Progress(recording, 7, 3, b"c" * 32, 1, 2)
    health = Health(79.6, False, 50.0, 90)
    clock = SimulatedClock().read()
    snapshot = Snapshot(State.RECORDING, Cue.OFF, LightState(1, True, True), progress, "", False, health, docked=False)
    told = status_of(snapshot, clock, policy_serial=4, segment_open=True)
    assert told["busy"] is True
    assert told["battery_percent"] == 80
    assert recording.hex() not in repr(told)
    busy = {
        state: status_of(
            Snapshot(state, Cue.OFF, LightState(1, False, None), progress, "x" * 999, False, None), clock,
            policy_serial=None, segment_open=False,
        )["busy"]
        for state in State
    }  # fmt: skip
    assert {state for state, it in busy.items() if not it} == {
        State.SELF_TEST, State.UNENROLLED, State.STANDBY, State.DOCKED, State.LOW_POWER, State.FAULT,
    }  # fmt: skip
