"""The appliance with a simulated light and button and a fake recorder, in a time of its own.

`Appliance.run` runs on the test's thread. Its queue of inputs moves the clock: waiting is instant, and what the script
says happens exactly at its time.
"""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Callable
from dataclasses import dataclass

from drivers.button.simulated import SimulatedButton
from drivers.clock.simulated import SimulatedClock
from drivers.errors import DriverError
from drivers.indicator.simulated import SimulatedIndicator
from firmware.appliance import Appliance, Snapshot, Tester
from firmware.cues import Cue, Note
from firmware.gesture import GestureReader, GestureTimes
from firmware.inputs import Input, PowerOff, Tested
from firmware.light_witness import LightWitness
from firmware.live_view import LiveView
from firmware.patterns import CUES
from firmware.recorder import News, Progress, Report
from firmware.rules import Rules
from firmware.states import State
from storage.policy_fields import Live

MS = 1_000_000
RECORDING = b"R" * 16


class ScriptedQueue(queue.Queue[Input]):
    """Waits by moving the clock on to the next step of the script; after the last step, and a while, powers off."""

    def __init__(self, clock: SimulatedClock, patience_ms: int = 5000) -> None:
        super().__init__(4096)
        self._clock = clock
        self._steps: list[tuple[int, Callable[[], object]]] = []
        self._patience_ns = patience_ms * MS
        self._start_ns = clock.monotonic_ns()

    def at(self, time_ms: int, action: Callable[[], object]) -> None:
        self._steps.append((self._start_ns + time_ms * MS, action))
        self._steps.sort(key=lambda step: step[0])

    def get(self, block: bool = True, timeout: float | None = None) -> Input:
        assert timeout is not None, "every wait has a time-out"
        now_ns = self._clock.monotonic_ns()
        if self.empty():
            until_ns = now_ns + max(1, int(timeout * 1e9))
            due_ns = self._steps[0][0] if self._steps else until_ns
            self._clock.advance(max(0, min(until_ns, due_ns) - now_ns))
            if self._steps and due_ns <= until_ns:
                self._steps.pop(0)[1]()
            elif not self._steps and self._clock.monotonic_ns() > self._start_ns + self._patience_ns:
                self.put_nowait(PowerOff())
        return super().get(block=False)


@dataclass(frozen=True)
class Done:
    """What the recorder was told, and how the light was then."""

    time_ms: int
    what: str
    shining: bool
    lit: bool


class FakeRecorder:
    """Answers as the recorder would, by itself or when told to."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.alive = True
        self.answers = True
        self.ends_in_time = True
        self.stores = True
        """Chunks reach the flash while it records."""
        self.stored_ns = 0
        self.done: list[Done] = []
        self.notes: list[tuple[str, dict[str, object]]] = []
        self._recording = False

    @property
    def progress(self) -> Progress:
        if self._recording and self.stores:
            self.stored_ns = self._stage.clock.monotonic_ns()
        return Progress(bytes(16), 0, 0, bytes(32), 0, 0, self.stored_ns)

    def begin(self) -> None:
        self._tell("begin")

    def start(self) -> None:
        self._tell("start")
        self._recording = True
        if self.answers:
            self.report(News.STARTED)

    def stop(self, reason: str = "stop") -> None:
        self._tell(f"stop {reason}")
        if self.answers and self._recording:
            self.end(reason)

    def end(self, reason: str) -> None:
        self._recording = False
        self.report(News.ENDED, reason)

    def buffer(self, on: bool) -> None:
        self._tell(f"buffer {'on' if on else 'off'}")

    def report(self, news: News, text: str = "") -> None:
        self._stage.inputs.put_nowait(Report(news, text, RECORDING))

    def die(self, text: str) -> None:
        self.alive = False
        self.report(News.FAILED, text)

    def shut_down(self, timeout_s: float) -> bool:
        self._tell("shut down")
        self.alive = False
        return self.ends_in_time

    def note(self, name: str, **details: object) -> None:
        self.notes.append((name, details))

    def noted(self, name: str) -> list[dict[str, object]]:
        return [details for found, details in self.notes if found == name]

    def _tell(self, what: str) -> None:
        stage = self._stage
        self.done.append(Done(stage.now_ms, what, stage.light.shining, stage.light.state().lit))


class FakeVoice:
    """Commands the first light of each cue, as the signaller does, and remembers what was shown and played."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.sounding = True
        self.shown: list[tuple[int, Cue]] = []
        self.played: list[tuple[int, Note]] = []

    def show(self, cue: Cue) -> None:
        self.shown.append((self._stage.now_ms, cue))
        with contextlib.suppress(DriverError):
            self._stage.light.light(CUES[cue].light[0].value if CUES[cue].light else 0)

    def play(self, note: Note) -> None:
        self.played.append((self._stage.now_ms, note))

    @property
    def cues(self) -> list[Cue]:
        return [cue for _time, cue in self.shown]

    @property
    def notes(self) -> list[Note]:
        return [note for _time, note in self.played]


