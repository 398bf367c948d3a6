"""The age meter shows the least time that can have passed, whatever the wall clocks say."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import cbor
from storage.age_file import load_ages, save_ages
from storage.age_meter import CONFIRM_NS, MOST_RUNS, TOLERANCE_NS, AgeMeter, Anchor, MeterState, Reading, Run
from storage.errors import StoreFailedError
from storage.layout import ClockSource

S = 1_000_000_000
MIN, HOUR, DAY = 60 * S, 3600 * S, 86_400 * S
UTC = 1_790_000_000 * S
NTP, GNSS, DOCK, RTC, NONE = (
    ClockSource.NTP, ClockSource.GNSS, ClockSource.DOCK, ClockSource.RTC, ClockSource.NONE,
)  # fmt: skip


@dataclass
class Life:
    """A device with a true clock that it does not know."""

    meter: AgeMeter = field(default_factory=AgeMeter)
    true_ns: int = 0
    boot_ns: int = 0
    boots: int = 1
    lies_ns: dict[ClockSource, int] = field(default_factory=dict)

    @property
    def boot(self) -> bytes:
        return self.boots.to_bytes(16)

    def mark(self) -> tuple[bytes, int, int]:
        """A segment opens now: boot, monotonic, true time."""
        return self.boot, self.true_ns - self.boot_ns, self.true_ns

    def tick(self, source: ClockSource = NONE) -> bool:
        utc_ns = UTC + self.true_ns + self.lies_ns.get(source, 0)
        return self.meter.tick(Reading(self.boot, self.true_ns - self.boot_ns, utc_ns, source))

    def run(self, duration_ns: int, *sources: ClockSource) -> None:
        """Run so long, with a tick a minute, or a hundred in all where that is less."""
        self.tick()
        step_ns = max(MIN, duration_ns // 100)
        end_ns = self.true_ns + duration_ns
        while self.true_ns < end_ns:
            self.true_ns = min(end_ns, self.true_ns + step_ns)
            for source in sources or (NONE,):
                self.tick(source)

    def off(self, duration_ns: int) -> None:
        self.true_ns += duration_ns
        self.boot_ns = self.true_ns
        self.boots += 1

    def age(self, mark: tuple[bytes, int, int]) -> int:
        return self.meter.age_ns(mark[0], mark[1])

    def true_age(self, mark: tuple[bytes, int, int]) -> int:
        return self.true_ns - mark[2]


def test_while_it_runs_time_is_exact() -> None:
    life = Life()
    life.run(HOUR)
    mark = life.mark()
    life.run(5 * HOUR)
    assert life.age(mark) == 5 * HOUR


@pytest.mark.parametrize("jump_ns", [-20 * 365 * DAY, -DAY, DAY, 20 * 365 * DAY])
@pytest.mark.parametrize("source", [NTP, GNSS, RTC, NONE])
def test_a_wall_clock_that_jumps_while_it_runs_changes_nothing(jump_ns: int, source: ClockSource) -> None:
    life = Life()
    life.run(2 * HOUR, source)
    mark = life.mark()
    life.lies_ns[source] = jump_ns
    life.run(5 * HOUR, source)
    assert life.age(mark) == 5 * HOUR


def test_off_without_a_clock_is_not_counted() -> None:
    life = Life()
    life.run(HOUR)
    mark = life.mark()
    life.off(40 * DAY)
    life.run(HOUR)
    assert life.age(mark) == HOUR


@pytest.mark.parametrize("source", [NTP, GNSS])
def test_off_between_two_readings_is_counted_once_confirmed(source: ClockSource) -> None:
    life = Life()
    life.run(2 * HOUR, source)
    mark = life.mark()
    life.off(16 * HOUR)
    life.run(50 * MIN, source)
    assert life.age(mark) == 50 * MIN, "nobody else has said so yet"
    life.run(20 * MIN, source)
    assert life.age(mark) == 16 * HOUR + 70 * MIN == life.true_age(mark)


def test_a_witness_makes_it_quick() -> None:
    life = Life()
    life.run(2 * HOUR, NTP)
    mark = life.mark()
    life.off(16 * HOUR)
    life.tick(RTC)
    life.tick(GNSS)
    assert life.age(mark) == life.true_age(mark)


def test_the_dock_needs_no_witness() -> None:
    life = Life()
    life.tick(DOCK)
    mark = life.mark()
    life.off(16 * HOUR)
    life.tick(DOCK)
    assert life.age(mark) == 16 * HOUR


def test_a_real_time_clock_alone_ages_nothing() -> None:
    life = Life()
    life.run(2 * HOUR, RTC)
    mark = life.mark()
    life.off(40 * DAY)
    life.run(2 * HOUR, RTC)
    assert life.age(mark) == 2 * HOUR


def test_one_hostile_fix_ages_nothing() -> None:
    life = Life()
    life.run(2 * HOUR, NTP)
    mark = life.mark()
    life.off(HOUR)
    life.lies_ns[GNSS] = 60 * DAY
    life.run(50 * MIN, GNSS)
    life.run(5 * HOUR, NTP)
    assert life.age(mark) == life.true_age(mark)


def test_a_clock_set_back_and_right_again_ages_nothing() -> None:
    """A liar that is believed, for an hour, makes the meter start afresh from there; the way back adds nothing."""
    life = Life()
    life.run(2 * HOUR, NTP)
    mark = life.mark()
    life.lies_ns[NTP] = -300 * DAY
    life.off(HOUR)
    life.run(30 * MIN, NTP)
    life.lies_ns[NTP] = 0
    life.off(HOUR)
    life.run(3 * HOUR, NTP)
    assert life.age(mark) <= life.true_age(mark) + TOLERANCE_NS


def test_a_source_that_walks_off_slowly_takes_nothing_along() -> None:
    life = Life()
    life.run(2 * HOUR, NTP)
    mark = life.mark()
    for _ in range(500):
        life.lies_ns[NTP] = life.lies_ns.get(NTP, 0) - 9 * MIN
        life.run(MIN, NTP)
    life.lies_ns[NTP] = 0
    life.off(HOUR)
    life.run(2 * HOUR, NTP)
    assert life.age(mark) <= life.true_age(mark) + TOLERANCE_NS


def test_what_was_recorded_between_is_not_aged_by_what_was_off_before_it() -> None:
    """Three runs, the middle one without any clock: its evidence counts only the time that it was on."""
    life = Life()
    life.run(2 * HOUR, NTP)
    first = life.mark()
    life.off(20 * DAY)
    life.run(HOUR)
    middle = life.mark()
    life.off(HOUR)
    life.run(2 * HOUR, NTP)
    assert life.age(first) == life.true_age(first)
    assert life.age(middle) == 2 * HOUR


@dataclass
class Shift:
    off_ns: int
    on_ns: int
    sources: tuple[ClockSource, ...]
    lie_ns: int
    """Of one source, for less than it takes to be believed."""
    liar: ClockSource


shifts = st.lists(
    st.builds(
        Shift,
        st.sampled_from([MIN, HOUR, 14 * HOUR, 3 * DAY, 40 * DAY]),
        st.sampled_from([2 * MIN, HOUR, 8 * HOUR]),
        st.lists(st.sampled_from([NTP, GNSS, RTC, NONE]), min_size=1, max_size=3, unique=True).map(tuple),
        st.sampled_from([0, -9000 * DAY, -DAY, 15 * MIN, DAY, 9000 * DAY]),
        st.sampled_from([NTP, GNSS, RTC]),
    ),
    min_size=1, max_size=8,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(shifts)
def test_nothing_is_ever_older_than_it_is(lives: list[Shift]) -> None:
    """One source lies now and then, for less than an hour: no age exceeds the truth, but for the tolerance."""
    life = Life()
    marks = []
    for shift in lives:
        life.off(shift.off_ns)
        marks.append(life.mark())
        life.lies_ns = {shift.liar: shift.lie_ns}
        life.run(40 * MIN, shift.liar)
        life.lies_ns = {}
        life.run(shift.on_ns, *shift.sources)
        for mark in marks:
            assert life.age(mark) <= life.true_age(mark) + len(marks) * TOLERANCE_NS


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(MIN, 60 * DAY), st.integers(CONFIRM_NS + 10 * MIN, DAY)), min_size=1, max_size=6))
def test_with_a_clock_in_each_run_nothing_stays_younger_than_it_is(runs: list[tuple[int, int]]) -> None:
    life = Life()
    marks = []
    for off_ns, on_ns in runs:
        life.off(off_ns)
        life.run(on_ns, NTP)
        marks.append(life.mark())
    for mark in marks:
        assert abs(life.age(mark) - life.true_age(mark)) <= TOLERANCE_NS


@settings(max_examples=50, deadline=None)
@given(shifts)
def test_it_never_runs_backwards(lives: list[Shift]) -> None:
    life = Life()
    shown = 0
    for shift in lives:
        life.off(shift.off_ns)
        life.lies_ns = {shift.liar: shift.lie_ns}
        for source in (*shift.sources, shift.liar):
            life.run(shift.on_ns, source)
            assert life.meter.now_ns >= shown
            shown = life.meter.now_ns


# --- What is kept -----------------------------------------------------------------------------------------------------


def test_it_goes_on_after_a_power_cut(tmp_path: Path) -> None:
    life = Life()
    life.run(2 * HOUR, NTP)
    mark = life.mark()
    save_ages(tmp_path / "ages", life.meter.state)
    life.run(30 * S)
    life.off(10 * HOUR)
    state, trouble = load_ages(tmp_path / "ages")
    assert trouble == ""
    life.meter = AgeMeter(state)
    life.run(2 * HOUR, NTP)
    assert life.age(mark) == life.true_age(mark)
    assert (tmp_path / "ages").stat().st_mode & 0o777 == 0o600


def test_without_its_file_everything_is_young(tmp_path: Path) -> None:
    life = Life()
    life.run(2 * HOUR, NTP)
    mark = life.mark()
    life.off(10 * DAY)
    life.meter = AgeMeter(load_ages(tmp_path / "ages")[0])
    life.run(2 * HOUR, NTP)
    assert life.age(mark) == 0
    life.run(3 * HOUR, NTP)
    assert life.age(mark) == 3 * HOUR


@pytest.mark.parametrize(
    "damage", ["cut", "bit", "empty", "long", "version", "anchor", "pair", "runs", "time", "no list"]
)
def test_a_damaged_file_is_said_and_survived(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "ages"
    save_ages(path, MeterState([Run(b"b" * 16, -5)], 7, Anchor(UTC, 3, 0), {b"s" * 16: 2}))
    assert load_ages(path) == (MeterState([Run(b"b" * 16, -5)], 7, Anchor(UTC, 3, 0), {b"s" * 16: 2}), "")
    whole = path.read_bytes()
    run = [b"b" * 16, 0]
    data = {
        "cut": whole[:-1],
        "bit": whole[:40] + bytes([whole[40] ^ 1]) + whole[41:],
        "empty": b"",
        "long": whole + bytes(600 * 1024),
        "version": _signed([2, 0, [run], [], []]),
        "anchor": _signed([1, 0, [run], [1, 2], []]),
        "pair": _signed([1, 0, [[b"b" * 16]], [], []]),
        "runs": _signed([1, 0, [run], [1, 2, 1], []]),
        "time": _signed([1, 0, [[b"b" * 16, True]], [], []]),
        "no list": _signed([1, 0, 5, [], []]),
    }[damage]
    path.write_bytes(data)
    state, trouble = load_ages(path)
    assert state == MeterState()
    assert "is damaged" in trouble
    assert "counts from now" in trouble


def _signed(value: list[object]) -> bytes:
    body = cbor.encode(value)
    return hashlib.sha256(body).digest() + body


def test_a_file_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    (tmp_path / "ages").mkdir()
    state, trouble = load_ages(tmp_path / "ages")
    assert state == MeterState()
    assert "cannot read" in trouble
    with pytest.raises(StoreFailedError, match="cannot write"):
        save_ages(tmp_path / "nowhere" / "ages", state)


def test_runs_without_evidence_are_forgotten() -> None:
    life = Life()
    marks = []
    for _ in range(6):
        life.run(2 * HOUR, NTP)
        marks.append(life.mark())
        life.off(HOUR)
    life.run(2 * HOUR)
    ages = [life.age(mark) for mark in marks]
    life.age((b"stranger" * 2, 0, 0))
    life.meter.forget({marks[1][0], b"stranger" * 2})
    assert [run.boot for run in life.meter.state.runs] == [marks[1][0], marks[5][0], life.boot]
    assert life.age(marks[1]) == ages[1]
    assert life.age(marks[5]) == ages[5]
    assert list(life.meter.state.strangers) == [b"stranger" * 2]
    life.run(2 * HOUR, NTP)
    assert life.age(marks[1]) == life.true_age(marks[1])
    life.meter.forget(set())
    assert life.meter.state.strangers == {}


def test_the_number_of_runs_is_bounded() -> None:
    life = Life()
    life.tick(DOCK)
    first = life.mark()
    for _ in range(MOST_RUNS + 10):
        life.off(S)
        life.tick()
    assert len(life.meter.state.runs) == MOST_RUNS
    assert life.age(first) == 0, "its run is not known any more: young, never old"
    life.off(DAY)
    life.tick(DOCK)
    assert life.meter.now_ns <= life.true_ns
