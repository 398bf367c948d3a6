"""The dock: the USB device controller's word, a contact on a pin, the simulated one, and none."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from gpiozero.pins.mock import MockFactory

from drivers.dock.disabled import DisabledDock
from drivers.dock.gpio import GpioDock
from drivers.dock.simulated import SimulatedDock
from drivers.dock.udc import UdcDock
from drivers.errors import DriverError

PATIENCE_S = 20.0


class Heard:
    """What was reported."""

    def __init__(self) -> None:
        self.changes: list[bool] = []
        self._changed = threading.Condition()

    def __call__(self, docked: bool) -> None:
        with self._changed:
            self.changes.append(docked)
            self._changed.notify_all()

    def until(self, changes: list[bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.changes == changes, PATIENCE_S), self.changes


def test_the_usb_device_controller(tmp_path: Path) -> None:
    state = tmp_path / "fe980000.usb" / "state"
    state.parent.mkdir()
    state.write_text("not attached\n")
    heard = Heard()
    with UdcDock(tmp_path, period_s=0.005) as dock:
        assert not dock.docked
        dock.watch(heard)
        state.write_text("configured\n")
        heard.until([True])
        assert dock.docked
        state.write_text("suspended\n")
        heard.until([True, False])
        dock.watch(None)
        state.write_text("configured\n")
        dock.watch(heard)
        assert dock.docked
    assert heard.changes == [True, False], "it stood in the dock already when it was watched again"


@pytest.mark.parametrize("content", [b"\xff\xfe", b""])
def test_a_controller_that_says_nonsense_is_no_dock(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "state").write_bytes(content)
    (tmp_path / "b" / "state").mkdir(parents=True)
    assert not UdcDock(tmp_path).docked
    assert not UdcDock(tmp_path / "nothing").docked


def test_a_contact_on_a_pin() -> None:
    factory = MockFactory()
    heard = Heard()
    dock = GpioDock(25, factory=factory)
    dock.watch(heard)
    factory.pin(25).drive_low()
    assert dock.docked
    factory.pin(25).drive_high()
    assert not dock.docked
    assert heard.changes == [True, False]
    with pytest.raises(DriverError, match="claiming pin 25"):
        GpioDock(25, factory=factory)
    dock.close()
    dock.close()
    assert not dock.docked
    factory.close()


def test_simulated_and_disabled() -> None:
    heard = Heard()
    with SimulatedDock() as dock:
        dock.watch(heard)
        dock.put(True)
        dock.put(True)
        dock.put(False)
    dock.put(True)
    assert heard.changes == [True, False]
    assert not DisabledDock().docked
