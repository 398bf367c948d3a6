"""No recording light. It takes commands, and never claims to be lit: without a lamp it is known to be dark."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from drivers.errors import DriverError
from drivers.indicator.protocol import LightSink, LightState, require_level


class DisabledIndicator:
    """A light that is not there. Implements `drivers.indicator.protocol.Indicator`; `LightState.lit` is never true."""

    def __init__(self, *, now: Callable[[], int] = time.monotonic_ns) -> None:
        self._now = now
        self._lock = threading.RLock()
        self._sink: LightSink | None = None
        self._commanded = False
        self._closed = False

    @property
    def name(self) -> str:
        """``disabled``."""
        return "disabled"

    def light(self, level: float) -> None:
        """Take the command, and stay dark.

        Raises:
            DriverError: it was closed.
        """
        require_level(level)
        with self._lock:
            if self._closed:
                raise DriverError("indicator: it was closed; make a new one")
            lit = level > 0
            changed, self._commanded = self._commanded != lit, lit
            if changed and self._sink is not None:
                self._sink(self.state())

    def state(self) -> LightState:
        """Read the command; sensed dark, always."""
        with self._lock:
            return LightState(self._now(), self._commanded, False)

    def watch(self, sink: LightSink | None) -> None:
        """Report every change of the command to `sink`; None stops it."""
        with self._lock:
            self._sink = sink

    def close(self) -> None:
        """Take no further command. Idempotent."""
        with self._lock:
            self._sink = None
            self._commanded = False
            self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()
