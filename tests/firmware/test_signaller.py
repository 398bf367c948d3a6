"""The signaller on simulated parts: what has been told when a call returns, broken parts, its thread, its end."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from drivers.buzzer.disabled import DisabledBuzzer
from drivers.buzzer.simulated import SimulatedBuzzer
from drivers.haptics.disabled import DisabledHaptics
from drivers.haptics.simulated import SimulatedHaptics
from drivers.indicator.simulated import SimulatedIndicator
from firmware.cues import Cue, Note
from firmware.errors import FirmwareError
from firmware.patterns import DIM, FULL, LOUD_HZ, MIDDLE_HZ
from firmware.player import MAX_WAITING
from firmware.signaller import Signaller

MS = 1_000_000
WAIT_S = 20.0


@dataclass
class Bench:
    """A signaller on a clock that stands still until it is moved. Its thread does not run unless a test begins it."""

    now_ns: int = 5_000_000_000
    night: bool = False
    told: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.light = SimulatedIndicator(now=self.clock)
        self.buzzer = SimulatedBuzzer(now=self.clock)
        self.haptics = SimulatedHaptics(now=self.clock)
        self.signaller = Signaller(
            self.light,
            self.buzzer,
            self.haptics,
            self.clock,
            on_fault=lambda part, text: self.told.append((part, text)),
            night=self.night,
        )

    def clock(self) -> int:
        return self.now_ns

    def go_on(self, ms: int) -> int | None:
        self.now_ns += ms * MS
        due_ns = self.signaller.refresh()
        return None if due_ns is None else (due_ns - self.now_ns) // MS

    @property
    def output(self) -> tuple[float, int, float]:
        return self.light.level, self.buzzer.tone_hz, self.haptics.strength


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.signaller.close()


def test_the_light_has_been_told_when_show_returns(bench: Bench) -> None:
    callers: list[int] = []
    bench.light.watch(lambda _state: callers.append(threading.get_ident()))
    bench.signaller.show(Cue.ANNOUNCING)
    assert bench.light.state().lit
    assert bench.light.level == FULL
    assert callers == [threading.get_ident()]
    assert bench.signaller.cue is Cue.ANNOUNCING


def test_what_comes_later_is_told_when_it_is_due(bench: Bench) -> None:
    bench.signaller.show(Cue.ANNOUNCING)
    assert bench.go_on(399) == 1
    assert bench.light.level == FULL
    assert bench.go_on(1) == 400
    assert bench.light.level == DIM
    bench.signaller.show(Cue.RECORDING)
    assert bench.light.level == FULL
    assert bench.go_on(100_000) is None


def test_a_note_is_sounded_and_felt_at_once(bench: Bench) -> None:
    bench.signaller.show(Cue.RECORDING)
    bench.signaller.play(Note.STARTED)
    assert bench.output == (FULL, LOUD_HZ, 1)
    bench.go_on(150)
    assert bench.output == (FULL, 0, 0)


def test_night_comes_at_once() -> None:
    bench = Bench(night=True)
    bench.signaller.show(Cue.RECORDING)
    bench.signaller.play(Note.MARKER)
    assert bench.output == (0.3, 0, 1)
    bench.signaller.set_night(False)
    assert bench.output == (FULL, MIDDLE_HZ, 1)
    bench.signaller.close()


def test_a_night_that_is_too_dark_is_refused() -> None:
    with pytest.raises(ValueError, match="at night"):
        Signaller(
            SimulatedIndicator(),
            DisabledBuzzer(),
            DisabledHaptics(),
            time.monotonic_ns,
            on_fault=lambda *_: None,
            floor=0.1,
        )


def test_broken_sound_and_touch_are_told_once_and_never_stop_the_light(bench: Bench) -> None:
    bench.signaller.show(Cue.RECORDING)
    assert bench.signaller.sounding
    bench.buzzer.refuse("wire cut")
    bench.haptics.refuse("coil burnt")
    bench.signaller.play(Note.STARTED)
    bench.go_on(150)
    bench.go_on(150)
    bench.signaller.show(Cue.CLOSING)
    bench.go_on(400)
    assert bench.light.level == DIM
    buzzer, haptics = bench.told
    assert buzzer[0] == "buzzer"
    assert "wire cut" in buzzer[1]
    assert haptics[0] == "haptics"
    assert bench.signaller.faults == dict(bench.told)
    assert not bench.signaller.sounding
    bench.buzzer.refuse(None)
    bench.haptics.refuse(None)
    bench.go_on(1000)
    assert bench.told[2:] == [("buzzer", ""), ("haptics", "")]
    assert (bench.signaller.sounding, bench.signaller.faults) == (True, {})


def test_a_broken_light_is_told_once_and_tried_again(bench: Bench) -> None:
    bench.light.refuse("fuse blown")
    bench.signaller.show(Cue.RECORDING)
    bench.signaller.play(Note.MARKER)
    assert bench.buzzer.tone_hz == MIDDLE_HZ
    bench.go_on(1000)
    assert [part for part, _ in bench.told] == ["indicator"]
    assert "fuse blown" in bench.signaller.faults["indicator"]
    bench.light.refuse(None)
    bench.go_on(1000)
    assert bench.light.level == FULL
    assert bench.told[1:] == [("indicator", "")]


def test_the_one_who_is_told_may_ask(bench: Bench) -> None:
    answers: list[bool] = []
    signaller = Signaller(
        bench.light,
        bench.buzzer,
        bench.haptics,
        bench.clock,
        on_fault=lambda _part, _text: answers.append(signaller.sounding),
    )
    bench.buzzer.refuse("wire cut")
    signaller.play(Note.MARKER)
    bench.buzzer.refuse(None)
    signaller.refresh()
    assert answers == [False, True]
    signaller.close()


def test_a_part_that_is_not_there_is_no_fault_and_does_not_sound() -> None:
    light, told = SimulatedIndicator(), list[tuple[str, str]]()
    signaller = Signaller(
        light,
        DisabledBuzzer(),
        DisabledHaptics(),
        lambda: 0,
        on_fault=lambda part, text: told.append((part, text)),
    )
    signaller.show(Cue.RECORDING)
    signaller.play(Note.STARTED)
    assert light.level == FULL
    assert (signaller.sounding, signaller.faults, told) == (False, {}, [])
    signaller.close()


def test_notes_beyond_the_bound_are_counted_and_told_once(bench: Bench) -> None:
    bench.signaller.show(Cue.RECORDING)
    for _ in range(MAX_WAITING + 3):
        bench.signaller.play(Note.COUNT)
    assert bench.signaller.dropped == 2
    ((part, text),) = bench.told
    assert part == "notes"
    assert "'purpose counted' was not played" in text
    for _ in range(1000):
        due_ms = bench.go_on(0)
        if due_ms is None:
            break
        bench.go_on(due_ms)
    assert bench.told[1:] == [("notes", "")]
    assert sum(1 for _, strength in bench.haptics.changes if strength) == MAX_WAITING + 1


def test_closing_leaves_everything_dark_and_silent_and_the_parts_open() -> None:
    bench = Bench()
    bench.signaller.show(Cue.DARK)
    assert bench.output == (FULL, LOUD_HZ, 1)
    bench.signaller.close()
    bench.signaller.close()
    assert bench.output == (0, 0, 0)
    assert bench.told == []
    bench.light.light(1)
    calls: list[Callable[[], None]] = [
        lambda: bench.signaller.show(Cue.OFF),
        lambda: bench.signaller.play(Note.MARKER),
        lambda: bench.signaller.set_night(True),
        bench.signaller.begin,
    ]
    for call in calls:
        with pytest.raises(FirmwareError, match="it was closed"):
            call()


def test_off_is_dark_and_silent(bench: Bench) -> None:
    bench.signaller.show(Cue.DARK)
    bench.signaller.show(Cue.OFF)
    assert bench.output == (0, 0, 0)
    assert bench.go_on(60_000) is None
    assert bench.output == (0, 0, 0)


def test_its_thread_goes_on_by_itself_and_is_woken_by_a_change() -> None:
    heard: queue.Queue[int] = queue.Queue()
    light = SimulatedIndicator()
    buzzer = SimulatedBuzzer(listener=lambda _, tone: heard.put(tone))
    haptics = SimulatedHaptics()
    signaller = Signaller(light, buzzer, haptics, time.monotonic_ns, on_fault=lambda *_: None)
    assert not signaller.alive
    signaller.begin()
    assert signaller.alive
    assert "signaller" in {thread.name for thread in threading.enumerate()}
    with pytest.raises(FirmwareError, match="runs already"):
        signaller.begin()
    signaller.show(Cue.RECORDING)
    signaller.play(Note.STARTED)
    assert [heard.get(timeout=WAIT_S) for _ in range(4)] == [LOUD_HZ, 0, LOUD_HZ, 0]
    assert light.level == FULL
    signaller.show(Cue.DARK)
    assert [heard.get(timeout=WAIT_S) for _ in range(3)] == [LOUD_HZ, 0, LOUD_HZ]
    signaller.close()
    assert not signaller.alive
    assert (light.shining, buzzer.tone_hz, haptics.strength) == (False, 0, 0)


def test_its_thread_tries_a_broken_part_again_without_being_asked() -> None:
    told: queue.Queue[tuple[str, str]] = queue.Queue()
    light = SimulatedIndicator()
    light.refuse("fuse blown")
    signaller = Signaller(
        light,
        DisabledBuzzer(),
        DisabledHaptics(),
        time.monotonic_ns,
        on_fault=lambda part, text: told.put((part, text)),
    )
    signaller.begin()
    signaller.show(Cue.RECORDING)
    assert told.get(timeout=WAIT_S)[0] == "indicator"
    light.refuse(None)
    assert told.get(timeout=WAIT_S) == ("indicator", "")
    assert light.level == FULL
    signaller.close()
