"""The recording light: one behaviour on pins and in memory; the waveform on the pin; a light that cannot be lit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from gpiozero.pins.mock import MockConnectedPin, MockFactory, MockPWMPin

from drivers.errors import DriverError
from drivers.indicator.disabled import DisabledIndicator
from drivers.indicator.gpio import GpioIndicator
from drivers.indicator.protocol import Indicator, LightState
from drivers.indicator.simulated import SimulatedIndicator

LIGHT_PIN = 17
SENSE_PIN = 27


class Ticks:
    """A clock that advances by one at each look, so that the order of reports shows."""

    def __init__(self) -> None:
        self.ns = 0

    def __call__(self) -> int:
        self.ns += 1
        return self.ns


class ConnectedPWMPin(MockPWMPin):  # type: ignore[misc]
    """A pin with PWM that drives a sense circuit: any duty above 0 reads lit."""

    def __init__(self, factory: Any, info: Any, input_pin: Any) -> None:
        self._input_pin = input_pin
        super().__init__(factory, info)

    def _change_state(self, value: float) -> None:
        super()._change_state(value)
        (self._input_pin.drive_high if value else self._input_pin.drive_low)()


@dataclass
class Bench:
    """A light with a sense line, and a way to break it."""

    light: Indicator
    go_dark: Callable[[], None]
    repair: Callable[[], None]


@pytest.fixture
def factory() -> Iterator[Any]:
    made = MockFactory()
    yield made
    made.close()


@pytest.fixture(params=["gpio", "gpio-inverted", "simulated"])
def bench(request: pytest.FixtureRequest, factory: Any) -> Iterator[Bench]:
    if request.param == "simulated":
        simulated = SimulatedIndicator(now=Ticks())
        with simulated:
            yield Bench(simulated, lambda: simulated.stick(False), lambda: simulated.stick(None))
        return
    high = request.param == "gpio"
    sense = factory.pin(SENSE_PIN)
    factory.pin(LIGHT_PIN, pin_class=MockConnectedPin, input_pin=sense)
    # The mock's light pin starts as an input; a real sense circuit reads dark before the light is driven.
    sense.function = "input"
    (sense.drive_low if high else sense.drive_high)()
    with GpioIndicator(
        LIGHT_PIN, factory=factory, active_high=high, sense_pin=SENSE_PIN, sense_active_high=high, now=Ticks()
    ) as light:
        yield Bench(
            light,
            sense.drive_low if high else sense.drive_high,
            sense.drive_high if high else sense.drive_low,
        )


def seen(reports: list[LightState]) -> list[tuple[bool, bool | None]]:
    return [(report.commanded, report.sensed) for report in reports]


def test_it_begins_dark(bench: Bench) -> None:
    state = bench.light.state()
    assert (state.commanded, state.sensed, state.lit) == (False, False, False)


def test_it_follows_its_command(bench: Bench) -> None:
    bench.light.light(True)
    assert bench.light.state().lit
    bench.light.light(False)
    state = bench.light.state()
    assert (state.commanded, state.sensed, state.lit) == (False, False, False)


def test_it_reports_its_changes_in_order(bench: Bench) -> None:
    reports: list[LightState] = []
    bench.light.watch(reports.append)
    bench.light.light(True)
    bench.light.light(True)
    bench.light.light(False)
    states = seen(reports)
    assert states[-1] == (False, False)
    assert (True, True) in states
    assert [report.time_ns for report in reports] == sorted({report.time_ns for report in reports})


def test_a_lamp_that_breaks_is_reported_and_not_lit(bench: Bench) -> None:
    bench.light.light(True)
    reports: list[LightState] = []
    bench.light.watch(reports.append)
    bench.go_dark()
    assert seen(reports) == [(True, False)]
    assert not bench.light.state().lit
    bench.repair()
    assert seen(reports) == [(True, False), (True, True)]
    assert bench.light.state().lit


def test_nobody_is_told_after_watching_stopped(bench: Bench) -> None:
    reports: list[LightState] = []
    bench.light.watch(reports.append)
    bench.light.watch(None)
    bench.light.light(True)
    assert reports == []


def test_closing_is_dark_final_and_idempotent(bench: Bench) -> None:
    bench.light.light(True)
    bench.light.close()
    bench.light.close()
    assert not bench.light.state().lit
    with pytest.raises(DriverError, match="closed"):
        bench.light.light(True)


def test_the_waveform_on_the_pin(factory: Any) -> None:
    pin = factory.pin(LIGHT_PIN)
    with GpioIndicator(LIGHT_PIN, factory=factory) as light:
        pin.clear_states()
        light.light(True)
        light.light(True)
        light.light(False)
        light.light(True)
    # The last False is the close: the pin is let go dark.
    assert [bool(state) for _, state in pin.states[:5]] == [False, True, False, True, False]
    assert not pin.state


@pytest.mark.parametrize("high", [True, False])
def test_the_pin_is_never_lit_while_it_is_claimed(factory: Any, high: bool) -> None:
    pin = factory.pin(LIGHT_PIN)
    (pin.drive_low if high else pin.drive_high)()
    pin.clear_states()
    with GpioIndicator(LIGHT_PIN, factory=factory, active_high=high):
        assert {bool(state) for _, state in pin.states} == {not high}


def test_without_a_sense_line_nothing_is_sensed(factory: Any) -> None:
    for light in (GpioIndicator(LIGHT_PIN, factory=factory), SimulatedIndicator(has_sense=False)):
        with light:
            light.light(True)
            state = light.state()
            assert (state.sensed, state.lit) == (None, True)


def test_a_pin_in_use_is_one_clear_line_and_leaves_nothing_claimed(factory: Any) -> None:
    with (
        GpioIndicator(SENSE_PIN, factory=factory),
        pytest.raises(DriverError, match=r"claiming pin 17 and sense pin 27"),
    ):
        GpioIndicator(LIGHT_PIN, factory=factory, sense_pin=SENSE_PIN)
    GpioIndicator(LIGHT_PIN, factory=factory, sense_pin=SENSE_PIN).close()


def test_a_command_that_fails_does_not_count_as_lit(factory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pin = factory.pin(LIGHT_PIN)
    light = GpioIndicator(LIGHT_PIN, factory=factory)

    def refuse(self: object, value: float) -> None:
        raise OSError("bad handle")

    with monkeypatch.context() as patch:
        patch.setattr(type(pin), "_set_state", refuse)
        with pytest.raises(DriverError, match=r"switching the light on failed \(OSError: bad handle\)"):
            light.light(True)
        assert not light.state().commanded
        with pytest.raises(DriverError, match="putting the light out"):
            light.close()
    light.close()


def test_a_simulated_light_that_refuses() -> None:
    light = SimulatedIndicator()
    light.refuse("wire cut")
    with pytest.raises(DriverError, match="wire cut"):
        light.light(True)
    assert not light.state().commanded
    light.refuse(None)
    light.light(True)
    assert light.state().lit


def test_a_simulated_light_stuck_on_is_sensed(factory: Any) -> None:
    light = SimulatedIndicator()
    light.stick(True)
    state = light.state()
    assert (state.commanded, state.sensed, light.shining) == (False, True, True)


def test_a_disabled_light_never_claims_to_be_lit() -> None:
    reports: list[LightState] = []
    with DisabledIndicator() as light:
        light.watch(reports.append)
        light.light(True)
        assert seen(reports) == [(True, False)]
        assert not light.state().lit
    with pytest.raises(DriverError, match="closed"):
        light.light(True)


@pytest.fixture
def pwm_factory() -> Iterator[Any]:
    made = MockFactory(pin_class=MockPWMPin)
    yield made
    made.close()


def test_a_dimmable_light_follows_levels_on_the_pin(pwm_factory: Any) -> None:
    pin = pwm_factory.pin(LIGHT_PIN)
    with GpioIndicator(LIGHT_PIN, factory=pwm_factory, dimmable=True) as light:
        assert pin.frequency == 200
        assert [state for _, state in pin.states] == [0]
        for level in (1, 0.15, 0.05, 0.15, 0):
            light.light(level)
        assert [state for _, state in pin.states] == [0, 1, 0.15, 0.05, 0.15, 0]
        light.light(0.3)
    assert (pin.state, pin.frequency) == (0, None)


def test_dimming_is_no_change_of_the_command(pwm_factory: Any) -> None:
    sense = pwm_factory.pin(SENSE_PIN)
    pwm_factory.pin(LIGHT_PIN, pin_class=ConnectedPWMPin, input_pin=sense)
    sense.function = "input"
    sense.drive_low()
    reports: list[LightState] = []
    with GpioIndicator(LIGHT_PIN, factory=pwm_factory, dimmable=True, sense_pin=SENSE_PIN, now=Ticks()) as light:
        light.watch(reports.append)
        light.light(0.05)
        told = len(reports)
        assert seen(reports)[-1] == (True, True)
        light.light(1)
        light.light(0.15)
        assert light.state().lit
        assert len(reports) == told
        light.light(0)
        assert seen(reports)[-1] == (False, False)


def test_a_light_that_is_not_dimmable_is_full_at_every_level(factory: Any) -> None:
    pin = factory.pin(LIGHT_PIN)
    with GpioIndicator(LIGHT_PIN, factory=factory) as light:
        light.light(0.05)
        assert pin.state is True
        assert light.state().commanded


def test_a_dimmable_light_is_active_high(pwm_factory: Any) -> None:
    with pytest.raises(ValueError, match="active high"):
        GpioIndicator(LIGHT_PIN, factory=pwm_factory, dimmable=True, active_high=False)


def test_a_dimmable_light_on_a_pin_without_pwm_is_one_clear_line(factory: Any) -> None:
    with pytest.raises(DriverError, match=r"indicator: claiming pin 17 failed \(PinPWMUnsupported"):
        GpioIndicator(LIGHT_PIN, factory=factory, dimmable=True)


def test_a_simulated_light_has_a_level() -> None:
    with SimulatedIndicator() as light:
        light.light(0.15)
        assert (light.level, light.shining) == (0.15, True)
        light.stick(False)
        assert (light.level, light.shining) == (0, False)
        light.stick(True)
        assert (light.level, light.shining) == (1, True)


@pytest.mark.parametrize("level", [-0.1, 1.1])
def test_a_level_that_no_light_has(bench: Bench, level: float) -> None:
    bench.light.light(True)
    for light in (bench.light, DisabledIndicator()):
        with pytest.raises(ValueError, match="no level"):
            light.light(level)
    assert bench.light.state().lit
