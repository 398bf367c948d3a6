"""A recording light in memory, whose lamp and sense line can be broken."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from drivers.errors import DriverError
from drivers.indicator.protocol import LightSink, LightState, require_level


class SimulatedIndicator:
    """A light that follows its command, unless told otherwise. Implements `drivers.indicator.protocol.Indicator`."""

    def __init__(self, *, has_sense: bool = True, now: Callable[[], int] = time.monotonic_ns) -> None:
        self._has_sense = has_sense
        self._now = now
        self._lock = threading.RLock()  # reports in the order of the changes; reentrant, for a sink may read the state
        self._sink: LightSink | None = None
        self._commanded = False
        self._level = 0.0
        self._stuck: bool | None = None
        self._refusal: str | None = None
        self._closed = False

    @property
    def name(self) -> str:
        """``simulated``."""
        return "simulated"

    @property
    def shining(self) -> bool:
        """What a bystander sees, sense line or not."""
        with self._lock:
            return self._commanded if self._stuck is None else self._stuck

    @property
    def level(self) -> float:
        """How bright it shines, as far as it follows its command."""
        with self._lock:
            return float(self._level if self._stuck is None else self._stuck)

    def stick(self, shining: bool | None) -> None:
        """Break the lamp: dark (False) or lit (True) whatever the command; None repairs it."""
        with self._lock:
            before = self.shining
            self._stuck = shining
            if self._has_sense and self.shining != before:
                self._report()

    def refuse(self, reason: str | None) -> None:
        """Let every further command fail with `reason`; None repairs it."""
        with self._lock:
            self._refusal = reason

    def light(self, level: float) -> None:
        """Command the light; see the protocol.

        Raises:
            DriverError: it was closed, or `refuse` was called.
        """
        require_level(level)
        with self._lock:
            if self._closed:
                raise DriverError("indicator: it was closed; make a new one")
            if self._refusal is not None:
                self._commanded, self._level = False, 0.0
                raise DriverError(f"indicator: switching the light failed ({self._refusal}); check the wiring")
            lit = level > 0
            changed, self._commanded, self._level = self._commanded != lit, lit, level
            if changed:
                self._report()

    def state(self) -> LightState:
        """Read the command and the sense line now."""
        with self._lock:
            return LightState(self._now(), self._commanded, self.shining if self._has_sense else None)

    def watch(self, sink: LightSink | None) -> None:
        """Report every change to `sink`; None stops it."""
        with self._lock:
            self._sink = sink

    def close(self) -> None:
        """Put the light out. Idempotent."""
        with self._lock:
            self._sink = None
            self._commanded = False
            self._stuck = None
            self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def _report(self) -> None:
        if self._sink is not None:
            self._sink(self.state())
