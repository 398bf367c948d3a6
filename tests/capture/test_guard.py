"""The watchdog's rules, on a clock that moves only when told."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from capture.chunk import FAULT, STALL
from capture.guard import Guard, Part
from capture.limits import Limits
from drivers.errors import DriverError
from tests.capture.fakes import MS, SECOND, Clock


class _Driver:
    def __init__(self) -> None:
        self.log: list[str] = []
        self.refuse = False
        self.stuck = False
        self.trouble: str | None = None
        self.current: Callable[[], bool] = lambda: False

    def start(self, current: Callable[[], bool]) -> None:
        if self.refuse:
            self.log.append("refused")
            raise DriverError("no such part")
        self.trouble = None
        self.current = current
        self.log.append("start")

    def stop(self) -> None:
        self.log.append("stop")
        if self.stuck:
            raise DriverError("stuck")

    def restarting(self, cause: str) -> None:
        self.log.append(cause)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def driver() -> _Driver:
    return _Driver()


@pytest.fixture
def guard(driver: _Driver, clock: Clock) -> Guard:
    part = Part("camera fake", driver.start, driver.stop, lambda: driver.trouble, driver.restarting, 2 * SECOND)
    return Guard(part, Limits(), clock)


def test_a_part_that_delivers_is_left_alone(guard: Guard, driver: _Driver, clock: Clock) -> None:
    guard.start()
    for _ in range(50):
        clock.now_ns += 1900 * MS
        guard.delivered()
        guard.check()
        assert guard.live(clock())
    assert driver.log == ["start"]


def test_a_silent_part_is_started_again(guard: Guard, driver: _Driver, clock: Clock) -> None:
    guard.start()
    guard.delivered()
    former = driver.current
    clock.now_ns += 2000 * MS
    guard.check()
    assert driver.log == ["start"]
    clock.now_ns += 1
    guard.check()
    assert driver.log == ["start", STALL, "stop", "start"]
    assert guard.restarts == 1
    assert "silent for 2.0 s" in str(guard.trouble)
    assert not former(), "what the former run still delivers must not count"
    assert driver.current()
    assert not guard.live(clock())
    guard.delivered()
    assert guard.live(clock())


def test_a_fault_is_not_waited_for_and_backs_off(guard: Guard, driver: _Driver, clock: Clock) -> None:
    guard.start()
    starts = []
    for _ in range(600):
        driver.trouble = "unplugged"
        before = driver.log.count("start")
        guard.check()
        if driver.log.count("start") > before:
            starts.append(clock.now_ns)
        clock.now_ns += 100 * MS
    pauses = [(after - before) // MS for before, after in pairwise(starts)]
    assert pauses == [1000, 2000, 4000, 8000, 10_000, 10_000, 10_000, 10_000]
    assert FAULT in driver.log


def test_a_part_that_delivers_rubbish_is_started_again(guard: Guard, driver: _Driver, clock: Clock) -> None:
    guard.start()
    clock.now_ns += SECOND
    guard.delivered()
    guard.distrust("rubbish")
    guard.check()
    assert driver.log == ["start", FAULT, "stop", "start"]
    assert guard.trouble == "rubbish"
    guard.check()
    assert guard.restarts == 1


def test_it_knows_whether_the_part_was_alive_at_a_time_gone_by(guard: Guard, driver: _Driver, clock: Clock) -> None:
    guard.start()
    assert not guard.live(clock())
    guard.delivered()
    clock.now_ns += SECOND
    driver.trouble = "unplugged"
    died = clock()
    guard.check()
    assert guard.live(died)
    assert not guard.live(died + 1)
    guard.delivered()
    assert guard.live(clock())
    assert not guard.live(clock() + 2 * SECOND + 1)


def test_a_part_that_does_not_start_is_tried_again(guard: Guard, driver: _Driver, clock: Clock) -> None:
    driver.refuse = True
    with pytest.raises(DriverError):
        guard.start()
    for _ in range(40):
        clock.now_ns += 100 * MS
        guard.check()
    assert driver.log == ["refused"] * 4  # at 0, 0.5, 1.5 and 3.5 s
    assert guard.trouble == "no such part"
    driver.refuse = False
    clock.now_ns += 10 * SECOND
    guard.check()
    assert driver.log[-1] == "start"


def test_a_long_good_run_forgives(guard: Guard, driver: _Driver, clock: Clock) -> None:
    guard.start()
    for trouble_after_s in (0, 0, 0, 12, 12):
        for _ in range(trouble_after_s):
            clock.now_ns += SECOND
            guard.delivered()
            guard.check()
        driver.trouble = "unplugged"
        guard.check()
        while driver.log[-1] != "start":
            clock.now_ns += 100 * MS
            guard.check()
    since = clock.now_ns
    driver.trouble = "unplugged"
    guard.check()
    while driver.log[-1] != "start":
        clock.now_ns += 100 * MS
        guard.check()
    assert clock.now_ns - since <= SECOND


def test_a_part_that_does_not_stop_is_started_all_the_same(guard: Guard, driver: _Driver, clock: Clock) -> None:
    guard.start()
    driver.stuck = True
    clock.now_ns += 3 * SECOND
    guard.check()
    assert driver.log == ["start", STALL, "stop", "start"]
    guard.stop()
    assert guard.trouble == "stuck"
    assert not driver.current()
