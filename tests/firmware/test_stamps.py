"""The stamp of a chunk: its own time, the clock's quality, the light over exactly its duration."""

from __future__ import annotations

import pytest

from drivers.clock.referenced import ReferencedClock
from drivers.clock.simulated import SimulatedClock
from drivers.indicator.protocol import LightState
from firmware.light_witness import LightWitness
from firmware.stamps import Stamper
from storage.layout import UNKNOWN_UNCERTAINTY_MS, ClockSource, Light

SECOND = 1_000_000_000


def stamper(clock: SimulatedClock, *, since_ns: int = 0) -> Stamper:
    return Stamper(clock, LightWitness(LightState(since_ns, True, True)))


def test_the_wall_clock_is_that_of_the_chunk_and_not_of_the_stamping() -> None:
    clock = SimulatedClock(monotonic_ns=100 * SECOND, utc_ns=5000 * SECOND)
    stamp = stamper(clock).over(98 * SECOND, SECOND // 3)
    assert (stamp.monotonic_ns, stamp.utc_ns, stamp.duration_ns) == (98 * SECOND, 4998 * SECOND, SECOND // 3)


def test_now_is_an_instant() -> None:
    clock = SimulatedClock(monotonic_ns=7, utc_ns=70)
    stamp = stamper(clock).now()
    assert (stamp.monotonic_ns, stamp.utc_ns, stamp.duration_ns) == (7, 70, 0)
    assert (stamp.commanded, stamp.sensed) == (Light.LIT, Light.LIT)


def test_a_jump_of_the_wall_clock_shows_from_then_on() -> None:
    clock = SimulatedClock(monotonic_ns=100 * SECOND, utc_ns=5000 * SECOND)
    made = stamper(clock)
    clock.set_utc(9000 * SECOND)
    assert made.over(99 * SECOND, 0).utc_ns == 8999 * SECOND


@pytest.mark.parametrize(
    ("synchronised", "uncertainty_ms", "source", "stamped_ms"),
    [
        (True, 12, ClockSource.NTP, 12),
        (True, 0, ClockSource.NTP, 0),
        (True, None, ClockSource.NTP, UNKNOWN_UNCERTAINTY_MS),
        (False, None, ClockSource.RTC, UNKNOWN_UNCERTAINTY_MS),
        (False, 12, ClockSource.RTC, UNKNOWN_UNCERTAINTY_MS),
    ],
)
def test_the_clock_is_never_said_to_be_better_than_it_is(
    synchronised: bool, uncertainty_ms: int | None, source: ClockSource, stamped_ms: int
) -> None:
    clock = SimulatedClock()
    clock.synchronised, clock.uncertainty_ms = synchronised, uncertainty_ms
    stamp = stamper(clock).now()
    assert (stamp.clock_source, stamp.clock_uncertainty_ms) == (source, stamped_ms)


def test_a_board_without_a_clock_of_its_own_says_so() -> None:
    clock = SimulatedClock()
    clock.synchronised = False
    made = Stamper(clock, LightWitness(LightState(0, False, None)), free_running=ClockSource.NONE)
    assert made.now().clock_source is ClockSource.NONE


def test_the_light_is_that_of_the_chunks_own_time() -> None:
    clock = SimulatedClock(monotonic_ns=1000)
    light = LightWitness(LightState(0, False, False))
    light.saw(LightState(500, True, True))
    made = Stamper(clock, light)
    chunks = [made.over(500, 300), made.over(400, 300), made.over(100, 400)]
    assert [(chunk.commanded, chunk.sensed) for chunk in chunks] == [
        (Light.LIT, Light.LIT),
        (Light.PARTLY, Light.PARTLY),
        (Light.DARK, Light.DARK),
    ]


def test_a_docks_time_is_stamped_with_how_exact_it_is() -> None:
    clock = SimulatedClock()
    clock.synchronised, clock.uncertainty_ms = False, None
    made = ReferencedClock(clock)
    made.dock(clock.read().utc_ns)
    stamp = Stamper(made, LightWitness(LightState(0, True, True))).now()
    assert (stamp.clock_source, stamp.clock_uncertainty_ms) == (ClockSource.DOCK, 1000)
