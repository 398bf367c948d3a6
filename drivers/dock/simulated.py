"""A dock in memory."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from drivers.dock.protocol import DockSink


class SimulatedDock:
    """A dock into which `put` puts the device. Implements `drivers.dock.protocol.Dock`."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._docked = False
        self._sink: DockSink | None = None

    @property
    def name(self) -> str:
        """``simulated``."""
        return "simulated"

    @property
    def present(self) -> bool:
        """True."""
        return True

    def put(self, docked: bool) -> None:
        """Put the device into its dock, or take it out."""
        with self._lock:
            changed, self._docked = self._docked != docked, docked
            if changed and self._sink is not None:
                self._sink(docked)

    @property
    def docked(self) -> bool:
        """Whether the device stands in its dock now."""
        with self._lock:
            return self._docked

    def watch(self, sink: DockSink | None) -> None:
        """Report every change to `sink`; None stops it."""
        with self._lock:
            self._sink = sink

    def close(self) -> None:
        """Stop watching. Idempotent."""
        self.watch(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()
