"""A real-time clock that the kernel drives, read through rtc(4)."""

from __future__ import annotations

import calendar
import fcntl
import os
import struct
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from drivers.errors import DriverError
from drivers.rtc.protocol import RtcReading

_RTC_RD_TIME = 0x80247009
_RTC_VL_READ = 0x80047013
_VL_LOW = 0b0111
"""RTC_VL_DATA_INVALID, RTC_VL_BACKUP_LOW, RTC_VL_BACKUP_EMPTY of <linux/rtc.h>."""
_TM = struct.Struct("9i")
"""struct rtc_time: second, minute, hour, day, month from 0, year from 1900, and three unused."""


class LinuxRtc:
    """`device` such as ``/dev/rtc0``. Implements `drivers.rtc.protocol.Rtc`. It is never set."""

    def __init__(self, device: str) -> None:
        self._device = Path(device)

    @property
    def name(self) -> str:
        """``linux``."""
        return "linux"

    @property
    def present(self) -> bool:
        """True: the board has one."""
        return True

    def read(self) -> RtcReading | None:
        """Read time and the state of its battery; the device is open only meanwhile, for one process may have it.

        Raises:
            DriverError: it does not answer.
        """
        try:
            fd = os.open(self._device, os.O_RDONLY | os.O_CLOEXEC)
            try:
                tm = _TM.unpack(fcntl.ioctl(fd, _RTC_RD_TIME, bytes(_TM.size)))
                now_ns = time.monotonic_ns()
                low = self._battery_low(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise DriverError(
                f"rtc: {self._device} does not answer ({error.strerror}); check its connection"
            ) from error
        return RtcReading(now_ns, utc_of(tm) * 1_000_000_000, low)

    def _battery_low(self, fd: int) -> bool | None:
        try:
            (flags,) = struct.unpack("I", fcntl.ioctl(fd, _RTC_VL_READ, bytes(4)))
        except OSError:
            return None  # this chip cannot tell
        return bool(flags & _VL_LOW)

    def close(self) -> None:
        """Nothing is held between readings."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()


def utc_of(tm: tuple[int, ...]) -> int:
    """Return the Unix time in seconds of a `struct rtc_time`.

    Raises:
        DriverError: there is no such time.
    """
    second, minute, hour, day, month, year = tm[:6]
    if not (0 <= second < 61 and 0 <= minute < 60 and 0 <= hour < 24 and 1 <= day <= 31 and 0 <= month < 12):
        raise DriverError(f"rtc: it gives a time that does not exist ({tm[:6]}); set the clock")
    return calendar.timegm((year + 1900, month + 1, day, hour, minute, second))
