"""A serial port as a line (pyserial): opened for us alone, 115 200 baud where baud means anything."""

from __future__ import annotations

import errno
import os
import termios
from pathlib import Path
from types import TracebackType
from typing import Self

import serial

from wire.errors import LineLostError

_BAUD = 115_200
_WRITE_S = 5.0
_READ_BYTES = 4096
_GONE = (OSError, serial.SerialException, termios.error, TypeError)
"""What pyserial raises where a port goes away; TypeError where it was closed meanwhile on another thread."""


class SerialLine:
    """An open port. A context manager."""

    def __init__(self, port: Path | str) -> None:
        """Open it.

        Raises:
            LineLostError: it is not there, somebody else has it, or this user may not open it.
        """
        self._name = str(port)
        try:
            self._port = serial.Serial(self._name, _BAUD, timeout=0, write_timeout=_WRITE_S, exclusive=True)
        except (*_GONE, ValueError) as error:
            raise LineLostError(f"cannot open {self._name}: {_reason(error)}") from None

    def read(self, timeout_s: float) -> bytes:
        """Return what came, or nothing once the time is over.

        Raises:
            LineLostError: the cable was pulled.
        """
        try:
            self._port.timeout = timeout_s
            first = self._port.read(1)
            if not first:
                return b""
            self._port.timeout = 0
            return bytes(first + self._port.read(_READ_BYTES))
        except _GONE as error:
            raise LineLostError(f"{self._name} is gone ({_reason(error)}): is the cable in?") from None

    def write(self, data: bytes) -> None:
        """Send all of it.

        Raises:
            LineLostError: the cable was pulled, or the other end takes nothing.
        """
        try:
            self._port.write(data)
        except _GONE as error:
            raise LineLostError(f"{self._name} takes nothing ({_reason(error)}): is the cable in?") from None

    def close(self) -> None:
        """Let go of the port. Idempotent."""
        try:
            self._port.close()
        except _GONE:
            return  # it is gone already

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno:
        return "another program has it open" if error.errno == errno.EAGAIN else os.strerror(error.errno)
    return str(error).splitlines()[0] if str(error) else type(error).__name__
