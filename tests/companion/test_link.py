"""The Pi's driver on pyserial against the controller's own program: what the line does to what the parts see."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drivers.button.protocol import ButtonEdge
from drivers.companion.battery import CompanionBattery
from drivers.companion.button import CompanionButton
from drivers.companion.camera_power import CompanionCameraPower
from drivers.companion.indicator import CompanionIndicator
from drivers.companion.lines import Status, seal
from drivers.companion.link import CompanionLink
from drivers.errors import DriverError, DriverUnavailableError
from drivers.indicator.protocol import LightState
from tests.companion.owner import Owner
from tests.companion.workbench import CAMERA_PIN, FULL_DUTY, WAIT_S, Bench, nothing

MS = 1_000_000


class Watcher:
    """Waits for what the link tells."""

    def __init__(self, link: CompanionLink) -> None:
        self._changed = threading.Condition()
        self.states: list[LightState] = []
        self.edges: list[ButtonEdge] = []
        link.listen(self)

    def heard(self, status: Status | None) -> None:
        with self._changed:
            self._changed.notify_all()

    def moved(self, edge: ButtonEdge) -> None:
        with self._changed:
            self._changed.notify_all()

    def light(self, state: LightState) -> None:
        with self._changed:
            self.states.append(state)
            self._changed.notify_all()

    def edge(self, edge: ButtonEdge) -> None:
        with self._changed:
            self.edges.append(edge)
            self._changed.notify_all()

    def until(self, condition: Callable[[], bool], within_s: float = WAIT_S) -> None:
        end_ns = time.monotonic_ns() + int(within_s * 1e9)
        while not condition():
            assert time.monotonic_ns() < end_ns, "what was waited for did not come"
            with self._changed:
                # What is asked may take the link's lock, so it is asked outside this one; the wait is short for that.
                self._changed.wait(0.02)


@pytest.fixture
def watcher(link: CompanionLink) -> Watcher:
    return Watcher(link)


@pytest.fixture
def light(link: CompanionLink, watcher: Watcher) -> Iterator[CompanionIndicator]:
    with CompanionIndicator(link) as made:
        made.watch(watcher.light)
        yield made


@pytest.fixture
def button(link: CompanionLink, watcher: Watcher) -> Iterator[CompanionButton]:
    with CompanionButton(link) as made:
        made.watch(watcher.edge)
        yield made


@pytest.fixture
def power(link: CompanionLink) -> Iterator[CompanionCameraPower]:
    with CompanionCameraPower(link) as made:
        yield made


def light_up(light: CompanionIndicator, power: CompanionCameraPower, watcher: Watcher) -> None:
    light.light(1)
    watcher.until(lambda: light.state().lit)
    power.enable(True)
    watcher.until(lambda: power.powered)


def test_light_then_camera(
    bench: Bench, light: CompanionIndicator, power: CompanionCameraPower, watcher: Watcher
) -> None:
    power.enable(True)
    watcher.until(lambda: power.refusal == "the light draws no current")
    assert not power.powered
    light_up(light, power, watcher)
    assert power.refusal is None
    assert (bench.camera, bench.duty) == (True, FULL_DUTY)
    power.enable(False)
    watcher.until(lambda: not power.powered)
    assert not bench.camera
    assert power.cut == "asked"
    light.light(0)
    bench.until(lambda: bench.duty == 0)


def test_a_lamp_that_fails(
    bench: Bench, light: CompanionIndicator, power: CompanionCameraPower, watcher: Watcher
) -> None:
    light_up(light, power, watcher)
    bench.lamp(percent=0)
    watcher.until(lambda: not power.powered)
    assert not bench.camera
    watcher.until(lambda: light.lamp == "open")
    state = light.state()
    assert (state.commanded, state.sensed) == (True, False)
    assert (power.cut, watcher.states[-1].lit) == ("dark", False)
    bench.lamp()
    watcher.until(lambda: light.state().lit)
    assert not power.powered
    power.enable(True)
    watcher.until(lambda: power.powered)


def test_asking_again_after_the_light_was_put_out_and_lit(
    bench: Bench, light: CompanionIndicator, power: CompanionCameraPower, watcher: Watcher
) -> None:
    light_up(light, power, watcher)
    light.light(0)
    watcher.until(lambda: not power.powered)
    assert power.cut == "off"
    light_up(light, power, watcher)
    assert bench.camera


def test_a_main_loop_that_hangs_lets_everything_fall_safe(bench: Bench) -> None:
    with CompanionLink(bench.port) as link:
        owner = Owner(link)
        watcher = Watcher(link)
        with owner, CompanionIndicator(link) as light, CompanionCameraPower(link) as power:
            light.watch(watcher.light)
            assert link.wait_live(WAIT_S)
            light_up(light, power, watcher)
            assert link.fault() is None
            owner.hang()
            hung_ns = time.monotonic_ns()
            bench.until(lambda: not bench.camera, 4)
            cut_ns = next(e.time_ns for e in reversed(bench.pin_events) if e.pin == CAMERA_PIN)
            assert bench.beats_ns[-1] <= hung_ns + 300 * MS
            assert 2000 * MS <= cut_ns - bench.beats_ns[-1] <= 2500 * MS
            watcher.until(lambda: not light.state().lit)
            assert watcher.states[-1].sensed is False
            assert "has not refreshed" in (link.fault() or "")
            with pytest.raises(DriverError, match="has not refreshed"):
                power.enable(True)
            with Owner(link):
                assert link.wait_live(WAIT_S)
                assert not power.powered  # it has to be asked for again


def test_a_line_that_falls_silent(
    bench: Bench, link: CompanionLink, light: CompanionIndicator, power: CompanionCameraPower, watcher: Watcher
) -> None:
    light_up(light, power, watcher)
    bench.to_pi = nothing
    watcher.until(lambda: not light.state().lit, 2)
    assert (watcher.states[-1].commanded, watcher.states[-1].lit) == (True, False)
    assert not power.powered
    assert link.fault() is not None
    with pytest.raises(DriverError, match="indicator: switching the light on: companion: "):
        light.light(1)
    assert not light.state().commanded
    bench.until(lambda: not bench.camera, 4)  # the hello that follows lets go of it
    bench.to_pi = bytes
    watcher.until(lambda: link.live)
    assert (link.fault(), link.counters.lost) == (None, 1)
    light_up(light, power, watcher)


def test_the_light_comes_back_with_the_link_and_the_camera_does_not(
    bench: Bench, link: CompanionLink, light: CompanionIndicator, power: CompanionCameraPower, watcher: Watcher
) -> None:
    light_up(light, power, watcher)
    bench.unplug()
    watcher.until(lambda: not light.state().lit)
    assert "the port was lost" in (link.fault() or "")
    bench.until(lambda: not bench.camera, 4)
    bench.replug()
    watcher.until(lambda: light.state().lit)
    assert (link.fault(), link.reopened) == (None, 1)
    assert not power.powered
    assert not bench.camera
    power.enable(True)
    watcher.until(lambda: power.powered)


def test_a_controller_that_is_reset(
    bench: Bench, link: CompanionLink, light: CompanionIndicator, power: CompanionCameraPower, watcher: Watcher
) -> None:
    light_up(light, power, watcher)
    bench.reset()
    watcher.until(lambda: (False in [s.lit for s in watcher.states[-2:]]) and link.counters.resets == 1)
    watcher.until(lambda: light.state().lit)
    assert not power.powered
    assert not bench.camera


def test_a_controller_that_hangs_is_reset_by_its_watchdog(
    bench: Bench, link: CompanionLink, light: CompanionIndicator, power: CompanionCameraPower, watcher: Watcher
) -> None:
    bench.watch()
    light_up(light, power, watcher)
    bench.hang()
    bench.until(lambda: not bench.camera, 3)
    watcher.until(lambda: link.counters.resets == 1 and link.live)
    watcher.until(lambda: light.state().lit)
    assert not power.powered


def test_edges_come_with_their_times(bench: Bench, button: CompanionButton, watcher: Watcher) -> None:
    start_ns = time.monotonic_ns()
    bench.press()
    pressed_ns = time.monotonic_ns()
    watcher.until(lambda: button.pressed)
    bench.release()
    watcher.until(lambda: not button.pressed)
    down, up = watcher.edges
    assert (down.pressed, up.pressed) == (True, False)
    # Whole milliseconds, and a line that takes some to travel.
    assert start_ns - 30 * MS <= down.time_ns <= pressed_ns + 100 * MS
    assert down.time_ns < up.time_ns


def test_a_press_while_the_line_is_dead_is_not_lost(
    bench: Bench, link: CompanionLink, button: CompanionButton, watcher: Watcher
) -> None:
    bench.unplug()
    watcher.until(lambda: not link.live)
    before_ns = time.monotonic_ns()
    bench.button((True, 80), (False, 0))
    after_ns = time.monotonic_ns()
    bench.replug()
    watcher.until(lambda: len(watcher.edges) == 2)
    down, up = watcher.edges
    assert (down.pressed, up.pressed) == (True, False)
    assert before_ns - 30 * MS <= down.time_ns < up.time_ns <= after_ns + 100 * MS
    assert 60 * MS <= up.time_ns - down.time_ns <= 150 * MS


def test_a_button_that_is_still_down_after_a_reset_is_known_and_its_release_too(
    bench: Bench, link: CompanionLink, button: CompanionButton, watcher: Watcher
) -> None:
    bench.press()
    watcher.until(lambda: button.pressed)
    bench.reset()  # the simulated finger is off the button again, and the controller has forgotten all edges
    watcher.until(lambda: not button.pressed)
    assert [edge.pressed for edge in watcher.edges] == [True, False]
    assert link.counters.edges_inferred == 1


def test_a_chattering_button(bench: Bench, link: CompanionLink, button: CompanionButton, watcher: Watcher) -> None:
    bench.button(*((at % 2 == 0, 1) for at in range(50)), (True, 50), (False, 50), (True, 0))
    watcher.until(lambda: len(watcher.edges) + link.counters.edges_dropped == 53)
    assert link.counters.edges_dropped > 0
    presses = [edge.pressed for edge in watcher.edges]
    assert presses == [at % 2 == 0 for at in range(len(presses))]
    assert button.pressed
    times = [edge.time_ns for edge in watcher.edges]
    assert times == sorted(times)
    assert 35 * MS <= times[-2] - times[-3] <= 120 * MS


def test_a_bad_line_loses_no_press(
    bench: Bench, link: CompanionLink, light: CompanionIndicator, button: CompanionButton, watcher: Watcher
) -> None:
    luck = random.Random(3)

    def lossy(data: bytes) -> bytes:
        """Lose one byte in 500, and turn a bit in another."""
        kept = bytearray()
        for byte in data:
            throw = luck.randrange(1000)
            if throw > 1:
                kept.append(byte)
            elif throw == 1:
                kept.append(byte ^ (1 << luck.randrange(8)))
        return bytes(kept)

    bench.to_pi = bench.to_controller = lossy
    for _ in range(6):
        bench.button((True, 40), (False, 40))
    watcher.until(lambda: len(watcher.edges) == 12, 30)
    assert [edge.pressed for edge in watcher.edges] == [True, False] * 6
    watcher.until(lambda: link.counters.refused > 0, 30)


def test_garbage_from_the_controller_is_counted_and_does_nothing(
    bench: Bench, link: CompanionLink, light: CompanionIndicator, watcher: Watcher
) -> None:
    light.light(1)
    watcher.until(lambda: light.state().lit)
    status = link.status
    assert status is not None
    for garbage in (
        b"\x00\xff\n",
        b"=" * 1000 + b"\n",
        seal("=1 boot=00000000"),
        seal("!1 sideways 5"),
        seal("<1 maybe"),
        seal("~"),
        seal(f"={status.time_ms} boot={status.boot} seq=x"),
    ):
        bench.say_to_pi(b"\n" + garbage)
    watcher.until(lambda: link.counters.refused >= 7)
    assert light.state().lit
    assert link.fault() is None


def test_the_battery(bench: Bench, link: CompanionLink, watcher: Watcher) -> None:
    battery = CompanionBattery(link)
    reading = battery.read()
    assert reading is not None
    assert reading.charging is False
    assert 60 <= reading.percent <= 70
    bench.battery(0, charging=True)
    watcher.until(lambda: (s := link.status) is not None and s.voltage_mv == 0)
    with pytest.raises(DriverError, match="0 mV is no lithium-ion cell"):
        battery.read()


def test_an_announcement_keeps_the_power(bench: Bench) -> None:
    with CompanionLink(bench.port, audible=True) as link, Owner(link):
        watcher = Watcher(link)
        with CompanionIndicator(link) as light, CompanionCameraPower(link) as power:
            assert link.wait_live(WAIT_S)
            light_up(light, power, watcher)
            link.announce_audibly()
            watcher.until(lambda: (s := link.status) is not None and s.audible)
            said_ns = time.monotonic_ns()
            bench.lamp(percent=0)
            watcher.until(lambda: not light.state().lit)
            bench.until(lambda: not bench.camera, 4)
            assert time.monotonic_ns() - said_ns >= 1500 * MS


def test_closing_says_bye(bench: Bench) -> None:
    with CompanionLink(bench.port) as link:
        assert link.wait_live(WAIT_S)
        light = CompanionIndicator(link)
        light.light(1)
        bench.until(lambda: bench.duty == FULL_DUTY)
    bench.until(lambda: bench.duty == 0)
    bench.until(lambda: bench.said(" state=idle "))
    link.close()
    assert not link.alive
    assert not light.state().lit
    assert "was closed" in (link.fault() or "")


def test_a_process_that_begins_anew_hears_of_what_its_forerunner_missed(bench: Bench) -> None:
    with CompanionLink(bench.port) as link:
        assert link.wait_live(WAIT_S)
    bench.button((True, 40), (False, 0))
    heard = bytearray()

    def overhear(data: bytes) -> bytes:
        heard.extend(data)
        return data

    bench.to_controller = overhear
    with CompanionLink(bench.port) as link, Owner(link):
        assert link.wait_live(WAIT_S)
        button = CompanionButton(link)
        watcher = Watcher(link)
        bench.until(lambda: b" seen 2*" in heard)  # they were told and taken, and nobody had watched yet
        button.watch(watcher.edge)
        watcher.until(lambda: len(watcher.edges) == 2)
        assert [edge.pressed for edge in watcher.edges] == [True, False]


def test_there_is_one_opener(bench: Bench, link: CompanionLink) -> None:
    with pytest.raises(DriverUnavailableError, match="cannot be opened"):
        CompanionLink(bench.port)


def test_no_port_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(DriverUnavailableError, match=r"companion: .*/none cannot be opened"):
        CompanionLink(str(tmp_path / "none"))


def test_an_old_controller_is_named(bench: Bench) -> None:
    bench.to_pi = lambda data: b""
    with CompanionLink(bench.port) as link, Owner(link):
        bench.until(lambda: bool(bench.beats_ns))
        # The hello's number is 1: the first word of this link.
        bench.say_to_pi(seal("<1 no proto 7"))
        end_ns = time.monotonic_ns() + 5_000 * MS
        while "speaks protocol 7" not in (link.fault() or "") and time.monotonic_ns() < end_ns:
            bench.say_to_pi(seal("<1 no proto 7"))
        assert "hardware/companion/" in (link.fault() or "")
