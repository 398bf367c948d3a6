"""A real-time clock in memory, which can be set and broken."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from drivers.errors import DriverError
from drivers.rtc.protocol import RtcReading


class SimulatedRtc:
    """A clock that follows the system, unless set. Implements `drivers.rtc.protocol.Rtc`."""

    def __init__(self) -> None:
        self._offset_ns = 0
        self._battery_low = False
        self._refusal: str | None = None

    def set(self, offset_ns: int, *, battery_low: bool = False) -> None:
        """Go so much ahead of the system's wall clock (behind: negative)."""
        self._offset_ns, self._battery_low = offset_ns, battery_low

    def refuse(self, reason: str | None) -> None:
        """Let every further reading fail with `reason`; None repairs it."""
        self._refusal = reason

    @property
    def name(self) -> str:
        """``simulated``."""
        return "simulated"

    @property
    def present(self) -> bool:
        """True."""
        return True

    def read(self) -> RtcReading | None:
        """Return what it was told.

        Raises:
            DriverError: `refuse` was called.
        """
        if self._refusal is not None:
            raise DriverError(f"rtc: the clock does not answer ({self._refusal}); check its connection")
        whole_s = (time.time_ns() + self._offset_ns) // 1_000_000_000
        return RtcReading(time.monotonic_ns(), whole_s * 1_000_000_000, self._battery_low)

    def close(self) -> None:
        """There is nothing to give back."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()
