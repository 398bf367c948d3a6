"""A whole device on mock pins, in this process: real drivers' protocols, capture, recorder, store."""

from __future__ import annotations

import logging
import queue
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from firmware.appliance import Snapshot
from firmware.boot import boot_id
from firmware.inputs import PowerOff
from firmware.parts import Parts
from firmware.settings import Settings, load_settings
from firmware.states import State
from firmware.wiring import Device
from storage.errors import StorageError
from storage.verdict import Verdict
from storage.verify import verify
from tests.firmware.device import Kit
from tests.firmware.kit import PATIENCE_S
from tools.mock_pins import BOARD, MockPins


def settings_of(kit: Kit) -> Settings:
    kit.board.write_text(BOARD, "utf-8")
    settings = load_settings(kit.settings)
    return replace(settings, recording=replace(settings.recording, segment_s=1))


class States:
    """Follows the device."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._states: list[State] = []

    def changed(self, snapshot: Snapshot) -> None:
        with self._changed:
            self._states.append(snapshot.state)
            self._changed.notify_all()

    def until(self, *states: State) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._states[-1:] == [states[-1]], PATIENCE_S), self._states


def test_from_the_press_to_the_closed_chain(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    kit = Kit.make(tmp_path)
    settings, pins, states = settings_of(kit), MockPins(), States()
    with Device(settings, Parts(settings.board, pin_factory=pins.factory), states.changed) as device:
        ending: queue.Queue[str] = queue.Queue(1)
        thread = threading.Thread(target=lambda: ending.put(device.run()), name="appliance")
        thread.start()
        try:
            states.until(State.STANDBY)
            pins.button.drive_low()
            states.until(State.RECORDING)
            pins.button.drive_high()
            kit.await_media(after=3)  # the third part of the recording
            secrets = kit.secrets()
            reprs = " ".join(_reprs(device))
        finally:
            device.inputs.put(PowerOff(), timeout=PATIENCE_S)
            assert ending.get(timeout=PATIENCE_S) == ""
            thread.join(PATIENCE_S)
        assert device.store is not None
        identity = device.store.identity
    report = verify(kit.flash, identity, workers=1)
    assert report.verdict is Verdict.AUTHENTIC
    (recording,) = report.recordings
    assert [part.opening.part for part in recording.segments if part.opening] == list(range(len(recording.segments)))
    assert len(recording.segments) >= 3
    for part in recording.segments:
        assert part.media.duration_ns <= 1_000_000_000
    assert recording.media.lit_chunks == recording.media.sensed_chunks == recording.media.chunks
    assert not [secret for secret in secrets if secret in reprs or secret in caplog.text]


def _reprs(root: object) -> list[str]:
    """The text of everything that hangs on the device, as a traceback or a debugger would show it."""
    found: list[str] = []
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        item = waiting.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        found.append(repr(item))
        if type(item).__module__.split(".")[0] in ("firmware", "storage", "capture", "drivers"):
            names = {*getattr(item, "__dict__", {}), *getattr(type(item), "__dataclass_fields__", {})} - {"seeds"}
            waiting += [getattr(item, name) for name in names if hasattr(item, name)]
    assert len(found) > 50
    return found


def test_a_device_that_cannot_be_made_gives_everything_back(tmp_path: Path) -> None:
    kit = Kit.make(tmp_path)
    settings, pins = settings_of(kit), MockPins()
    (tmp_path / "flash").write_text("a file")
    threads = threading.active_count()
    with pytest.raises(StorageError):
        Device(settings, Parts(settings.board, pin_factory=pins.factory), lambda _snapshot: None)
    assert threading.active_count() == threads
    (tmp_path / "flash").unlink()
    with Device(settings, Parts(settings.board, pin_factory=pins.factory), lambda _snapshot: None) as device:
        assert device.store is not None
        assert device.store.recovery.how == "new"


def test_the_boot_id_is_the_kernels_and_stays(tmp_path: Path) -> None:
    assert boot_id() == boot_id()
    assert len(boot_id()) == 16
