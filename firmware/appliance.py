"""The main thread: what happens goes into the table of states, and what the table says is done.

Inputs come from drivers' and recorder's threads through one bounded queue; nothing here blocks for longer than a tick.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from dataclasses import dataclass

from drivers.button.protocol import Button, ButtonEdge
from drivers.clock.protocol import Clock
from drivers.errors import DriverError
from drivers.indicator.protocol import Indicator, LightState
from firmware.gesture import GestureReader
from firmware.light_witness import LightWitness
from firmware.recorder import News, Progress, Recorder, Report
from firmware.states import GESTURES, Action, Signal, State, step

_INPUTS = 4096
_TICK_NS = 100_000_000


@dataclass(frozen=True, slots=True)
class ApplianceTimes:
    """Times in nanoseconds."""

    light_confirm_ns: int = 500_000_000
    """How long the light may take until it is sensed lit."""
    dark_ns: int = 500_000_000
    """How long it may be sensed dark while recording before the recording is stopped."""
    shut_down_ns: int = 15_000_000_000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a display shows."""

    state: State
    light: LightState
    progress: Progress
    fault: str


@dataclass(frozen=True, slots=True)
class PowerOff:
    """Somebody asked the device to close everything and end."""


Input = ButtonEdge | LightState | Report | PowerOff


class Appliance:
    """The device as its wearer meets it."""

    def __init__(
        self,
        recorder: Recorder,
        indicator: Indicator,
        button: Button,
        clock: Clock,
        witness: LightWitness,
        inputs: queue.Queue[Input],
        *,
        gestures: GestureReader,
        times: ApplianceTimes = ApplianceTimes(),
        on_change: Callable[[Snapshot], None] = lambda _snapshot: None,
    ) -> None:
        self._recorder = recorder
        self._indicator = indicator
        self._button = button
        self._clock = clock
        self._witness = witness
        self._inputs = inputs
        self._gestures = gestures
        self._times = times
        self._on_change = on_change
        self._state = State.STANDBY
        self._fault = ""
        self._confirm_by_ns: int | None = None
        self._dark_since_ns: int | None = None

    @property
    def snapshot(self) -> Snapshot:
        """What a display shows now."""
        return Snapshot(self._state, self._indicator.state(), self._recorder.progress, self._fault)

    def run(self) -> str:
        """Run until power-off; return the fault that stands then, or an empty text."""
        self._button.watch(self._put)
        self._indicator.watch(self._saw_light)
        try:
            self._light(False)
            self._recorder.begin()
            self._on_change(self.snapshot)
            while self._state is not State.OFF:
                self._take(self._next())
                self._check_times()
        finally:
            self._button.watch(None)
            self._indicator.watch(None)
            self._light(False)
        return self._fault

    def _next(self) -> Input | None:
        now_ns = self._clock.monotonic_ns()
        due_ns = min(self._gestures.deadline_ns or now_ns + _TICK_NS, now_ns + _TICK_NS)
        try:
            return self._inputs.get(timeout=max(0.001, (due_ns - now_ns) / 1e9))
        except queue.Empty:
            return None

    def _take(self, item: Input | None) -> None:
        now_ns = self._clock.monotonic_ns()
        match item:
            case ButtonEdge(time_ns=time_ns, pressed=pressed):
                self._recorder.note("button", pressed=pressed)
                found = self._gestures.edge(pressed, time_ns)
            case LightState():
                self._recorder.note("light", commanded=item.commanded, sensed=item.sensed)
                found = []
            case Report():
                self._hear(item)
                found = []
            case PowerOff():
                self._signal(Signal.POWER_OFF)
                found = []
            case None:
                found = self._gestures.tick(now_ns)
        for gesture in found:
            self._recorder.note("gesture", gesture=gesture.value)
            self._signal(GESTURES[gesture])

    def _hear(self, report: Report) -> None:
        if report.news is News.STARTED:
            self._signal(Signal.STARTED)
        elif report.news is News.ENDED:
            if report.text not in ("stop", "power-off"):
                self._fault = f"recording ended: {report.text}"
            self._signal(Signal.ENDED)
        else:
            self._fault = report.text
            self._signal(Signal.FAILED)
        self._on_change(self.snapshot)

    def _check_times(self) -> None:
        now_ns = self._clock.monotonic_ns()
        light = self._indicator.state()
        self._witness.saw(light)
        if self._state is not State.ANNOUNCING:
            self._confirm_by_ns = None
        elif self._confirm_by_ns is not None:
            if light.lit:
                self._confirm_by_ns = None
                self._signal(Signal.LIT)
            elif now_ns >= self._confirm_by_ns:
                self._confirm_by_ns = None
                self._fault = "the recording light does not light: take the device in"
                self._signal(Signal.DARK)
        if self._state is not State.RECORDING or light.lit:
            self._dark_since_ns = None
        elif self._dark_since_ns is None:
            self._dark_since_ns = now_ns
        elif now_ns - self._dark_since_ns >= self._times.dark_ns:
            self._dark_since_ns = None
            self._fault = "the recording light went dark: the recording is stopped"
            self._signal(Signal.DARK)
        if not self._recorder.alive and self._state not in (State.FAULT, State.OFF):
            self._fault = self._fault or "the recorder ended by itself"
            self._signal(Signal.FAILED)

    def _signal(self, signal: Signal) -> None:
        before = self._state
        self._state, actions = step(before, signal)
        for action in actions:
            self._do(action)
        if self._state is not before:
            self._recorder.note("state", before=before.value, after=self._state.value, signal=signal.value)
            self._on_change(self.snapshot)

    def _do(self, action: Action) -> None:
        match action:
            case Action.LIGHT_ON:
                self._fault = ""
                self._light(True)
            case Action.LIGHT_OFF:
                self._light(False)
            case Action.CONFIRM_LIGHT:
                self._confirm_by_ns = self._clock.monotonic_ns() + self._times.light_confirm_ns
            case Action.SPEND_PRESS:
                self._gestures.spend()
            case Action.START:
                self._recorder.start()
            case Action.STOP:
                self._recorder.stop()
            case Action.STOP_DARK:
                self._recorder.stop("light")
            case Action.MARK:
                self._recorder.note("marker")
            case Action.TELL_FAULT:
                self._recorder.note("fault", text=self._fault)
            case Action.SHUT_DOWN:
                if not self._recorder.shut_down(self._times.shut_down_ns / 1e9):
                    self._fault = "the recorder did not finish in time: the chain's end is cut"

    def _light(self, lit: bool) -> None:
        try:
            self._indicator.light(lit)
        except DriverError as error:
            self._fault = str(error)
        self._witness.saw(self._indicator.state())

    def _saw_light(self, state: LightState) -> None:
        self._witness.saw(state)
        self._put(state)

    def _put(self, item: Input) -> None:
        try:
            self._inputs.put_nowait(item)
        except queue.Full:
            self._recorder.note("input-dropped", what=type(item).__name__)
