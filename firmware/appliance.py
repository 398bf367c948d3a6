"""The main thread: what happens goes into the table of states, and what the table says is done.

Inputs come from other threads through one bounded queue; nothing here blocks for longer than a tick, but for the
shutting down of the recorder.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from drivers.button.protocol import Button, ButtonEdge
from drivers.clock.protocol import Clock
from drivers.indicator.protocol import Indicator, LightState
from firmware.cues import Cue, Note
from firmware.gesture import Gesture, GestureReader
from firmware.inputs import Docked, Fall, Health, Input, LiveAsked, LiveLink, PowerOff, Tested, Trouble
from firmware.light_check import GlowCheck, LightCheck, LightTimes
from firmware.light_witness import LightWitness
from firmware.live_view import LiveView
from firmware.purpose import PurposeCount
from firmware.recorder import News, Progress, Report
from firmware.rules import Rules
from firmware.standing import standing_cue
from firmware.states import GESTURES, KEEPING, Action, Signal, State, step
from firmware.storing_check import StoringCheck
from firmware.vigil import Vigil

_TICK_NS = 100_000_000
_ENDED_WELL = frozenset({"stop", "power-off", "low-power"})


class Voice(Protocol):
    """What the appliance needs of `firmware.signaller.Signaller`."""

    @property
    def sounding(self) -> bool:
        """Whether the buzzer is believed to work."""
        ...

    def show(self, cue: Cue) -> None:
        """Let a cue hold; its first light has been commanded when this returns."""
        ...

    def play(self, note: Note) -> None:
        """Play a note once."""
        ...


class Records(Protocol):
    """What the appliance needs of `firmware.recorder.Recorder`."""

    @property
    def alive(self) -> bool:
        """Whether it can record."""
        ...

    @property
    def progress(self) -> Progress:
        """What has become durable."""
        ...

    def begin(self) -> None:
        """Open the first journal."""
        ...

    def start(self) -> None:
        """Begin a recording."""
        ...

    def stop(self, reason: str = "stop") -> None:
        """End it."""
        ...

    def buffer(self, on: bool) -> None:
        """Fill a pre-event buffer until a recording begins, or stop filling it."""
        ...

    def note(self, name: str, **details: str | int | bool | None) -> None:
        """Put an event on record."""
        ...

    def shut_down(self, timeout_s: float) -> bool:
        """Close everything."""
        ...


class Tester(Protocol):
    """Runs the self-test; a `Tested` among the inputs is its end."""

    def begin(self) -> None:
        """Start it, on a thread of its own."""
        ...

    def hurry(self) -> None:
        """Leave out what has not begun yet."""
        ...


@dataclass(frozen=True, slots=True)
class ApplianceTimes:
    """Times in nanoseconds."""

    light: LightTimes = field(default_factory=LightTimes)
    shut_down_ns: int = 15_000_000_000
    buffer_after_ns: int = 2_000_000_000
    """How long the light has said that a pre-event buffer is filled before that begins: one round of its pattern."""
    last_words_ns: int = 3_000_000_000
    """How long the fault is shown before a device whose recorder died ends, to be started anew."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a display shows."""

    state: State
    cue: Cue
    light: LightState
    progress: Progress
    fault: str
    live: bool = False
    """Pictures may go out."""
    health: Health | None = None
    """As it was looked at last."""
    docked: bool = False


