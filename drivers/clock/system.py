"""The operating system's clocks; quality from the kernel's clock discipline, adjtimex(2)."""

from __future__ import annotations

import ctypes
import time
from functools import cached_property

from drivers.clock.protocol import ClockReading

_STA_UNSYNC = 0x0040
_TIME_ERROR = 5


class _Timex(ctypes.Structure):
    """``struct timex`` of <sys/timex.h>; only the beginning is read."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


class SystemClock:
    """Linux's clocks."""

    def monotonic_ns(self) -> int:
        """Return `time.monotonic_ns()`."""
        return time.monotonic_ns()

    def read(self) -> ClockReading:
        """Read both clocks, the monotonic one on either side of the other, and ask the kernel how good they are."""
        before_ns = time.monotonic_ns()
        utc_ns = time.time_ns()
        after_ns = time.monotonic_ns()
        synchronised, uncertainty_ms = self._quality()
        return ClockReading((before_ns + after_ns) // 2, utc_ns, synchronised, uncertainty_ms)

    def _quality(self) -> tuple[bool, int | None]:
        timex = _Timex()
        state = self._libc.adjtimex(ctypes.byref(timex))
        if state in (-1, _TIME_ERROR) or timex.status & _STA_UNSYNC:
            return False, None
        return True, max(1, timex.maxerror // 1000)

    @cached_property
    def _libc(self) -> ctypes.CDLL:
        return ctypes.CDLL(None, use_errno=True)
