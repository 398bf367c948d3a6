"""What the recording light is to the rest of the project."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self


@dataclass(frozen=True, slots=True)
class LightState:
    """What the light was told, and what its sense line says, at one instant."""

    time_ns: int
    commanded: bool
    """On at any level."""
    sensed: bool | None
    """None where the board has no sense line."""

    @property
    def lit(self) -> bool:
        """Lit as far as this board can know: commanded on, and not sensed dark."""
        return self.commanded and self.sensed is not False


def require_level(level: float) -> None:
    """Raise ValueError unless `level` is from 0 to 1."""
    if not 0 <= level <= 1:
        raise ValueError(f"a light has no level {level}: give 0 (dark) to 1 (full)")


LightSink = Callable[[LightState], None]
"""Called on every change of the command or of the sense line, on any thread. It hands over and returns."""


class Indicator(Protocol):
    """The recording light. `close` leaves it dark, is final and idempotent."""

    @property
    def name(self) -> str:
        """A short name for logs and the journal, such as ``gpio`` or ``simulated``."""
        ...

    def light(self, level: float) -> None:
        """Command the light: 0 is dark, 1 is full, what lies between is dimmed. True and False are 1 and 0.

        Raises:
            DriverError: the light cannot be commanded.
            ValueError: `level` is not from 0 to 1.
        """
        ...

    def state(self) -> LightState:
        """Read the command and the sense line now."""
        ...

    def watch(self, sink: LightSink | None) -> None:
        """Report every change to `sink`; None stops it. A sense line that flickers reports each flicker."""
        ...

    def close(self) -> None:
        """Put the light out and give the pins back. Idempotent."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
