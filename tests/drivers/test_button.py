"""The record button: one behaviour on pins and in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from gpiozero.pins.mock import MockFactory

from drivers.button.disabled import DisabledButton
from drivers.button.gpio import GpioButton
from drivers.button.protocol import Button, ButtonEdge
from drivers.button.simulated import SimulatedButton
from drivers.errors import DriverError

PIN = 22


class Ticks:
    def __init__(self) -> None:
        self.ns = 0

    def __call__(self) -> int:
        self.ns += 1
        return self.ns


@dataclass
class Bench:
    button: Button
    push: Callable[[], None]
    let_go: Callable[[], None]


@pytest.fixture
def factory() -> Iterator[Any]:
    made = MockFactory()
    yield made
    made.close()


@pytest.fixture(params=["gpio", "gpio-pulled-down", "simulated"])
def bench(request: pytest.FixtureRequest, factory: Any) -> Iterator[Bench]:
    if request.param == "simulated":
        simulated = SimulatedButton(now=Ticks())
        with simulated:
            yield Bench(simulated, simulated.press, simulated.release)
        return
    pull_up = request.param == "gpio"
    with GpioButton(PIN, factory=factory, pull_up=pull_up, now=Ticks()) as button:
        pin = factory.pin(PIN)
        yield Bench(button, pin.drive_low if pull_up else pin.drive_high, pin.drive_high if pull_up else pin.drive_low)


def test_every_edge_is_reported_with_its_time(bench: Bench) -> None:
    edges: list[ButtonEdge] = []
    bench.button.watch(edges.append)
    assert not bench.button.pressed
    bench.push()
    assert bench.button.pressed
    bench.let_go()
    bench.push()
    bench.let_go()
    assert not bench.button.pressed
    assert [(edge.time_ns, edge.pressed) for edge in edges] == [(1, True), (2, False), (3, True), (4, False)]


def test_the_same_level_again_is_no_edge(bench: Bench) -> None:
    edges: list[ButtonEdge] = []
    bench.button.watch(edges.append)
    bench.push()
    bench.push()
    bench.let_go()
    bench.let_go()
    assert [edge.pressed for edge in edges] == [True, False]


def test_nobody_is_told_after_watching_stopped(bench: Bench) -> None:
    edges: list[ButtonEdge] = []
    bench.button.watch(edges.append)
    bench.button.watch(None)
    bench.push()
    assert edges == []
    assert bench.button.pressed


def test_closing_is_final_and_idempotent(bench: Bench) -> None:
    edges: list[ButtonEdge] = []
    bench.button.watch(edges.append)
    bench.button.close()
    bench.button.close()
    bench.push()
    assert edges == []
    assert not bench.button.pressed


def test_a_pin_in_use_is_one_clear_line(factory: Any) -> None:
    with GpioButton(PIN, factory=factory), pytest.raises(DriverError, match="button: claiming pin 22 failed"):
        GpioButton(PIN, factory=factory)


def test_a_disabled_button_is_never_pressed() -> None:
    edges: list[ButtonEdge] = []
    with DisabledButton() as button:
        button.watch(edges.append)
        assert not button.pressed
    assert edges == []
