"""A controller that exists in memory only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from drivers.companion_program.bundle import Program
from drivers.companion_program.protocol import Progress, Running
from drivers.errors import DriverError


class SimulatedController:
    """Takes a program, or fails as it is told to."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self.failure = ""
        """Not empty: the next update fails so."""

    def running(self) -> Running:
        """Return what runs."""
        return self._running

    def update(self, program: Program, progress: Progress, say: Callable[[str], None]) -> Running:
        """Run `program` from now on."""
        if self.failure:
            failure, self.failure = self.failure, ""
            raise DriverError(failure)
        if self._running.digest != program.digest:
            say("hold the record button, until the sending begins (about 5 s)")
            for sent in (0, program.size_bytes):
                progress(sent, program.size_bytes)
            slot = "a" if self._running.slot == "b" else "b"
            self._running = replace(
                self._running, version=program.version, digest=program.digest, slot=slot, trial=False
            )
        return self._running
