"""What the real-time clock is to the rest of the project."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self


@dataclass(frozen=True, slots=True)
class RtcReading:
    """What the clock says at one instant."""

    time_ns: int
    """In the domain of `time.monotonic_ns()`."""
    utc_ns: int
    """Unix time in nanoseconds; the clock counts whole seconds."""
    battery_low: bool | None
    """Its backup battery is empty, so its time may be wrong; None where the clock cannot tell."""


class Rtc(Protocol):
    """A real-time clock. `close` is final and idempotent."""

    @property
    def name(self) -> str:
        """A short name for logs and the journal, such as ``linux`` or ``simulated``."""
        ...

    @property
    def present(self) -> bool:
        """False for the disabled driver: the board has no such part, and its silence is no fault."""
        ...

    def read(self) -> RtcReading | None:
        """Return what the clock says; None where there is none.

        Raises:
            DriverError: the clock does not answer.
        """
        ...

    def close(self) -> None:
        """Let go of the clock. Idempotent."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
