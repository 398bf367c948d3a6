"""Battery gauges: the MAX17048 by its registers, the simulated one, and none."""

from __future__ import annotations

import pytest

from drivers.battery.disabled import DisabledBattery
from drivers.battery.max17048 import Max17048Battery
from drivers.battery.simulated import SimulatedBattery
from drivers.errors import DriverError
from tests.drivers.chips import FakeChip


def chip(*, volt_mv: float = 3900, percent: float = 55.5, rate_percent_h: float = 0) -> FakeChip:
    made = FakeChip(0x36, {})
    made.word(0x08, 0x0012)
    made.word(0x02, round(volt_mv * 1000 / 78.125))
    made.word(0x04, round(percent * 256))
    made.word(0x16, round(rate_percent_h / 0.208) & 0xFFFF)
    return made


def gauge(made: FakeChip) -> Max17048Battery:
    return Max17048Battery(1, make_bus=lambda _bus: made, now=lambda: 42)


@pytest.mark.parametrize(("rate", "charging"), [(0.0, False), (30.0, True), (-25.0, False), (0.4, False)])
def test_the_registers_are_read_as_the_data_sheet_says(rate: float, charging: bool) -> None:
    with gauge(chip(rate_percent_h=rate)) as battery:
        reading = battery.read()
    assert reading is not None
    assert (reading.time_ns, reading.voltage_mv, reading.percent, reading.charging) == (42, 3900, 55.5, charging)
    assert battery.present


def test_more_than_full_is_full() -> None:
    reading = gauge(chip(percent=103)).read()
    assert reading is not None
    assert reading.percent == 100


@pytest.mark.parametrize("volt_mv", [0, 2000, 5000])
def test_what_no_cell_has_is_refused(volt_mv: float) -> None:
    with pytest.raises(DriverError, match="check its wiring"):
        gauge(chip(volt_mv=volt_mv)).read()


def test_another_chip_or_none_is_one_line_and_gives_the_bus_back() -> None:
    other = chip()
    other.word(0x08, 0x1234)
    with pytest.raises(DriverError, match="another chip answers"):
        gauge(other)
    silent = chip()
    silent.broken = True
    with pytest.raises(DriverError, match="does not answer"):
        gauge(silent)
    assert other.closed
    assert silent.closed


def test_a_gauge_that_falls_silent_and_comes_back() -> None:
    made = chip()
    battery = gauge(made)
    made.broken = True
    with pytest.raises(DriverError, match="does not answer"):
        battery.read()
    made.broken = False
    assert battery.read() is not None
    battery.close()
    battery.close()
    with pytest.raises(DriverError, match="closed"):
        battery.read()


def test_simulated_and_disabled() -> None:
    battery = SimulatedBattery()
    battery.set(12, charging=True)
    reading = battery.read()
    assert reading is not None
    assert (reading.percent, reading.charging) == (12, True)
    battery.refuse("unplugged")
    with pytest.raises(DriverError, match="unplugged"):
        battery.read()
    assert DisabledBattery().read() is None
    assert not DisabledBattery().present
