"""A satellite receiver in memory: it reports the fixes that it is given."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from drivers.errors import DriverError
from drivers.gnss.protocol import Fix, FixSink


class SimulatedGnss:
    """Reports what `report` gives it, on the caller's thread. Implements `drivers.gnss.protocol.Gnss`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sink: FixSink | None = None
        self._fault: str | None = None
        self._closed = False

    @property
    def name(self) -> str:
        """``simulated``."""
        return "simulated"

    @property
    def present(self) -> bool:
        """True."""
        return True

    def report(self, fix: Fix) -> None:
        """Have this fix; nobody is told while it is stopped or broken."""
        with self._lock:
            if self._sink is not None and self._fault is None:
                self._sink(fix)

    def fail(self, reason: str | None) -> None:
        """Fall silent with that fault; None repairs it."""
        with self._lock:
            self._fault = reason

    def start(self, sink: FixSink) -> None:
        """Begin to report.

        Raises:
            DriverError: it was closed.
        """
        with self._lock:
            if self._closed:
                raise DriverError("gnss: it was closed; make a new one")
            self._sink = sink

    def stop(self) -> None:
        """Stop. Idempotent."""
        with self._lock:
            self._sink = None

    def fault(self) -> str | None:
        """What `fail` was told."""
        with self._lock:
            return self._fault

    def close(self) -> None:
        """Stop for good. Idempotent."""
        with self._lock:
            self._sink = None
            self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()
