"""The technician's board check: every part a line, broken parts told, and nothing left on."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from drivers.accelerometer.disabled import DisabledAccelerometer
from drivers.accelerometer.protocol import Acceleration, AccelerationSink
from drivers.battery.disabled import DisabledBattery
from drivers.battery.simulated import SimulatedBattery
from drivers.button.simulated import SimulatedButton
from drivers.buzzer.disabled import DisabledBuzzer
from drivers.buzzer.simulated import SimulatedBuzzer
from drivers.clock.simulated import SimulatedClock
from drivers.dock.disabled import DisabledDock
from drivers.dock.simulated import SimulatedDock
from drivers.errors import DriverError
from drivers.gnss.disabled import DisabledGnss
from drivers.gnss.protocol import Fix, FixSink
from drivers.haptics.disabled import DisabledHaptics
from drivers.haptics.simulated import SimulatedHaptics
from drivers.indicator.simulated import SimulatedIndicator
from drivers.microphone.disabled import DisabledMicrophone
from drivers.rtc.disabled import DisabledRtc
from drivers.rtc.protocol import RtcReading
from firmware.board import find_board
from firmware.check_board import BoardParts, check_board, places_of
from tests.firmware.world import SECOND, Part, World, WorldCamera, WorldMicrophone, WorldPower

PARTS = (
    "light", "button", "buzzer", "haptics", "microphone", "camera", "battery", "gnss", "accelerometer", "dock", "rtc",
    "clock",
)  # fmt: skip


class WorldGnss(Part):
    """Has a fix after some seconds."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.after_s = 3.0
        self.accuracy_m: float | None = 4.0
        self._world = world

    def start(self, sink: FixSink) -> None:
        self.begin()
        fix = Fix(self._world.now_ns, None, 52.0907, 5.1214, None, self.accuracy_m, 9)
        self._world.after(self.after_s, lambda: sink(fix) if self.running else None)


class WorldAccelerometer(Part):
    """Lies still, unless told otherwise."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.pull_g = 1.0
        self.silent = False
        self._world = world

    def start(self, sink: AccelerationSink) -> None:
        self.begin()

        def step() -> None:
            if self.running and not self.silent:
                sink(Acceleration(self._world.now_ns, 0.0, 0.6 * self.pull_g, 0.8 * self.pull_g))

        self._world.each_step.append(step)


class WorldRtc(Part):
    """Says what it is told to."""

    def __init__(self, utc_ns: int) -> None:
        super().__init__()
        self.utc_ns: int | None = utc_ns
        self.battery_low: bool | None = False

    def read(self) -> RtcReading | None:
        if self.refusal:
            raise DriverError(self.refusal)
        return None if self.utc_ns is None else RtcReading(0, self.utc_ns, self.battery_low)


class Table:
    """A board on the technician's table, with a finger that presses two seconds after it was asked."""

    def __init__(self) -> None:
        self.world = World()
        self.light = SimulatedIndicator()
        self.button = SimulatedButton()
        self.buzzer = SimulatedBuzzer(now=self.world.now)
        self.haptics = SimulatedHaptics(now=self.world.now)
        self.microphone = WorldMicrophone(self.world, self.buzzer, self.light)
        self.power = WorldPower(self.world, self.light)
        self.camera = WorldCamera(self.world, self.power, self.light)
        self.battery = SimulatedBattery(77)
        self.gnss = WorldGnss(self.world)
        self.accelerometer = WorldAccelerometer(self.world)
        self.dock = SimulatedDock()
        self.clock = SimulatedClock()
        self.rtc = WorldRtc(self.clock.read().utc_ns + SECOND)
        self.finger = True
        self.parts = BoardParts(
            indicator=lambda: self.light,
            button=lambda: self.button,
            buzzer=lambda: self.buzzer,
            haptics=lambda: self.haptics,
            microphone=lambda: self.microphone,
            camera=lambda: self.camera,
            camera_power=lambda: self.power,
            battery=lambda: self.battery,
            gnss=lambda: self.gnss,
            accelerometer=lambda: self.accelerometer,
            dock=lambda: self.dock,
            rtc=lambda: self.rtc,
            clock=self.clock,
        )

    def check(self, **more: Any) -> tuple[int, dict[str, str], str]:
        """Run it; return the status, the line of each part, and all that was written."""
        table = self

        class Terminal(io.StringIO):
            def write(self, text: str) -> int:
                if text.startswith("button: press") and table.finger:
                    table.world.after(2.0, table.button.press)
                    table.world.after(2.5, table.button.release)
                return super().write(text)

        out = Terminal()
        status = check_board(self.parts, out, patience=self.world.patience, **more)
        text = out.getvalue()
        lines = {line.split(":")[0].split(" (")[0]: line for line in text.splitlines() if " ... " in line}
        return status, lines, text


