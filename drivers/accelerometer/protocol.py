"""What the accelerometer is to the rest of the project."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self


@dataclass(frozen=True, slots=True)
class Acceleration:
    """One sample, in units of standard gravity (9.80665 m/s²)."""

    time_ns: int
    """In the domain of `time.monotonic_ns()`."""
    x_g: float
    y_g: float
    z_g: float


AccelerationSink = Callable[[Acceleration], None]
"""Called per sample on the driver's own thread. It hands over and returns; it never blocks, never raises."""


class Accelerometer(Protocol):
    """An accelerometer. `start` and `stop` may be called again and again; `close` is final and idempotent."""

    @property
    def name(self) -> str:
        """A short name for logs and the journal, such as ``lis3dh`` or ``simulated``."""
        ...

    @property
    def present(self) -> bool:
        """False for the disabled driver: the board has no such part, and its silence is no fault."""
        ...

    def start(self, sink: AccelerationSink) -> None:
        """Begin to sample, some 50 times a second.

        Raises:
            DriverError: the sensor is absent or busy.
        """
        ...

    def stop(self) -> None:
        """Stop. After it returns `sink` is not called again. Idempotent."""
        ...

    def fault(self) -> str | None:
        """One line saying why the sensor is silent, or None while nothing is known to be wrong."""
        ...

    def close(self) -> None:
        """Stop, and give the bus back. Idempotent."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
