"""One set of behaviour for the recording light and the button, over three ways to have them: the Pi's own pins, the
companion controller's program behind a serial line, and memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from drivers.button.gpio import GpioButton
from drivers.button.protocol import Button, ButtonEdge
from drivers.button.simulated import SimulatedButton
from drivers.companion.button import CompanionButton
from drivers.companion.indicator import CompanionIndicator
from drivers.companion.link import CompanionLink
from drivers.errors import DriverError
from drivers.indicator.gpio import GpioIndicator
from drivers.indicator.protocol import Indicator, LightState
from drivers.indicator.simulated import SimulatedIndicator
from tests.companion.bench import Controller
from tools.mock_pins import BUTTON, LIGHT, SENSE, MockPins

PATIENCE_S = 20.0


@dataclass
class Board:
    """A light and a button, and what happens to them."""

    light: Indicator
    button: Button
    tend: Callable[[], None]
    """What the main loop would do meanwhile."""
    tear_lamp_off: Callable[[], None]
    contact: Callable[[bool], None]

    def until(self, holds: Callable[[], bool]) -> None:
        end_s = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < end_s
            self.tend()
            time.sleep(0.002)


@pytest.fixture(params=["gpio", "companion", "simulated"])
def board(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Board]:
    if request.param == "gpio":
        pins = MockPins()
        sense = pins.factory.pin(SENSE)
        light = GpioIndicator(LIGHT, factory=pins.factory, sense_pin=SENSE, dimmable=True)
        button = GpioButton(BUTTON, factory=pins.factory)
        yield Board(
            light, button, lambda: None, sense.drive_low,
            lambda down: pins.button.drive_low() if down else pins.button.drive_high(),
        )  # fmt: skip
        light.close()
        button.close()
        pins.factory.close()
    elif request.param == "simulated":
        lamp, knob = SimulatedIndicator(), SimulatedButton()
        yield Board(
            lamp, knob, lambda: None, lambda: lamp.stick(False), lambda down: (knob.press if down else knob.release)()
        )
    else:
        with Controller(tmp_path) as controller, CompanionLink(controller.port) as link:
            made = Board(
                CompanionIndicator(link), CompanionButton(link), link.refresh,
                lambda: controller.do("lamp", 0, 0), lambda down: controller.do("button", int(down), 40),
            )  # fmt: skip
            made.until(lambda: link.live)
            yield made


def test_it_begins_dark_and_not_pressed(board: Board) -> None:
    assert not board.light.state().lit
    assert not board.button.pressed


@pytest.mark.parametrize("level", [1.0, 0.3, 0.05])
def test_lit_means_commanded_and_drawing_current(board: Board, level: float) -> None:
    board.light.light(level)
    assert board.light.state().commanded
    board.until(lambda: board.light.state().lit)
    board.light.light(0.0)
    assert not board.light.state().commanded
    board.until(lambda: board.light.state().sensed is False)
    assert not board.light.state().lit


def test_a_lamp_that_is_torn_off_is_told(board: Board) -> None:
    told: list[LightState] = []
    board.light.light(1.0)
    board.until(lambda: board.light.state().lit)
    board.light.watch(told.append)
    board.tear_lamp_off()
    board.until(lambda: any(state.commanded and state.sensed is False for state in told))
    assert not board.light.state().lit


@pytest.mark.parametrize("level", [-0.1, 1.1])
def test_a_level_that_is_none(board: Board, level: float) -> None:
    with pytest.raises(ValueError, match="level"):
        board.light.light(level)


def test_presses_come_in_order_with_their_times(board: Board) -> None:
    edges: list[ButtonEdge] = []
    board.button.watch(edges.append)
    for down in (True, False, True, False):
        board.contact(down)
        board.until(lambda down=down: board.button.pressed is down)  # type: ignore[misc]
    board.until(lambda: len(edges) == 4)
    assert [edge.pressed for edge in edges] == [True, False, True, False]
    times = [edge.time_ns for edge in edges]
    assert times == sorted(times)
    assert times[-1] <= time.monotonic_ns()


def test_nobody_is_told_after_watching_stopped(board: Board) -> None:
    edges: list[ButtonEdge] = []
    told: list[LightState] = []
    board.button.watch(edges.append)
    board.light.watch(told.append)
    board.button.watch(None)
    board.light.watch(None)
    board.light.light(1.0)
    board.contact(True)
    board.until(lambda: board.light.state().lit)
    assert edges == []
    assert told == []


def test_closing_is_dark_final_and_idempotent(board: Board) -> None:
    board.light.light(1.0)
    board.until(lambda: board.light.state().lit)
    board.light.close()
    board.light.close()
    board.button.close()
    board.button.close()
    assert not board.light.state().lit
    with pytest.raises(DriverError, match="closed"):
        board.light.light(1.0)
