"""What the GNSS receiver is to the rest of the project."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self


@dataclass(frozen=True, slots=True)
class Fix:
    """Where and when the receiver thinks it is."""

    time_ns: int
    """When the sentence arrived, in the domain of `time.monotonic_ns()`."""
    utc_ns: int | None
    """Unix time in nanoseconds, or None while the receiver knows none."""
    latitude_deg: float
    longitude_deg: float
    altitude_m: float | None
    accuracy_m: float | None
    """Estimated horizontal error, or None where the receiver gives none."""
    satellites: int


FixSink = Callable[[Fix], None]
"""Called per fix on the driver's own thread. It hands over and returns; it never blocks, never raises."""


class Gnss(Protocol):
    """A GNSS receiver. `start` and `stop` may be called again and again; `close` is final and idempotent."""

    @property
    def name(self) -> str:
        """A short name for logs and the journal, such as ``nmea`` or ``simulated``."""
        ...

    @property
    def present(self) -> bool:
        """False for the disabled driver: the board has no such part, and its silence is no fault."""
        ...

    def start(self, sink: FixSink) -> None:
        """Begin to report fixes.

        Raises:
            DriverError: the receiver is absent or busy.
        """
        ...

    def stop(self) -> None:
        """Stop. After it returns `sink` is not called again. Idempotent."""
        ...

    def fault(self) -> str | None:
        """One line saying why the receiver is silent, or None while nothing is known to be wrong."""
        ...

    def close(self) -> None:
        """Stop, and give the port back. Idempotent."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
