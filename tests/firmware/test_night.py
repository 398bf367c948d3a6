"""Night comes by the clock, and never where the clock cannot be right."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from drivers.clock.protocol import ClockReading
from firmware.night import NightWatch
from storage.policy_fields import SignalRules

SECOND = 1_000_000_000
EAST = timezone(timedelta(hours=2))


class Watch:
    """A clock that goes as the test says."""

    def __init__(self, rules: SignalRules, zone: timezone = UTC) -> None:
        self.now_ns = 5 * SECOND
        self.time = datetime(2026, 12, 24, 12, tzinfo=UTC)
        self.utc_ns: int | None = None
        self.told: list[bool] = []
        self._night = NightWatch(self, rules, self.told.append, zone=zone)

    def monotonic_ns(self) -> int:
        return self.now_ns

    def read(self) -> ClockReading:
        utc_ns = int(self.time.timestamp()) * SECOND if self.utc_ns is None else self.utc_ns
        return ClockReading(self.now_ns, utc_ns, True, 5)

    def at(self, hour: int, minute: int = 0) -> list[bool]:
        self.time = self.time.replace(hour=hour, minute=minute)
        self.now_ns += 20 * SECOND
        self._night.look()
        return self.told

    def look_again(self) -> None:
        self._night.look()


def test_a_day_and_a_night() -> None:
    watch = Watch(SignalRules(night_from_h=22, night_until_h=6))
    assert watch.at(12) == []
    assert watch.at(21, 59) == []
    assert watch.at(22) == [True]
    assert watch.at(23) == [True]
    assert watch.at(5, 59) == [True]
    assert watch.at(6) == [True, False]


def test_a_night_within_a_day() -> None:
    watch = Watch(SignalRules(night_from_h=1, night_until_h=4))
    assert watch.at(0) == []
    assert watch.at(1) == [True]
    assert watch.at(3, 59) == [True]
    assert watch.at(4) == [True, False]


def test_the_hours_are_local() -> None:
    watch = Watch(SignalRules(night_from_h=22, night_until_h=6), EAST)
    assert watch.at(19, 59) == []
    assert watch.at(20) == [True]


@pytest.mark.parametrize("rules", [SignalRules(night_allowed=False), SignalRules(night_from_h=22, night_until_h=22)])
def test_never(rules: SignalRules) -> None:
    watch = Watch(rules)
    assert [watch.at(hour) for hour in range(24)] == [[]] * 24


@pytest.mark.parametrize("utc_ns", [0, -(10**18), 23 * 3600 * SECOND, 10**20])
def test_a_clock_that_cannot_be_right_makes_it_day(utc_ns: int) -> None:
    watch = Watch(SignalRules(night_from_h=22, night_until_h=6))
    assert watch.at(23) == [True]
    watch.utc_ns = utc_ns
    assert watch.at(23) == [True, False]


def test_it_looks_now_and_then() -> None:
    watch = Watch(replace(SignalRules(), night_from_h=22, night_until_h=6))
    assert watch.at(12) == []
    watch.time = watch.time.replace(hour=23)
    watch.look_again()
    assert watch.told == []
    assert watch.at(23) == [True]