class Appliance:
    """The device as its wearer meets it."""

    def __init__(
        self,
        recorder: Records,
        indicator: Indicator,
        button: Button,
        voice: Voice,
        clock: Clock,
        witness: LightWitness,
        inputs: queue.Queue[Input],
        *,
        gestures: GestureReader,
        rules: Rules = Rules(),
        tester: Tester | None = None,
        enrolled: bool = True,
        cut_recording: bytes | None = None,
        live: LiveView | None = None,
        times: ApplianceTimes = ApplianceTimes(),
        on_change: Callable[[Snapshot], None] = lambda _snapshot: None,
        on_tick: Callable[[], None] = lambda: None,
    ) -> None:
        """`cut_recording` is the recording that the last run left open; `on_tick` is called at each tick."""
        self._recorder = recorder
        self._indicator = indicator
        self._button = button
        self._voice = voice
        self._clock = clock
        self._witness = witness
        self._inputs = inputs
        self._gestures = gestures
        self._rules = rules
        self._tester = tester
        self._cut_recording = cut_recording if rules.resume else None
        self._times = times
        self._on_change = on_change
        self._on_tick = on_tick
        self._state = State.SELF_TEST if enrolled else State.UNENROLLED
        self._cue = Cue.OFF
        self._fault = ""
        self._recording = bytes(16)
        self._private = False
        self._live = live
        self._docked = False
        self._health: Health | None = None
        self._reminded_ns = 0
        self._ends_ns: int | None = None
        self._buffer_due_ns: int | None = None
        self._light_check = LightCheck(times.light)
        self._storing_check = StoringCheck()
        self._glow_check = GlowCheck()
        self._purpose = PurposeCount()
        self._vigil = Vigil(rules)

    @property
    def snapshot(self) -> Snapshot:
        """What a display shows now."""
        live = self._live is not None and self._live.shown
        light, progress = self._indicator.state(), self._recorder.progress
        return Snapshot(self._state, self._cue, light, progress, self._fault, live, self._health, self._docked)

    def run(self) -> str:
        """Run until power-off; return the fault that stands then, or an empty text."""
        self._button.watch(self._put)
        self._indicator.watch(self._saw_light)
        try:
            self._recorder.begin()
            self._boot()
            self._on_change(self.snapshot)
            while self._state is not State.OFF:
                self._take(self._next())
                self._check()
                self._on_tick()
        finally:
            self._button.watch(None)
            self._indicator.watch(None)
            self._voice.show(Cue.OFF)
        return self._fault

    def _boot(self) -> None:
        if self._state is State.UNENROLLED:
            self._show()
        elif self._tester is None:
            self._signal(self._after_test(Tested(True)))
        else:
            # The test commands the light itself.
            self._tester.begin()

    def _next(self) -> Input | None:
        now_ns = self._clock.monotonic_ns()
        due_ns = min(self._gestures.deadline_ns or now_ns + _TICK_NS, now_ns + _TICK_NS)
        try:
            return self._inputs.get(timeout=max(0.001, (due_ns - now_ns) / 1e9))
        except queue.Empty:
            return None

    def _take(self, item: Input | None) -> None:
        match item:
            case ButtonEdge():
                self._recorder.note("button", pressed=item.pressed)
                self._gesture(self._gestures.edge(item.pressed, item.time_ns))
            case LightState():
                # Blinking is told by the state; where pictures are kept, every change counts.
                if self._state in KEEPING or self._state is State.ANNOUNCING:
                    self._recorder.note("light", commanded=item.commanded, sensed=item.sensed)
            case Report():
                self._hear(item)
            case Tested():
                self._signal(self._after_test(item))
            case Docked():
                self._docked = item.docked
                self._recorder.note("dock", docked=item.docked)
            case Health():
                self._health = item
                self._warn_of(item)
            case Fall():
                self._recorder.note("marker", cause=item.kind, peak_mg=item.peak_mg)
                if self._state in KEEPING:
                    self._voice.play(Note.MARKER)
            case Trouble():
                self._recorder.note("trouble" if item.text else "mended", part=item.part, text=item.text)
                if item.text:
                    self._voice.play(Note.WARNING)
            case LiveLink() if self._live is not None:
                self._live.linked(item.up, item.why)
            case LiveAsked() if self._live is not None:
                self._live.asked(item.id, item.by)
            case PowerOff():
                self._signal(Signal.POWER_OFF)
            case None:
                self._gesture(self._gestures.tick(self._clock.monotonic_ns()))

    def _gesture(self, found: list[Gesture]) -> None:
        for gesture in found:
            self._recorder.note("gesture", gesture=gesture.value)
            self._signal(GESTURES[gesture])

    def _after_test(self, tested: Tested) -> Signal:
        if not tested.passed:
            self._fault = tested.text
            return Signal.TEST_FAILED
        return Signal.RESUME if self._cut_recording is not None else Signal.TESTED

    def _hear(self, report: Report) -> None:
        if report.news is News.STARTED:
            self._recording = report.recording
            self._signal(Signal.STARTED)
        elif report.news is News.ENDED:
            well = report.text in _ENDED_WELL
            if self._private:
                self._private = False
                self._recorder.note("private", on=False)
            if not well and not self._fault:
                self._fault = f"recording ended: {report.text}"
            self._signal(Signal.ENDED if well else Signal.ENDED_FAULTY)
        else:
            self._fault = report.text
            self._signal(Signal.FAILED)
        self._on_change(self.snapshot)

    def _warn_of(self, health: Health) -> None:
        for note in self._vigil.warnings(health, self._clock.monotonic_ns()):
            if note is Note.LOW_BATTERY:
                self._recorder.note("low-battery", percent=int(health.battery_percent or 0))
            else:
                self._recorder.note("low-storage", percent=int(health.free_percent), minutes=health.minutes_left)
            self._voice.play(note)

    def _check(self) -> None:
        """Look at what no input tells: light, flash, recorder, dock and battery as they stand now."""
        now_ns = self._clock.monotonic_ns()
        light = self._indicator.state()
        self._witness.saw(light)
        go_on = self._rules.on_dark_announce and self._voice.sounding
        if found := self._light_check.look(self._state, light, now_ns, go_on=go_on):
            self._fault = "" if found is Signal.LIT else "the recording light is dark: take the device in"
            self._signal(found)
        glows = self._glow_check.look(light, now_ns)
        if glows is not None:
            self._take(Trouble("light", "it shines although commanded dark: take the device in" if glows else ""))
        if found := self._storing_check.look(self._state, self._recorder.progress.stored_ns, now_ns):
            self._signal(found)
        if not self._recorder.alive and self._state not in (State.FAULT, State.OFF, State.UNENROLLED):
            self._fault = self._fault or "the recorder ended by itself"
            self._signal(Signal.FAILED)
        self._check_standing()
        if self._buffer_due_ns is not None and now_ns >= self._buffer_due_ns:
            self._buffer_due_ns = None
            self._recorder.buffer(True)
        if self._live is not None:
            self._live.look(now_ns)
            self._show_live()
        self._check_reminder(now_ns)
        self._check_end(now_ns)

    def _check_standing(self) -> None:
        """Dock and battery hold for as long as they hold, whatever state they find the device in."""
        if self._docked is not (self._state is State.DOCKED):
            self._signal(Signal.DOCKED if self._docked else Signal.UNDOCKED)
        if self._health is not None and (found := self._vigil.battery(self._health)):
            self._signal(found)

    def _check_reminder(self, now_ns: int) -> None:
        if self._state is not State.RECORDING or not self._rules.reminder_ns:
            self._reminded_ns = now_ns if self._state not in KEEPING else self._reminded_ns
        elif now_ns - self._reminded_ns >= self._rules.reminder_ns:
            self._reminded_ns = now_ns
            self._recorder.note("reminder")
            self._voice.play(Note.REMINDER)

    def _check_end(self, now_ns: int) -> None:
        """A device whose recorder is dead ends, so that it is started anew; first it says why."""
        if self._recorder.alive or self._state is State.OFF:
            self._ends_ns = None
        elif self._ends_ns is None:
            self._ends_ns = now_ns + self._times.last_words_ns
        elif now_ns >= self._ends_ns:
            self._signal(Signal.POWER_OFF)

    def _signal(self, signal: Signal) -> None:
        before = self._state
        self._state, actions = step(before, signal)
        changed = self._state is not before
        if changed and self._state is not State.OFF:
            self._show()
        for action in actions:
            self._do(action)
        if changed:
            self._recorder.note("state", before=before.value, after=self._state.value, signal=signal.value)
            if self._live is not None:
                self._live.state(self._state)
            self._show()
            self._tell_buffer()
            self._on_change(self.snapshot)

    def _tell_buffer(self) -> None:
        """A pre-event buffer is filled in standby alone, after the light has said so for a while.

        A press goes on to announce with the buffer as it is; the recording that begins then takes it.
        """
        self._buffer_due_ns = None
        if not self._rules.buffering or self._state is State.ANNOUNCING or self._state in KEEPING:
            return
        if self._state is State.STANDBY:
            self._buffer_due_ns = self._clock.monotonic_ns() + self._times.buffer_after_ns
        elif self._state is not State.OFF:
            self._recorder.buffer(False)

    def _show_live(self) -> None:
        """Let light and display follow where live view began or ended, whoever noticed it."""
        before = self._cue
        self._show()
        if self._cue is not before:
            self._on_change(self.snapshot)

    def _show(self) -> None:
        live = self._live is not None and self._live.shown
        cue = standing_cue(self._state, live=live, buffering=self._rules.buffering)
        if cue is not self._cue:
            self._cue = cue
            self._voice.show(cue)

    def _do(self, action: Action) -> None:
        match action:
            case Action.SPEND_PRESS:
                self._gestures.spend()
            case Action.REFUSE:
                self._recorder.note("refused", state=self._state.value)
                self._voice.play(Note.REFUSED)
            case Action.HURRY:
                if self._tester is not None:
                    self._tester.hurry()
            case Action.ANNOUNCE:
                self._fault = ""
            case Action.SOUND_START:
                self._voice.play(Note.STARTED)
            case Action.START:
                self._start()
            case Action.STOP:
                self._purpose.clear()
                self._recorder.stop()
            case Action.STOP_DARK:
                self._recorder.stop("light")
            case Action.STOP_LOW_POWER:
                self._recorder.stop("low-power")
            case Action.SOUND_STOP:
                self._voice.play(Note.STOPPED)
            case Action.MARK:
                self._recorder.note("marker", cause="press")
                self._voice.play(Note.MARKER)
            case Action.PRIVATE:
                self._private = not self._private
                self._recorder.note("private", on=self._private)
                self._voice.play(Note.PRIVATE_ON if self._private else Note.PRIVATE_OFF)
            case Action.LIVE:
                if self._live is not None:
                    self._live.chosen()
            case Action.COUNT:
                self._voice.play(Note.COUNT if self._purpose.count() else Note.REFUSED)
            case Action.TAKE_PURPOSE:
                if purpose := self._purpose.take():
                    self._recorder.note("purpose", recording=self._recording.hex(), purpose=purpose)
                    self._voice.play(Note.PURPOSE)
            case Action.TELL_FAULT:
                self._recorder.note("fault", text=self._fault)
            case Action.WARN:
                self._recorder.note("warning", state=self._state.value)
                self._voice.play(Note.WARNING)
            case Action.SHUT_DOWN:
                self._shut_down()

    def _start(self) -> None:
        if self._cut_recording is not None:
            self._recorder.note("resumed", recording=self._cut_recording.hex())
            self._cut_recording = None
        self._recorder.start()

    def _shut_down(self) -> None:
        """Close the recorder; the light stays as it is until nothing is kept any more."""
        if not self._recorder.shut_down(self._times.shut_down_ns / 1e9) and not self._fault:
            self._fault = "the recorder did not finish in time: the chain's end is cut"

    def _saw_light(self, state: LightState) -> None:
        self._witness.saw(state)
        self._put(state)

    def _put(self, item: Input) -> None:
        try:
            self._inputs.put_nowait(item)
        except queue.Full:
            self._recorder.note("input-dropped", what=type(item).__name__)
