"""Plays technician, sky and gravity for the simulated parts of a board that is being checked."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

from drivers.accelerometer.protocol import Acceleration
from drivers.accelerometer.simulated import SimulatedAccelerometer
from drivers.button.simulated import SimulatedButton
from drivers.gnss.protocol import Fix
from drivers.gnss.simulated import SimulatedGnss

_TICK_S = 0.02
_PRESS_TICKS, _CYCLE_TICKS = 10, 50
"""A press of 0.2 s, once a second."""
_FIX_TICKS = 25


class SimulatedBench:
    """Owns a thread called ``simulated bench`` while it is entered. Real parts are let be."""

    def __init__(self) -> None:
        self._parts: list[object] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="simulated bench", daemon=True)

    def plays(self, part: object) -> bool:
        """Take a part in hand if it is one of those that somebody must play; return whether it is."""
        mine = isinstance(part, SimulatedButton | SimulatedGnss | SimulatedAccelerometer)
        if mine:
            self._parts.append(part)
        return mine

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(5)

    def _run(self) -> None:
        tick = 0
        while not self._stop.wait(_TICK_S):
            tick += 1
            for part in list(self._parts):
                self._play(part, tick)

    @staticmethod
    def _play(part: object, tick: int) -> None:
        now_ns = time.monotonic_ns()
        match part:
            case SimulatedButton():
                if tick % _CYCLE_TICKS == _CYCLE_TICKS - _PRESS_TICKS:
                    part.press()
                elif tick % _CYCLE_TICKS == 0:
                    part.release()
            case SimulatedGnss():
                if tick % _FIX_TICKS == 0:
                    part.report(Fix(now_ns, time.time_ns(), 52.0907, 5.1214, 5.0, 3.0, 9))
            case SimulatedAccelerometer():
                part.report(Acceleration(now_ns, 0.0, 0.0, 1.0))