class FakePort:
    """Where chunks would go out: remembers when they might, and what stations were answered."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.allowed: list[tuple[int, bool]] = []
        self.answers: list[tuple[str, str]] = []

    def allow(self, on: bool) -> None:
        self.allowed.append((self._stage.now_ms, on))

    def answer(self, ask: str, answer: str) -> None:
        self.answers.append((ask, answer))


class FakeTester:
    """A self-test that ends when it is told to, or at once when hurried."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.begun = False
        self.hurried = False

    def begin(self) -> None:
        self.begun = True

    def hurry(self) -> None:
        self.hurried = True
        self.end()

    def end(self, fault: str = "") -> None:
        self._stage.inputs.put_nowait(Tested(not fault, fault))


class Stage:
    """All of it."""

    def __init__(
        self,
        *,
        has_sense: bool = True,
        rules: Rules = Rules(),
        tested: bool = True,
        enrolled: bool = True,
        cut_recording: bytes | None = None,
        patience_ms: int = 5000,
        live: Live = Live.OFF,
    ) -> None:
        """`tested`: there is no self-test; otherwise `tester` runs one."""
        self.clock = SimulatedClock()
        self._start_ns = self.clock.monotonic_ns()
        self.light = SimulatedIndicator(has_sense=has_sense, now=self.clock.monotonic_ns)
        self.button = SimulatedButton(now=self.clock.monotonic_ns)
        self.inputs = ScriptedQueue(self.clock, patience_ms)
        self.recorder = FakeRecorder(self)
        self.witness = LightWitness(self.light.state())
        self.seen: list[tuple[int, Snapshot]] = []
        self.voice = FakeVoice(self)
        self.tester = FakeTester(self)
        self.port = FakePort(self)
        view = LiveView(live, self.port, self.recorder.note, self.voice.play, self.clock.monotonic_ns)
        tester: Tester | None = None if tested else self.tester
        self.appliance = Appliance(
            self.recorder,
            self.light,
            self.button,
            self.voice,
            self.clock,
            self.witness,
            self.inputs,
            gestures=GestureReader(GestureTimes(triple=live is not Live.OFF)),
            rules=rules,
            tester=tester,
            enrolled=enrolled,
            cut_recording=cut_recording,
            live=view if live is not Live.OFF else None,
            on_change=lambda snapshot: self.seen.append((self.now_ms, snapshot)),
        )

    @property
    def now_ms(self) -> int:
        return (self.clock.monotonic_ns() - self._start_ns) // MS

    @property
    def states(self) -> list[State]:
        """The states one after the other."""
        found: list[State] = []
        for _time, snapshot in self.seen:
            if not found or snapshot.state is not found[-1]:
                found.append(snapshot.state)
        return found

    @property
    def told(self) -> list[str]:
        return [item.what for item in self.recorder.done]

    def state_at(self, time_ms: int) -> State:
        return [snapshot.state for time, snapshot in self.seen if time <= time_ms][-1]

    def press(self, time_ms: int, length_ms: int = 100) -> None:
        self.inputs.at(time_ms, self.button.press)
        self.inputs.at(time_ms + length_ms, self.button.release)

    def hold(self, time_ms: int) -> None:
        self.press(time_ms, 2200)

    def power_off(self, time_ms: int) -> None:
        self.inputs.at(time_ms, lambda: self.inputs.put_nowait(PowerOff()))

    def run(self) -> str:
        return self.appliance.run()