@pytest.fixture
def table() -> Iterator[Table]:
    made = Table()
    yield made
    for part in (made.light, made.button, made.buzzer, made.haptics):
        part.close()


def test_a_board_on_which_everything_works(table: Table) -> None:
    status, lines, text = table.check()
    assert status == 0, text
    assert tuple(lines) == PARTS
    assert all(line.endswith(" ... ok") for line in lines.values())
    assert lines["light"] == "light: sensed lit after 0 ms, and dark when off ... ok"
    assert lines["button"] == "button: pressed for 500 ms, and up again ... ok"
    assert lines["battery"].startswith("battery: 77 %")
    assert lines["gnss"] == "gnss: a fix from 9 satellites, within 4 m ... ok"
    assert "52." not in lines["gnss"], "where it is, is nobody's business"
    assert lines["accelerometer"] == "accelerometer: 1.00 g at rest ... ok"
    assert lines["dock"] == "dock: not in the dock ... ok"
    assert text.splitlines()[-1] == "all parts that this board has work"
    assert "button: press it and let go, within 20 s" in text.splitlines()


def test_it_lights_sounds_and_vibrates(table: Table) -> None:
    table.check()
    assert [tone for _, tone in table.buzzer.changes][:4] == [1000, 2000, 3000, 0]
    assert [strength for _, strength in table.haptics.changes] == [0.5, 0.0, 1.0, 0.0]
    assert not table.camera.ran_in_the_dark
    assert not table.microphone.ran_in_the_dark
    assert not table.light.shining


def test_where_a_part_is_connected_stands_beside_it(table: Table) -> None:
    _, lines, _ = table.check(places=places_of(find_board("pi4")))
    assert lines["light"].startswith("light (BCM 12, sense BCM 26): ")
    assert lines["button"].startswith("button (BCM 17): ")
    assert lines["battery"].startswith("battery (I2C 0x36): ")
    assert lines["clock"].startswith("clock: ")
    assert places_of(find_board("zero2w"))["light"] == "companion"
    assert places_of(find_board("simulated")) == {}


def test_a_board_with_little_on_it_works_too(table: Table) -> None:
    table.parts = replace(
        table.parts,
        buzzer=DisabledBuzzer,
        haptics=DisabledHaptics,
        microphone=DisabledMicrophone,
        battery=DisabledBattery,
        gnss=DisabledGnss,
        accelerometer=DisabledAccelerometer,
        dock=DisabledDock,
        rtc=DisabledRtc,
    )
    status, lines, text = table.check()
    assert status == 0
    absent = [name for name, line in lines.items() if line.endswith(" ... absent")]
    assert absent == ["buzzer", "haptics", "microphone", "battery", "gnss", "accelerometer", "dock", "rtc"]
    assert "waiting" not in text


def hold(table: Table) -> None:
    table.finger = False
    table.button.press()


def never_let_go(table: Table) -> None:
    table.finger = False
    table.world.after(1.2, table.button.press)


def forget_the_time(table: Table) -> None:
    table.clock.synchronised = False
    table.clock.set_utc(0)


BROKEN: list[tuple[str, Callable[[Table], object], str]] = [
    ("light", lambda table: table.light.stick(True), "sensed lit"),
    ("button", lambda table: setattr(table, "finger", False), "no press within 20 s"),
    ("button", hold, "it is down already"),
    ("button", never_let_go, "it stays down for 20 s"),
    ("buzzer", lambda table: table.buzzer.refuse("wire cut"), "wire cut"),
    ("haptics", lambda table: table.haptics.refuse("wire cut"), "wire cut"),
    ("microphone", lambda table: setattr(table.microphone, "deaf", True), "does not hear the buzzer"),
    ("camera", lambda table: setattr(table.camera, "key_after_s", 9.0), "no key picture"),
    ("camera", lambda table: setattr(table.power, "dead", True), "no power"),
    ("battery", lambda table: table.battery.refuse("no answer"), "no answer"),
    ("battery", lambda table: table.battery.set(0.5), "charge it"),
    ("gnss", lambda table: setattr(table.gnss, "after_s", 30.0), "try again under the open sky"),
    ("gnss", lambda table: setattr(table.gnss, "refusal", "gnss world: unplugged"), "unplugged"),
    ("accelerometer", lambda table: setattr(table.accelerometer, "pull_g", 1.5), "1.50 g; let the device lie still"),
    ("accelerometer", lambda table: setattr(table.accelerometer, "pull_g", 0.0), "0.00 g; let the device lie still"),
    ("accelerometer", lambda table: setattr(table.accelerometer, "silent", True), "0 samples within 3 s"),
    ("rtc", lambda table: setattr(table.rtc, "utc_ns", 0), "it says 1970-01-01 00:00:00 UTC; set it"),
    ("rtc", lambda table: setattr(table.rtc, "utc_ns", table.clock.read().utc_ns - 60 * SECOND), "60 s off; set it"),
    ("rtc", lambda table: setattr(table.rtc, "battery_low", True), "replace the battery"),
    ("rtc", lambda table: setattr(table.rtc, "utc_ns", None), "it says nothing"),
    ("rtc", lambda table: setattr(table.rtc, "refusal", "rtc: no answer"), "rtc: no answer"),
    ("clock", forget_the_time, "set the clock"),
]


