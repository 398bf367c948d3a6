"""The buzzer: one behaviour on a pin, in memory and without one; the wave on the pin; a buzzer that is broken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from gpiozero.pins.mock import MockFactory, MockPin, MockPWMPin

from drivers.buzzer.disabled import DisabledBuzzer
from drivers.buzzer.gpio import GpioBuzzer
from drivers.buzzer.protocol import Buzzer
from drivers.buzzer.simulated import SimulatedBuzzer
from drivers.errors import DriverError
from drivers.gpio import make_pin_factory

PIN = 18


class RecordingPin(MockPWMPin):  # type: ignore[misc]
    """A pin that also remembers the frequency that each duty had."""

    def __init__(self, factory: Any, info: Any) -> None:
        super().__init__(factory, info)
        self.wave: list[tuple[float | None, float]] = []

    def _set_state(self, value: float) -> None:
        super()._set_state(value)
        self.wave.append((self.frequency, value))


@pytest.fixture
def factory() -> Iterator[Any]:
    made = make_pin_factory("mock")
    yield made
    made.close()


@pytest.fixture(params=["gpio", "simulated", "disabled"])
def buzzer(request: pytest.FixtureRequest, factory: Any) -> Iterator[Buzzer]:
    made: Buzzer
    if request.param == "gpio":
        made = GpioBuzzer(PIN, factory=factory)
    else:
        made = SimulatedBuzzer() if request.param == "simulated" else DisabledBuzzer()
    with made:
        assert made.name == request.param
        yield made


def test_only_a_disabled_one_is_not_present(buzzer: Buzzer) -> None:
    assert buzzer.present == (buzzer.name != "disabled")


def test_closing_is_final_and_idempotent(buzzer: Buzzer) -> None:
    buzzer.sound(2700)
    buzzer.close()
    buzzer.close()
    with pytest.raises(DriverError, match=r"^buzzer: it was closed; make a new one$"):
        buzzer.sound(0)


@pytest.mark.parametrize("tone", [-1, 19, 10_001])
def test_a_tone_that_no_buzzer_has(buzzer: Buzzer, tone: int) -> None:
    with pytest.raises(ValueError, match=f"no tone of {tone} Hz"):
        buzzer.sound(tone)


def test_the_wave_on_the_pin(factory: Any) -> None:
    pin = factory.pin(PIN, pin_class=RecordingPin)
    with GpioBuzzer(PIN, factory=factory) as buzzer:
        pin.wave.clear()
        buzzer.sound(2700)
        buzzer.sound(1500)
        buzzer.sound(0)
        assert pin.wave == [(2700, 0.5), (1500, 0.5), (1500, 0)]
        buzzer.sound(2700)
    assert pin.wave[-1] == (2700, 0)
    assert (pin.state, pin.frequency) == (0, None)


def test_the_pin_is_never_driven_while_it_is_claimed(factory: Any) -> None:
    pin = factory.pin(PIN, pin_class=RecordingPin)
    with GpioBuzzer(PIN, factory=factory):
        assert {duty for _, duty in pin.wave} == {0}


def test_a_pin_in_use_and_a_pin_without_pwm_are_one_clear_line(factory: Any) -> None:
    with GpioBuzzer(PIN, factory=factory), pytest.raises(DriverError, match=r"^buzzer: claiming pin 18 failed \("):
        GpioBuzzer(PIN, factory=factory)
    plain = MockFactory(pin_class=MockPin)
    try:
        with pytest.raises(DriverError, match="PinPWMUnsupported"):
            GpioBuzzer(PIN, factory=plain)
    finally:
        plain.close()


def test_a_pin_that_fails(factory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    buzzer = GpioBuzzer(PIN, factory=factory)

    def refuse(self: object, value: float) -> None:
        raise OSError("bad handle")

    with monkeypatch.context() as patch:
        patch.setattr(MockPWMPin, "_set_state", refuse)
        with pytest.raises(DriverError, match=r"buzzer: sounding 2700 Hz failed \(OSError: bad handle\)"):
            buzzer.sound(2700)
        with pytest.raises(DriverError, match="buzzer: switching it off failed"):
            buzzer.close()
    GpioBuzzer(PIN, factory=factory).close()  # it was given back


def test_a_simulated_one_is_heard() -> None:
    ticks = iter(range(100))
    heard: list[tuple[int, int]] = []
    buzzer = SimulatedBuzzer(listener=lambda time_ns, tone: heard.append((time_ns, tone)), now=lambda: next(ticks))
    buzzer.sound(2700)
    buzzer.sound(2700)
    buzzer.sound(1500)
    assert buzzer.tone_hz == 1500
    buzzer.close()
    assert heard == buzzer.changes == [(0, 2700), (1, 1500), (2, 0)]
    assert buzzer.tone_hz == 0


def test_a_simulated_one_that_takes_commands_and_is_not_heard() -> None:
    heard: list[int] = []
    buzzer = SimulatedBuzzer(listener=lambda _, tone: heard.append(tone))
    buzzer.sound(2700)
    buzzer.mute(True)
    buzzer.sound(1500)
    assert (heard, buzzer.tone_hz) == ([2700, 0], 0)
    buzzer.mute(False)
    assert (heard, buzzer.tone_hz) == ([2700, 0, 1500], 1500)
    assert [tone for _, tone in buzzer.changes] == [2700, 1500]


def test_a_simulated_one_that_refuses_falls_silent() -> None:
    buzzer = SimulatedBuzzer()
    buzzer.sound(2700)
    buzzer.refuse("wire cut")
    assert buzzer.tone_hz == 0
    with pytest.raises(DriverError, match="wire cut"):
        buzzer.sound(2700)
    buzzer.refuse(None)
    buzzer.sound(1500)
    assert buzzer.tone_hz == 1500


def test_a_simulated_one_remembers_a_bounded_number_of_changes() -> None:
    buzzer = SimulatedBuzzer()
    for at in range(5000):
        buzzer.sound(1000 + at)
    assert len(buzzer.changes) == 4096
    assert buzzer.changes[-1][1] == 5999
