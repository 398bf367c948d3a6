"""A running recorder takes notice of an enrolment by itself; what the old identity recorded is set aside, whole."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from drivers.clock.simulated import SimulatedClock
from firmware.enrolment.evidence import recorder_runs, recording_runs, set_aside
from firmware.enrolment.settling import Places, Settled, settle
from firmware.enrolment.watch import EnrolmentWatch, marks
from firmware.inputs import PowerOff
from firmware.parts import Parts
from firmware.states import State
from firmware.wiring import Device
from station.enrolment.conversation import Outcome
from station.enrolment.errors import EnrolmentUnfinishedError
from storage.errors import StorageError, StoreFailedError
from storage.keyfiles import load_device_key
from storage.keyring_file import KeyringFile
from storage.verdict import Verdict
from storage.verify import verify
from tests.enrolment.bench import Bench, Camera, bench
from tests.firmware.kit import PATIENCE_S
from tests.firmware.test_wiring import States
from tools.mock_pins import BOARD, MockPins


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


@pytest.fixture
def camera(tmp_path: Path) -> Camera:
    made = Camera(tmp_path / "camera")
    (made.base / "board.toml").write_text(BOARD, "utf-8")
    return made


class Running:
    """`firmware run`, in this process: what is granted is finished first."""

    def __init__(self, camera: Camera) -> None:
        settings = camera.settings
        self.settled = settle(Places(camera.state, settings.store.flash, settings.tls))
        self.pins, self.states = MockPins(), States()
        self.device = Device(settings, Parts(settings.board, pin_factory=self.pins.factory), self.states.changed)
        self.ended: queue.Queue[str] = queue.Queue(1)
        self.thread = threading.Thread(target=lambda: self.ended.put(self.device.run()), name="appliance")
        self.thread.start()

    def await_end(self) -> None:
        assert self.ended.get(timeout=PATIENCE_S) == ""
        self.thread.join(PATIENCE_S)


@contextmanager
def running(camera: Camera) -> Iterator[Running]:
    made = Running(camera)
    try:
        yield made
    finally:
        if made.thread.is_alive():
            made.device.inputs.put(PowerOff(), timeout=PATIENCE_S)
            made.thread.join(PATIENCE_S)
        made.device.__exit__(None, None, None)
    assert not made.thread.is_alive()


def test_an_unenrolled_device_ends_by_itself_and_starts_enrolled(own: Bench, camera: Camera) -> None:
    with running(camera) as device:
        device.states.until(State.UNENROLLED)
        assert own.enrol(camera).outcome is Outcome.ENROLLED
        device.await_end()
    with running(camera) as device:
        device.states.until(State.STANDBY)


def test_a_new_identity_waits_for_the_recording_and_leaves_the_old_footage_whole(own: Bench, camera: Camera) -> None:
    old = own.enrol(camera)
    agreed = own.desk("", own.agreement())
    flash = camera.settings.store.flash
    with running(camera) as device:
        device.states.until(State.STANDBY)
        assert recorder_runs(flash)
        assert not recording_runs(flash)
        device.pins.button.drive_low()
        device.states.until(State.RECORDING)
        device.pins.button.drive_high()
        with pytest.raises(EnrolmentUnfinishedError, match="a recording runs: stop it first"):
            own.enrol(camera, agreed)
        device.device.recorder.stop()
        device.states.until(State.STANDBY)
        # The recorder has the store: it ends for the new identity, which is in force from its next start on.
        with pytest.raises(EnrolmentUnfinishedError, match="waits for its recorder"):
            own.enrol(camera, agreed)
        device.await_end()
    assert load_device_key(camera.state / "device.pub") == old.identity
    with running(camera) as device:
        assert device.settled is Settled.DONE
        device.states.until(State.STANDBY)
        ended = own.enrol(camera, agreed)
    assert ended.outcome is Outcome.AGAIN
    assert ended.granted.device != old.granted.device
    assert own.registered()[old.granted.device] == f"replaced by {ended.granted.device}"
    aside = flash.with_name(f"flash.before-{old.granted.device[:8]}")
    assert load_device_key(aside / "device.pub") == old.identity
    report = verify(aside, old.identity, workers=1)
    assert report.verdict is Verdict.AUTHENTIC
    assert len(report.recordings) == 1
    assert verify(flash, ended.identity, workers=1).verdict is Verdict.AUTHENTIC


def test_what_is_left_is_told(own: Bench, camera: Camera) -> None:
    own.enrol(camera)
    with running(camera) as device:
        device.states.until(State.STANDBY)
        device.pins.button.drive_low()
        device.states.until(State.RECORDING)
        device.pins.button.drive_high()
    ended = own.enrol(camera, own.desk("", own.agreement()))
    assert ended.outcome is Outcome.AGAIN
    assert ended.left_segments == 1
    assert ended.left_bytes > 0


def test_a_change_of_identity_that_is_half_done_records_nothing_and_is_finished(
    own: Bench, camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = own.enrol(camera)
    with running(camera) as device:
        device.states.until(State.STANDBY)

    def full(_file: KeyringFile, _keyring: object) -> None:
        raise StoreFailedError("cannot write the keyring") from OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(KeyringFile, "save", full)
        with pytest.raises(EnrolmentUnfinishedError, match="cannot write the keyring"):
            own.enrol(camera, own.desk("", own.agreement()))
        # The store is aside, and the old keyring fits no other: a chain that begins in the middle is not begun.
        settings = camera.settings
        with pytest.raises(StorageError):
            Device(settings, Parts(settings.board, pin_factory=MockPins().factory), lambda _snapshot: None)
    with running(camera) as device:
        assert device.settled is Settled.DONE
        device.states.until(State.STANDBY)
    ended = own.enrol(camera, own.desk("", own.agreement()))
    assert (ended.outcome, ended.granted.replaces) == (Outcome.AGAIN, old.granted.device)


def test_a_store_is_set_aside_once_under_a_name_of_its_own(tmp_path: Path) -> None:
    flash = tmp_path / "flash"
    assert set_aside(flash, None, "before-x") is None
    for number, name in enumerate(("flash.before-x", "flash.before-x-2")):
        (flash / "segments").mkdir(parents=True)
        (flash / "segments" / "0000000001.seg").write_bytes(bytes([number]))
        assert set_aside(flash, b"public", "before-x") == tmp_path / name
    assert (tmp_path / "flash.before-x" / "segments" / "0000000001.seg").read_bytes() == b"\0"
    assert not recorder_runs(flash)
    assert not recorder_runs(tmp_path, tmp_path / "none")


def test_it_looks_once_a_second_and_says_so_once(tmp_path: Path) -> None:
    clock = SimulatedClock()
    watch = EnrolmentWatch(tmp_path, marks(tmp_path), clock.monotonic_ns, enrolled=True)
    (tmp_path / "enrolling").mkdir()
    for name in ("grant", "keyring"):
        (tmp_path / "enrolling" / name).touch()
    assert not watch.due(State.STANDBY)
    clock.advance(10**9)
    assert not watch.due(State.RECORDING)
    assert watch.due(State.DOCKED)
    clock.advance(10**9)
    assert not watch.due(State.DOCKED)
