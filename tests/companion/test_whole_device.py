"""A whole device on the companion: its light, button, camera power and battery, from the press to the chain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from drivers.companion.conversation import Counters
from firmware.board_parts import Board
from firmware.cues import Cue, Note
from firmware.line_counts import LineCounts
from firmware.states import State
from tests.companion.flash import carried
from tests.companion.workbench import CAMERA_PIN, LIGHT_PIN, Bench
from tests.firmware.device import Kit
from tests.firmware.test_bad_input import Life


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    folder = tmp_path / "bench"
    folder.mkdir()
    with Bench(folder) as made:
        yield made


def life_on(bench: Bench, tmp_path: Path, **policy: str) -> Life:
    kit = Kit.make(tmp_path / "device", **policy)
    kit.put_companion()

    def with_port(board: Board) -> Board:
        assert board.companion is not None
        return replace(board, companion=replace(board.companion, port=bench.port))

    return Life(kit, with_port)


def press(bench: Bench, life: Life, then: State) -> None:
    bench.press()
    life.until(lambda: life.state is then)
    bench.release()


def never_dark_with_power(bench: Bench) -> bool:
    """Whether the camera never had power while the light had none, but for the moment it takes to notice."""
    power = light = 0
    dark_since_ns = 0
    for event in sorted(bench.pin_events, key=lambda item: item.time_ns):
        if event.pin == LIGHT_PIN:
            light = event.value
            dark_since_ns = event.time_ns
        if event.pin == CAMERA_PIN:
            power = event.value
        if power and not light and event.time_ns - dark_since_ns > 500_000_000:
            return False
    return True


def test_from_the_press_to_the_chain(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    life = life_on(bench, tmp_path)
    with life.lived(monkeypatch):
        life.until(lambda: life.state is State.STANDBY)
        assert not bench.camera, "in standby the camera has no power"
        press(bench, life, State.RECORDING)
        assert bench.camera
        assert bench.duty > 0
        life.kit.await_media(after=1, chunks=4)
        bench.press()
        life.until(lambda: life.state is State.CLOSING)
        bench.release()
        life.until(lambda: life.state is State.STANDBY)
        bench.until(lambda: not bench.camera)
    assert life.fault == ""
    assert never_dark_with_power(bench)
    status, report = life.verified()
    assert (status, report["verdict"]) == (0, "authentic")
    (program,) = life.events("companion-program")
    assert (program.details["version"], program.details["digest"]) == (carried().version, carried().digest)
    assert program.details["carried"] == carried().digest
    (recording,) = report["recordings"]
    assert recording["end_reason"] == "stop"
    assert recording["indicator"]["sensed_lit_chunks"] == recording["chunks"] > 0


def test_a_lamp_torn_off_while_recording(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    life = life_on(bench, tmp_path)
    with life.lived(monkeypatch):
        life.until(lambda: life.state is State.STANDBY)
        press(bench, life, State.RECORDING)
        life.kit.await_media(after=1, chunks=2)
        bench.lamp(0)
        bench.until(lambda: not bench.camera)
        life.until(lambda: life.state is State.FAULT)
    assert "the recording light is dark" in life.fault
    assert life.cues[-2] is Cue.FAULT
    (recording,) = life.verified()[1]["recordings"]
    assert recording["end_reason"] == "light"


def test_a_line_that_is_unplugged_and_back(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The controller falls to its safe state by itself, nothing is kept in the dark, and it can be used again."""
    life = life_on(bench, tmp_path)
    with life.lived(monkeypatch):
        life.until(lambda: life.state is State.STANDBY)
        press(bench, life, State.RECORDING)
        life.kit.await_media(after=1, chunks=2)
        bench.unplug()
        bench.until(lambda: not bench.camera)
        life.until(lambda: life.state is State.FAULT)
        bench.replug()
        bench.until(lambda: bench.said("ok"))
        press(bench, life, State.RECORDING)
        life.kit.await_media(after=3, chunks=2)
    assert never_dark_with_power(bench)
    assert "companion" in [event.details["part"] for event in life.events("trouble")]
    assert "companion" in [event.details["part"] for event in life.events("mended")]
    counted = life.events("companion")
    assert counted
    assert {"refused", "lost", "resets"} <= set(counted[-1].details)
    status, report = life.verified()
    assert (status, report["verdict"]) == (0, "authentic")
    first, second = report["recordings"]
    assert first["end_reason"] == "light"
    assert second["indicator"]["coverage"] == 1.0


def test_a_controller_that_is_reset_while_recording(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = life_on(bench, tmp_path)
    with life.lived(monkeypatch):
        life.until(lambda: life.state is State.STANDBY)
        press(bench, life, State.RECORDING)
        life.kit.await_media(after=1, chunks=2)
        bench.reset()
        life.until(lambda: Note.WARNING in life.notes)
        bench.until(lambda: bench.camera)
        life.until(lambda: life.state is State.RECORDING)
        life.kit.await_media(after=1, chunks=12)
    status, report = life.verified()
    assert (status, report["verdict"]) == (0, "authentic")
    assert never_dark_with_power(bench)
    assert "companion" in [event.details["part"] for event in life.events("trouble")]


def test_counts_are_noted_when_they_change_and_once_a_minute_at_most() -> None:
    noted: list[dict[str, object]] = []

    def note(name: str, **details: object) -> None:
        assert name == "companion"
        noted.append(details)

    counts = LineCounts(note)
    minute_ns = 60_000_000_000
    counts.look(Counters(), 0)
    assert noted == []
    counts.look(Counters(refused=1), 5)
    counts.look(Counters(refused=2), 6)
    counts.look(Counters(refused=9), minute_ns + 4)
    assert [item["refused"] for item in noted] == [1]
    counts.look(Counters(refused=9, resets=1), minute_ns + 5)
    counts.look(Counters(refused=9, resets=1), 5 * minute_ns)
    assert [(item["refused"], item["resets"]) for item in noted] == [(1, 0), (9, 1)]
