"""No accelerometer."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from drivers.accelerometer.protocol import AccelerationSink


class DisabledAccelerometer:
    """A sensor that is not there: it starts, and never samples. Implements the protocol `Accelerometer`."""

    @property
    def name(self) -> str:
        """``disabled``."""
        return "disabled"

    @property
    def present(self) -> bool:
        """False."""
        return False

    def start(self, sink: AccelerationSink) -> None:
        """There is nothing to start."""

    def stop(self) -> None:
        """There is nothing to stop."""

    def fault(self) -> str | None:
        """Nothing is wrong with what is not there."""
        return None

    def close(self) -> None:
        """There is nothing to give back."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()
