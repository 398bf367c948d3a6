"""The clock drivers."""

from __future__ import annotations

import threading
import time

from drivers.clock.protocol import Clock, ClockReading
from drivers.clock.simulated import SimulatedClock
from drivers.clock.system import SystemClock

SECOND = 1_000_000_000


def test_a_reading_converts_other_instants() -> None:
    reading = ClockReading(monotonic_ns=100, utc_ns=5000, synchronised=True, uncertainty_ms=1)
    assert [reading.utc_at(time_ns) for time_ns in (100, 90, 150)] == [5000, 4990, 5050]


def test_the_system_clock_reads_both_clocks_at_one_instant() -> None:
    clock: Clock = SystemClock()
    before_ns, before_utc_ns = time.monotonic_ns(), time.time_ns()
    reading = clock.read()
    after_ns, after_utc_ns = time.monotonic_ns(), time.time_ns()
    assert before_ns <= reading.monotonic_ns <= after_ns
    assert before_utc_ns <= reading.utc_ns <= after_utc_ns


def test_the_system_clocks_quality_is_plausible() -> None:
    """adjtimex(2) gives up on a clock whose largest error reaches 16 s; below a millisecond nothing is claimed."""
    reading = SystemClock().read()
    if reading.synchronised:
        assert reading.uncertainty_ms is not None
        assert 1 <= reading.uncertainty_ms <= 16_000
    else:
        assert reading.uncertainty_ms is None


class _Kernel:
    """Answers as the C library's adjtimex does."""

    def __init__(self, state: int, status: int, maxerror_us: int) -> None:
        self.state, self.status, self.maxerror_us = state, status, maxerror_us

    def adjtimex(self, reference: object) -> int:
        timex = reference._obj  # type: ignore[attr-defined]
        assert timex.modes == 0, "only asks, never sets"
        timex.status, timex.maxerror = self.status, self.maxerror_us
        return self.state


def quality(state: int, status: int, maxerror_us: int) -> tuple[bool, int | None]:
    clock = SystemClock()
    clock.__dict__["_libc"] = _Kernel(state, status, maxerror_us)
    reading = clock.read()
    return reading.synchronised, reading.uncertainty_ms


def test_what_the_kernel_says_becomes_the_quality() -> None:
    sta_unsync, sta_pll, time_ok, time_error = 0x40, 0x01, 0, 5
    assert quality(time_ok, sta_pll, 23_456) == (True, 23)
    assert quality(time_ok, sta_pll, 12) == (True, 1)
    assert quality(time_ok, sta_pll | sta_unsync, 12) == (False, None)
    assert quality(time_error, sta_pll, 12) == (False, None)
    assert quality(-1, 0, 0) == (False, None)


def test_the_simulated_clock_moves_only_when_told() -> None:
    clock: Clock = SimulatedClock(monotonic_ns=10, utc_ns=1000)
    assert clock.monotonic_ns() == clock.read().monotonic_ns == 10
    assert isinstance(clock, SimulatedClock)
    clock.advance(5)
    assert clock.read() == ClockReading(15, 1005, True, 10)
    clock.set_utc(1)
    assert clock.read() == ClockReading(15, 1, True, 10)
    clock.synchronised, clock.uncertainty_ms = False, None
    assert clock.read() == ClockReading(15, 1, False, None)


def test_the_simulated_clocks_two_clocks_are_never_read_apart() -> None:
    clock = SimulatedClock(monotonic_ns=0, utc_ns=1000)
    stop = threading.Event()

    def move() -> None:
        while not stop.is_set():
            clock.advance(1)

    thread = threading.Thread(target=move)
    thread.start()
    try:
        readings = [clock.read() for _ in range(2000)]
    finally:
        stop.set()
        thread.join(10)
    assert {reading.utc_ns - reading.monotonic_ns for reading in readings} == {1000}
