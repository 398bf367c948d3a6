"""Which time a reading is from, and how good it says it is."""

from __future__ import annotations

import pytest

from drivers.clock.jumps import JumpWatch
from drivers.clock.protocol import ClockReading, TimeSource
from drivers.clock.referenced import ReferencedClock
from drivers.clock.shifted import ShiftedClock
from drivers.clock.simulated import SimulatedClock
from drivers.errors import DriverError
from drivers.gnss.protocol import Fix
from drivers.rtc.protocol import Rtc, RtcReading

SECOND = 1_000_000_000
YEAR = 365 * 86_400 * SECOND


def fix(time_ns: int, utc_ns: int | None) -> Fix:
    return Fix(time_ns, utc_ns, 52.0, 5.0, None, None, 7)


class FakeRtc:
    """A real-time clock that gives one reading, or fails."""

    name, present = "fake", True

    def __init__(self, reading: RtcReading | DriverError | None) -> None:
        self.reading = reading

    def read(self) -> RtcReading | None:
        if isinstance(self.reading, DriverError):
            raise self.reading
        return self.reading

    def close(self) -> None: ...

    def __enter__(self) -> FakeRtc:
        return self

    def __exit__(self, *_: object) -> None: ...


def as_rtc(reading: RtcReading | DriverError | None) -> Rtc:
    return FakeRtc(reading)


def free_running() -> tuple[SimulatedClock, ReferencedClock]:
    clock = SimulatedClock()
    clock.synchronised, clock.uncertainty_ms = False, None
    return clock, ReferencedClock(clock)


def test_a_system_that_is_kept_in_step_is_believed_before_all() -> None:
    clock = SimulatedClock()
    made = ReferencedClock(clock)
    made.gnss(fix(clock.monotonic_ns(), 1))
    reading = made.read()
    assert (reading.source, reading.utc_ns, reading.uncertainty_ms) == (TimeSource.NTP, clock.read().utc_ns, 10)


def test_satellite_time_is_carried_on_and_grows_less_sure() -> None:
    clock, made = free_running()
    made.gnss(fix(clock.monotonic_ns(), 5 * YEAR))
    clock.advance(1000 * SECOND)
    reading = made.read()
    assert (reading.source, reading.utc_ns) == (TimeSource.GNSS, 5 * YEAR + 1000 * SECOND)
    assert reading.uncertainty_ms == 500 + 100
    clock.advance(86_400 * SECOND)
    assert made.read().source is TimeSource.NONE


def test_a_docks_time_is_carried_on_for_a_day_and_yields_to_satellites_and_to_the_network() -> None:
    clock, made = free_running()
    before = clock.read().utc_ns
    assert made.dock(before + 5 * SECOND) == 5 * SECOND
    clock.advance(1000 * SECOND)
    reading = made.read()
    assert (reading.source, reading.utc_ns) == (TimeSource.DOCK, before + 1005 * SECOND)
    assert reading.uncertainty_ms == 1000 + 100
    made.gnss(fix(clock.monotonic_ns(), 5 * YEAR))
    assert made.read().source is TimeSource.GNSS
    clock.synchronised = True
    assert made.read().source is TimeSource.NTP
    clock.synchronised = False
    clock.advance(86_401 * SECOND)
    assert made.read().source is TimeSource.NONE


def test_a_fix_without_a_time_says_nothing() -> None:
    clock, made = free_running()
    made.gnss(fix(clock.monotonic_ns(), None))
    assert made.read().source is TimeSource.NONE


def test_a_wall_clock_that_jumps_does_not_move_satellite_time() -> None:
    clock, made = free_running()
    made.gnss(fix(clock.monotonic_ns(), 5 * YEAR))
    clock.set_utc(0)
    assert made.read().utc_ns == 5 * YEAR


@pytest.mark.parametrize(
    ("off_s", "low", "source", "text"),
    [
        (0, False, TimeSource.RTC, None),
        (-1, None, TimeSource.RTC, None),
        (0, True, TimeSource.NONE, "battery is low"),
        (3600, False, TimeSource.NONE, "does not agree"),
    ],
)
def test_a_real_time_clock_counts_if_it_is_good_and_agrees(
    off_s: int, low: bool | None, source: TimeSource, text: str | None
) -> None:
    clock, made = free_running()
    found = made.rtc(as_rtc(RtcReading(clock.monotonic_ns(), clock.read().utc_ns + off_s * SECOND, low)))
    assert made.read().source is source
    assert text in found if found and text else found is text, found


def test_no_real_time_clock_or_a_broken_one() -> None:
    _clock, made = free_running()
    assert made.rtc(as_rtc(None)) is None
    assert made.rtc(as_rtc(DriverError("rtc: gone"))) == "rtc: gone"
    assert made.read().source is TimeSource.NONE


@pytest.mark.parametrize("by_ns", [YEAR, -YEAR, 3 * SECOND, -3 * SECOND])
def test_a_jump_is_seen_once_and_the_monotonic_clock_never_jumps(by_ns: int) -> None:
    clock = SimulatedClock()
    shifted, watch = ShiftedClock(clock), JumpWatch()
    assert watch.see(shifted.read()) == 0
    clock.advance(SECOND)
    shifted.jump(by_ns)
    assert watch.see(shifted.read()) == by_ns
    assert watch.see(shifted.read()) == 0
    assert shifted.monotonic_ns() == clock.monotonic_ns()


def test_a_clock_that_is_slewed_does_not_jump() -> None:
    watch = JumpWatch()
    for second in range(100):
        slewed = second * SECOND + second * SECOND // 2000
        assert watch.see(ClockReading(second * SECOND, slewed, True, 1)) == 0
