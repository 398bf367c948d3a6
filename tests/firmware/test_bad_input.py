"""A whole device with simulated parts, when something breaks: its signal, its journal, its state."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from drivers.clock.shifted import ShiftedClock
from drivers.clock.system import SystemClock
from firmware.appliance import Snapshot
from firmware.board_parts import Board
from firmware.cues import Cue, Note
from firmware.inputs import PowerOff
from firmware.parts import Parts
from firmware.settings import load_settings
from firmware.signaller import Signaller
from firmware.simulated_medium import SimulatedMedium
from firmware.states import State
from firmware.wiring import Device
from station.keys import load_station_key
from storage.events import Event
from tests.firmware.device import PATIENCE_S, Kit
from tests.firmware.kit import read_store

YEAR_NS = 365 * 86_400 * 1_000_000_000


class Life:
    """One life of a device, watched."""

    def __init__(self, kit: Kit, board: Callable[[Board], Board] = lambda board: board) -> None:
        """`board` may change the profile, as no file can."""
        self.kit = kit
        self._board = board
        self.clock, self.medium = ShiftedClock(SystemClock()), SimulatedMedium()
        self.snapshots: list[Snapshot] = []
        self.notes: list[Note] = []
        self._changed = threading.Condition()
        self.fault = ""

    @contextmanager
    def lived(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
        """Run the device; yield its parts; power it off at the end."""
        play = Signaller.play

        def heard(signaller: Signaller, note: Note) -> None:
            with self._changed:
                self.notes.append(note)
                self._changed.notify_all()
            play(signaller, note)

        monkeypatch.setattr(Signaller, "play", heard)
        settings = load_settings(self.kit.settings)
        settings = replace(settings, board=self._board(settings.board))
        ending: queue.Queue[str] = queue.Queue(1)
        with Device(
            settings, Parts(settings.board), self._see, clock=self.clock, sync=self.medium.sync, health_s=0.1
        ) as device:
            thread = threading.Thread(target=lambda: ending.put(device.run()), name="appliance")
            thread.start()
            try:
                self.until(lambda: self.state is not State.SELF_TEST)
                yield device.hardware
            finally:
                self.medium.hang(False)
                device.inputs.put(PowerOff(), timeout=PATIENCE_S)
                self.fault = ending.get(timeout=PATIENCE_S)
                thread.join(PATIENCE_S)

    @property
    def state(self) -> State:
        return self.snapshots[-1].state if self.snapshots else State.SELF_TEST

    @property
    def cues(self) -> list[Cue]:
        found: list[Cue] = []
        for snapshot in list(self.snapshots):
            if snapshot.cue not in found[-1:]:
                found.append(snapshot.cue)
        return found

    def until(self, holds: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(holds, PATIENCE_S), (self.state, self.notes)

    def press(self, parts: Any, then: State) -> None:
        parts.button.press()
        self.until(lambda: self.state is then)
        parts.button.release()

    def events(self, name: str) -> list[Event]:
        station = load_station_key(self.kit.station_key)
        return [event for item in read_store(self.kit.flash, station) for event in item.events if event.name == name]

    def verified(self) -> tuple[int, dict[str, Any]]:
        return self.kit.verify()

    def _see(self, snapshot: Snapshot) -> None:
        with self._changed:
            self.snapshots.append(snapshot)
            self._changed.notify_all()


def test_microphone_camera_flash_and_clock_in_one_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unplugged and back; without power and back; hanging for a while; years off and back: it goes on, and says so."""
    life = Life(Kit.make(tmp_path))
    with life.lived(monkeypatch) as parts:
        life.press(parts, State.RECORDING)
        parts.microphone.unplug()
        life.until(lambda: life.notes.count(Note.WARNING) == 1)
        parts.microphone.unplug(False)
        life.medium.hang(True)
        life.until(lambda: life.state is State.STALLED)
        life.medium.hang(False)
        life.until(lambda: life.state is State.RECORDING)
        parts.camera_power.refuse("the ribbon came loose")
        life.until(lambda: life.state is State.STALLED)
        parts.camera_power.refuse(None)
        life.until(lambda: life.state is State.RECORDING)
        life.clock.jump(30 * YEAR_NS)
        life.clock.jump(-31 * YEAR_NS)
        parts.button.press()
        life.until(lambda: life.state is State.CLOSING)
        parts.button.release()
        life.until(lambda: life.state is State.STANDBY)
    assert life.fault == ""
    # Each once, or once more where a busy machine kept a part silent for a while.
    assert {event.details["part"] for event in life.events("trouble")} == {"microphone"}
    assert {event.details["part"] for event in life.events("mended")} == {"microphone"}
    warnings = [event.details["state"] for event in life.events("warning")]
    assert set(warnings) == {"stalled"}
    assert len(warnings) >= 2
    jumps = sum(int(str(event.details["by_ms"])) for event in life.events("clock-jump"))
    assert jumps == pytest.approx(-YEAR_NS / 1e6, abs=10)
    status, report = life.verified()
    assert (status, report["verdict"]) == (0, "authentic")
    (recording,) = report["recordings"]
    assert recording["indicator"]["coverage"] == 1.0
    assert {gap["track"] for gap in recording["gaps"]} >= {"audio", "video"}