@pytest.mark.parametrize(("part", "broken", "said"), BROKEN)
def test_a_broken_part_is_told_and_hides_no_other(
    table: Table, part: str, broken: Callable[[Table], object], said: str
) -> None:
    broken(table)
    status, lines, text = table.check()
    assert status == 1
    assert tuple(lines) == PARTS
    assert said in lines[part]
    assert lines[part].endswith(" ... FAILED")
    failed = {name for name, line in lines.items() if line.endswith(" ... FAILED")}
    # Nobody hears a buzzer that does not sound.
    assert failed == ({"buzzer", "microphone"} if part == "buzzer" else {part})
    assert text.splitlines()[-1] == f"FAILED: {', '.join(name for name in PARTS if name in failed)}"
    assert not table.light.state().commanded
    assert (table.camera.running, table.microphone.running, table.power.asked) == (False, False, False)


def test_a_light_that_stays_dark_keeps_camera_and_microphone_still(table: Table) -> None:
    table.light.stick(False)
    status, lines, _ = table.check()
    assert status == 1
    assert {name for name, line in lines.items() if line.endswith("FAILED")} == {"light", "microphone", "camera"}
    assert (table.camera.starts, table.microphone.starts) == (0, 0)


def test_what_cannot_be_made_is_a_line_too(table: Table) -> None:
    def unmade() -> Any:
        raise DriverError("i2c: no answer at 0x18\n(errno 121)")

    for name in ("accelerometer", "indicator", "button", "buzzer", "camera_power", "microphone", "rtc"):
        fresh = Table()
        change: dict[str, Any] = {name: unmade}
        fresh.parts = replace(fresh.parts, **change)
        status, lines, _ = fresh.check()
        assert status == 1
        told = {"indicator": "light", "camera_power": "camera"}.get(name, name)
        assert lines[told] == f"{told}: i2c: no answer at 0x18 (errno 121) ... FAILED"
        if name == "indicator":
            assert "there is no light" in lines["microphone"]
            assert "there is no light" in lines["camera"]
            assert (fresh.camera.starts, fresh.microphone.starts) == (0, 0)
        if name == "buzzer":
            assert lines["microphone"].endswith("there is no buzzer that it could hear ... ok")
        assert lines["clock"].endswith("ok")


def test_every_part_is_closed_and_a_failing_close_is_told(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []
    hanging = threading.Event()

    def refuse() -> None:
        closed.append("haptics")
        raise DriverError("haptics: stilling it failed")

    def hang() -> None:
        closed.append("dock")
        hanging.wait(30)

    monkeypatch.setattr("firmware.check_board._CLOSE_S", 0.05)
    monkeypatch.setattr(table.haptics, "close", refuse)
    monkeypatch.setattr(table.dock, "close", hang)
    monkeypatch.setattr(table.gnss, "close", lambda: closed.append("gnss"))
    status, _, text = table.check()
    hanging.set()
    monkeypatch.undo()
    assert status == 1
    assert closed == ["dock", "gnss", "haptics"]
    assert "dock: did not close within 0.05 s; take the power away ... FAILED" in text
    assert text.splitlines()[-1] == "FAILED: dock, haptics"
    with pytest.raises(DriverError, match="closed"):
        table.light.light(1.0)


def test_parts_are_closed_when_the_technician_interrupts(table: Table) -> None:
    class Interrupted(io.StringIO):
        def write(self, text: str) -> int:
            if text.startswith("button: press"):
                raise KeyboardInterrupt
            return super().write(text)

    with pytest.raises(KeyboardInterrupt):
        check_board(table.parts, Interrupted(), patience=table.world.patience)
    with pytest.raises(DriverError, match="closed"):
        table.light.light(1.0)


def test_unknown_accuracy_is_left_out(table: Table) -> None:
    table.gnss.accuracy_m = None
    _, lines, _ = table.check()
    assert lines["gnss"] == "gnss: a fix from 9 satellites ... ok"
