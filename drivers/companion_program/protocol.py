"""What a way to the controller's program can do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from drivers.companion_program.bundle import Program

Progress = Callable[[int, int], None]
"""Told how many bytes were sent, of how many."""


@dataclass(frozen=True, slots=True)
class Running:
    """The program that a controller says it runs."""

    version: str
    digest: str | None
    """SHA-256 in hexadecimal; None: the program is from before version 1.1.0, which does not say."""
    config: str | None
    """The first eight digits of the SHA-256 of its `config.py`."""
    slot: str | None
    """``a`` or ``b``."""
    trial: bool
    """It gives way to the one before unless it is kept."""


class Controller(Protocol):
    """A controller whose program can be read and replaced."""

    def running(self) -> Running:
        """Ask which program runs.

        Raises:
            DriverError: it does not answer, or not as a controller would.
        """
        ...

    def update(self, program: Program, progress: Progress, say: Callable[[str], None]) -> Running:
        """Put `program` on it, restart it, see it run, and keep it; return what runs then.

        `say` is told what the person beside it is to do. What runs already is left alone. May be called again after
        any failure.

        Raises:
            DriverError: it failed; the controller runs the program that it ran before, or the new one.
        """
        ...