@pytest.mark.parametrize("policy", ["stop", "announce"])
def test_a_light_that_opens_while_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: str) -> None:
    life = Life(Kit.make(tmp_path, on_dark_light=f'"{policy}"'))
    with life.lived(monkeypatch) as parts:
        life.press(parts, State.RECORDING)
        parts.indicator.stick(False)
        if policy == "stop":
            life.until(lambda: life.state is State.FAULT)
        else:
            life.until(lambda: life.state is State.RECORDING_DARK)
            parts.buzzer.refuse("it fell off")  # neither light nor sound
            life.until(lambda: life.state is State.FAULT)
    assert "the recording light is dark" in life.fault
    assert life.cues[-2] is Cue.FAULT
    assert (Cue.DARK in life.cues) == (policy == "announce")
    assert all("dark" in str(event.details["text"]) for event in life.events("fault"))
    assert life.verified()[1]["recordings"][0]["end_reason"] == "light"


def test_a_flash_that_breaks_ends_the_device_and_the_next_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit = Kit.make(tmp_path)
    life = Life(kit)
    with life.lived(monkeypatch) as parts:
        life.press(parts, State.RECORDING)
        life.medium.fail()
        life.until(lambda: life.state is State.OFF)
    assert "the medium refused a write" in life.fault
    assert Cue.FAULT in life.cues
    after = Life(kit)
    with after.lived(monkeypatch) as parts:
        after.press(parts, State.RECORDING)
    assert after.fault == ""
    assert [event.details["last_run"] for event in after.events("boot")] == ["new", "cut"]


def test_button_battery_and_dock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    life = Life(Kit.make(tmp_path))
    with life.lived(monkeypatch) as parts:
        for _ in range(50):  # chatter, each contact far shorter than the debouncing time
            parts.button.press()
            parts.button.release()
        parts.battery.set(15)
        life.until(lambda: Note.LOW_BATTERY in life.notes)
        parts.battery.set(2)
        life.until(lambda: life.state is State.LOW_POWER)
        parts.button.press()
        life.until(lambda: Note.REFUSED in life.notes)
        parts.button.release()
        parts.dock.put(True)
        life.until(lambda: life.state is State.DOCKED)
        parts.battery.set(90)
        parts.dock.put(False)
        life.until(lambda: life.state is State.STANDBY)
    assert life.fault == ""
    assert {Cue.LOW_POWER, Cue.DOCKED, Cue.STANDBY} <= set(life.cues)
    assert [event.details["state"] for event in life.events("refused")] == ["low-power"]
    assert [event.details["docked"] for event in life.events("dock")] == [True, False]
    assert life.verified()[1]["recordings"] == []
