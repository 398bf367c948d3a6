"""The LIS3DH by its registers; falls and blows, and what is neither."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.accelerometer.falls import FallDetector, Felt
from drivers.accelerometer.lis3dh import Lis3dhAccelerometer
from drivers.accelerometer.protocol import Acceleration
from drivers.accelerometer.simulated import SimulatedAccelerometer
from drivers.errors import DriverError
from tests.drivers.chips import FakeChip

PERIOD_NS = 20_000_000
PATIENCE_S = 20.0


def chip(x_g: float = 0, y_g: float = 0, z_g: float = 1) -> FakeChip:
    made = FakeChip(0x18, {0x0F: 0x33})
    for at, byte in enumerate(struct.pack("<3h", *(round(value / 0.012) * 16 for value in (x_g, y_g, z_g)))):
        made.registers[0x28 + at] = byte
    return made


def test_it_is_set_up_and_read_as_the_data_sheet_says() -> None:
    made = chip(x_g=-2.4, z_g=12)
    samples: list[Acceleration] = []
    with Lis3dhAccelerometer(1, make_bus=lambda _bus: made, now=lambda: 7) as sensor:
        sensor.start(samples.append)
        with made.read:
            assert made.read.wait_for(lambda: made.reads > 4, PATIENCE_S)
        assert made.registers[0x20] == 0x47, "50 Hz, all axes"
        assert made.registers[0x23] == 0xB8, "16 g, high resolution"
        sensor.stop()
    assert samples[0].time_ns == 7
    assert samples[0].x_g == pytest.approx(-2.4)
    assert samples[0].z_g == pytest.approx(12)
    assert made.registers[0x20] == 0, "asleep"
    assert made.closed


def test_a_sensor_that_falls_silent_is_a_fault_until_it_is_back() -> None:
    made = chip()
    with Lis3dhAccelerometer(1, make_bus=lambda _bus: made) as sensor:
        sensor.start(lambda _sample: None)
        made.broken = True
        with made.read:
            assert made.read.wait_for(lambda: made.reads > 20, PATIENCE_S)
        assert "does not answer" in (sensor.fault() or "")
        made.broken = False
        with made.read:
            now = made.reads
            assert made.read.wait_for(lambda: made.reads > now + 2, PATIENCE_S)
        assert sensor.fault() is None


def test_another_chip_is_refused() -> None:
    made = chip()
    made.registers[0x0F] = 0x44
    with pytest.raises(DriverError, match="another chip answers"):
        Lis3dhAccelerometer(1, make_bus=lambda _bus: made)
    assert made.closed


def felt(strengths: list[float]) -> list[Felt]:
    detector = FallDetector()
    found = [
        detector.feel(Acceleration(10**12 + at * PERIOD_NS, strength, 0, 0)) for at, strength in enumerate(strengths)
    ]
    return [item for item in found if item is not None]


def test_a_drop_from_a_metre_is_a_fall() -> None:
    (found,) = felt([1.0] * 20 + [0.03] * 22 + [7.0, 4.0, 2.0] + [1.0] * 50)
    assert found == Felt("fall", 7000)


def test_a_blow_alone() -> None:
    (found,) = felt([1.0] * 20 + [9.5, 4.0] + [1.0] * 50)
    assert found.kind == "blow"


@given(st.floats(1.5, 3.2), st.floats(0.1, 0.9), st.floats(-0.4, 0.4))
def test_walking_and_running_are_neither(hertz: float, swing: float, lean: float) -> None:
    """Steps of up to 4 g, and floating for less than a tenth of a second between them."""
    strengths = []
    for at in range(1000):
        phase = at * 0.02 * hertz % 1.0
        strengths.append(1 + lean + 3 * swing * math.sin(math.pi * phase / 0.4) if phase < 0.4 else 1 - swing * 0.4)
    assert felt(strengths) == []


@given(st.lists(st.floats(0.4, 2.9), max_size=300))
def test_being_handled_is_neither(strengths: list[float]) -> None:
    assert felt(strengths) == []


def test_put_down_hard_on_a_table_is_neither() -> None:
    assert felt([1.0] * 20 + [0.3] * 3 + [5.0, 2.0] + [1.0] * 20) == []


def test_the_simulated_fall_is_one() -> None:
    sensor, detector = SimulatedAccelerometer(), FallDetector()
    found: list[Felt | None] = []
    sensor.start(lambda sample: found.append(detector.feel(sample)))
    sensor.fall()
    sensor.stop()
    sensor.fall()
    assert [item.kind for item in found if item] == ["fall"]
