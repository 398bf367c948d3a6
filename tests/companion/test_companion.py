"""The companion's program in MicroPython and the Pi's driver, over a serial line."""

from __future__ import annotations

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
from drivers.companion.link import CompanionLink
from drivers.errors import DriverError
from tests.companion.bench import CAMERA_PIN, PATIENCE_S, Controller


class Pi:
    """The Pi's end: the link, kept alive by a main loop, and the parts on it."""

    def __init__(self, port: str) -> None:
        self.link = CompanionLink(port)
        self.light = CompanionIndicator(self.link)
        self.button = CompanionButton(self.link)
        self.power = CompanionCameraPower(self.link)
        self.battery = CompanionBattery(self.link)
        self.edges: list[ButtonEdge] = []
        self.button.watch(self.edges.append)
        self._hangs = threading.Event()
        self._ends = threading.Event()
        self._loop = threading.Thread(target=self._run, daemon=True)
        self._loop.start()

    def hang(self) -> None:
        """Let the main loop stand still."""
        self._hangs.set()

    def until(self, holds: Callable[[], bool]) -> None:
        """The line tells of nothing that could be waited for here, so look again and again."""
        end_s = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < end_s, (self.link.status, self.link.fault(), self.link.counters)
            time.sleep(0.005)

    def close(self) -> None:
        self._ends.set()
        self._loop.join(PATIENCE_S)
        self.link.close()

    def _run(self) -> None:
        while not self._ends.wait(0.1):
            if not self._hangs.is_set():
                self.link.refresh()


@pytest.fixture
def controller(tmp_path: Path) -> Iterator[Controller]:
    with Controller(tmp_path) as made:
        yield made


@pytest.fixture
def pi(controller: Controller) -> Iterator[Pi]:
    made = Pi(controller.port)
    try:
        assert made.link.wait_live(PATIENCE_S)
        yield made
    finally:
        made.close()


def record(pi: Pi) -> None:
    """Light on, seen to be lit; power on."""
    pi.light.light(1.0)
    pi.until(lambda: pi.light.state().lit)
    pi.power.enable(True)
    pi.until(lambda: pi.power.powered)


def test_light_then_camera_and_off_again(controller: Controller, pi: Pi) -> None:
    assert controller.driven(CAMERA_PIN) == ["0"]
    record(pi)
    assert controller.driven(CAMERA_PIN) == ["0", "1"]
    pi.light.light(0.0)
    controller.until(lambda: controller.pin(CAMERA_PIN) == "0")
    pi.until(lambda: not pi.power.powered and not pi.light.state().lit)


def test_no_light_no_camera(controller: Controller, pi: Pi) -> None:
    controller.do("lamp", 0, 0)  # the lamp is torn off: it draws no current
    pi.light.light(1.0)
    pi.until(lambda: pi.light.state().commanded)
    pi.power.enable(True)
    pi.until(lambda: pi.link.camera_refusal is not None)
    assert controller.driven(CAMERA_PIN) == ["0"], "never powered, not for a moment"
    assert pi.light.state().sensed is False


def test_a_light_that_breaks_takes_the_cameras_power_with_it(controller: Controller, pi: Pi) -> None:
    record(pi)
    controller.do("lamp", 0, 0)
    controller.until(lambda: controller.pin(CAMERA_PIN) == "0")
    pi.until(lambda: not pi.light.state().lit and not pi.power.powered)


def test_a_dimmed_light_keeps_the_camera(controller: Controller, pi: Pi) -> None:
    record(pi)
    pi.light.light(0.05)
    pi.until(lambda: (status := pi.link.status) is not None and status.level == 50)
    pi.until(lambda: pi.power.powered)
    assert controller.driven(CAMERA_PIN) == ["0", "1"], "never cut, not for a moment"


def test_a_pi_that_hangs_loses_the_camera_within_its_time(controller: Controller, pi: Pi) -> None:
    record(pi)
    pi.hang()
    begun_us = time.monotonic_ns() // 1000
    controller.until(lambda: controller.pin(CAMERA_PIN) == "0")
    took_s = (time.monotonic_ns() // 1000 - begun_us) / 1e6
    assert took_s < 3.0, "the last heartbeat, then the controller's two seconds"
    pi.until(lambda: not pi.light.state().lit)


def test_a_controller_that_is_reset_is_safe_and_is_found_again(controller: Controller, pi: Pi) -> None:
    record(pi)
    controller.kill()
    pi.until(lambda: not pi.light.state().lit and pi.link.fault() is not None)
    controller.start("watchdog")
    pi.until(lambda: pi.link.live)
    assert controller.driven(CAMERA_PIN) == ["0", "1", "0"], "off from the first instruction of the new life"
    pi.until(lambda: pi.light.state().lit)  # the light is wanted still; the camera must be asked for anew
    assert not pi.power.powered


def test_presses_arrive_in_order_and_chatter_with_them(controller: Controller, pi: Pi) -> None:
    controller.do("button", 1, 100, 0, 100, 1, 3, 0, 3, 1, 100, 0, 50)
    pi.until(lambda: len(pi.edges) == 6)
    assert [edge.pressed for edge in pi.edges] == [True, False] * 3
    times = [edge.time_ns for edge in pi.edges]
    assert times == sorted(times)
    assert 60_000_000 < times[1] - times[0] < 160_000_000


def test_a_press_while_the_line_is_lost_is_told_afterwards(controller: Controller, pi: Pi) -> None:
    pi.hang()
    pi.until(lambda: not pi.link.live)
    controller.do("button", 1, 50, 0, 50)
    pi._hangs.clear()
    pi.until(lambda: len(pi.edges) == 2)
    assert [edge.pressed for edge in pi.edges] == [True, False]


def test_noise_on_the_line_changes_nothing(controller: Controller, pi: Pi) -> None:
    record(pi)
    for noise in (b"\x00\xff" * 500, b"=1 state=live light=0*0000\n", b">1 hello 1 AAAA*FFFF\n", b"!9 down 1*1234\n"):
        controller.inject(noise)
    pi.until(lambda: pi.light.state().lit and pi.power.powered)
    assert controller.driven(CAMERA_PIN) == ["0", "1"], "never cut, not for a moment"
    assert pi.edges == []


def test_the_battery_is_read(controller: Controller, pi: Pi) -> None:
    def reads() -> bool:
        try:
            reading = pi.battery.read()
        except DriverError:  # for as long as the line is silent
            return False
        return reading is not None and abs(reading.voltage_mv - 3700) < 60 and reading.charging is True

    controller.do("battery", 3700, 1)
    pi.until(reads)


def test_a_good_bye_is_dark_and_without_power(controller: Controller, pi: Pi) -> None:
    record(pi)
    pi.close()
    controller.until(lambda: controller.pin(CAMERA_PIN) == "0")
