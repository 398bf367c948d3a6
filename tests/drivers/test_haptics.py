"""The vibration motor: one behaviour on a pin, in memory and without one; the wave on the pin; a broken motor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from gpiozero.pins.mock import MockPWMPin

from drivers.errors import DriverError
from drivers.gpio import make_pin_factory
from drivers.haptics.disabled import DisabledHaptics
from drivers.haptics.gpio import GpioHaptics
from drivers.haptics.protocol import Haptics
from drivers.haptics.simulated import SimulatedHaptics

PIN = 12


@pytest.fixture
def factory() -> Iterator[Any]:
    made = make_pin_factory("mock")
    yield made
    made.close()


@pytest.fixture(params=["gpio", "simulated", "disabled"])
def haptics(request: pytest.FixtureRequest, factory: Any) -> Iterator[Haptics]:
    made: Haptics
    if request.param == "gpio":
        made = GpioHaptics(PIN, factory=factory)
    else:
        made = SimulatedHaptics() if request.param == "simulated" else DisabledHaptics()
    with made:
        assert made.name == request.param
        yield made


def test_only_a_disabled_one_is_not_present(haptics: Haptics) -> None:
    assert haptics.present == (haptics.name != "disabled")


def test_closing_is_final_and_idempotent(haptics: Haptics) -> None:
    haptics.drive(1)
    haptics.close()
    haptics.close()
    with pytest.raises(DriverError, match=r"^haptics: it was closed; make a new one$"):
        haptics.drive(0)


@pytest.mark.parametrize("strength", [-0.1, 1.1])
def test_a_strength_that_no_motor_has(haptics: Haptics, strength: float) -> None:
    with pytest.raises(ValueError, match="no strength"):
        haptics.drive(strength)


def test_the_wave_on_the_pin(factory: Any) -> None:
    pin = factory.pin(PIN)
    with GpioHaptics(PIN, factory=factory) as haptics:
        assert pin.frequency == 200
        assert [state for _, state in pin.states] == [0]
        haptics.drive(1)
        haptics.drive(0.5)
        haptics.drive(0)
        assert [state for _, state in pin.states] == [0, 1, 0.5, 0]
        haptics.drive(1)
    assert (pin.state, pin.frequency) == (0, None)


def test_a_pin_in_use_is_one_clear_line(factory: Any) -> None:
    with GpioHaptics(PIN, factory=factory), pytest.raises(DriverError, match=r"^haptics: claiming pin 12 failed \("):
        GpioHaptics(PIN, factory=factory)


def test_a_pin_that_fails(factory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    haptics = GpioHaptics(PIN, factory=factory)

    def refuse(self: object, value: float) -> None:
        raise OSError("bad handle")

    with monkeypatch.context() as patch:
        patch.setattr(MockPWMPin, "_set_state", refuse)
        with pytest.raises(DriverError, match=r"haptics: running the motor at 0.5 failed \(OSError: bad handle\)"):
            haptics.drive(0.5)
        with pytest.raises(DriverError, match="haptics: switching it off failed"):
            haptics.close()
    GpioHaptics(PIN, factory=factory).close()  # it was given back


def test_a_simulated_one_remembers_how_it_ran() -> None:
    ticks = iter(range(100))
    haptics = SimulatedHaptics(now=lambda: next(ticks))
    haptics.drive(1)
    haptics.drive(1)
    haptics.drive(0.5)
    assert haptics.strength == 0.5
    haptics.close()
    assert haptics.changes == [(0, 1), (1, 0.5), (2, 0)]


def test_a_simulated_one_that_refuses_stands_still() -> None:
    haptics = SimulatedHaptics()
    haptics.drive(1)
    haptics.refuse("wire cut")
    assert haptics.strength == 0
    with pytest.raises(DriverError, match="wire cut"):
        haptics.drive(1)
    haptics.refuse(None)
    haptics.drive(1)
    assert haptics.strength == 1


def test_a_simulated_one_remembers_a_bounded_number_of_changes() -> None:
    haptics = SimulatedHaptics()
    for at in range(5000):
        haptics.drive((at + 1) % 2)
    assert len(haptics.changes) == 4096
