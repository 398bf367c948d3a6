"""What the battery is to the rest of the project."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self


@dataclass(frozen=True, slots=True)
class BatteryReading:
    """What the gauge says at one instant."""

    time_ns: int
    """In the domain of `time.monotonic_ns()`."""
    percent: float
    """State of charge, 0 to 100."""
    voltage_mv: int
    charging: bool | None
    """None where the gauge cannot know."""


class Battery(Protocol):
    """A battery gauge. `close` is final and idempotent."""

    @property
    def name(self) -> str:
        """A short name for logs and the journal, such as ``max17048`` or ``simulated``."""
        ...

    @property
    def present(self) -> bool:
        """False for the disabled driver: the board has no such part, and its silence is no fault."""
        ...

    def read(self) -> BatteryReading | None:
        """Return what the gauge says; None where there is none, or it has not said anything yet.

        Raises:
            DriverError: the gauge does not answer, or answers nonsense.
        """
        ...

    def close(self) -> None:
        """Give the bus back. Idempotent."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
