"""A record button in memory, pressed by a test or by a key of the keyboard."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from drivers.button.protocol import ButtonEdge, ButtonSink


class SimulatedButton:
    """A button with `press` and `release`. Implements `drivers.button.protocol.Button`."""

    def __init__(self, *, name: str = "simulated", now: Callable[[], int] = time.monotonic_ns) -> None:
        self._name = name
        self._now = now
        self._lock = threading.RLock()
        self._sink: ButtonSink | None = None
        self._pressed = False
        self._closed = False

    @property
    def name(self) -> str:
        """``simulated``, or as it was named."""
        return self._name

    @property
    def pressed(self) -> bool:
        """Whether the button is down now; False once closed."""
        return self._pressed

    def press(self) -> None:
        """Push it down; no edge if it is down already."""
        self._move(True)

    def release(self) -> None:
        """Let it come up; no edge if it is up already."""
        self._move(False)

    def watch(self, sink: ButtonSink | None) -> None:
        """Report every edge to `sink`; None stops it."""
        with self._lock:
            self._sink = sink

    def close(self) -> None:
        """Come up, silently, and report no more. Idempotent."""
        with self._lock:
            self._closed = True
            self._pressed = False
            self._sink = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def _move(self, pressed: bool) -> None:
        with self._lock:
            if self._closed or self._pressed == pressed:
                return
            self._pressed = pressed
            if self._sink is not None:
                self._sink(ButtonEdge(self._now(), pressed))
