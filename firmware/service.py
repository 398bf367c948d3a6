"""What systemd is told about this process: sd_notify(3), over the datagram socket that NOTIFY_SOCKET names."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from firmware.errors import FirmwareError

_MAX_STATUS = 200
_SEND_S = 1.0


class ServiceError(FirmwareError):
    """systemd cannot be told, or told us nonsense."""


class Service:
    """Tells systemd how the process is. Not run by systemd, it tells nobody. Thread-safe.

    A lost message is no fault of the device: each `alive` makes good for the one before, and when none arrives
    systemd restarts the process, as it should. So sending raises nothing; `lost` counts what could not be sent.
    """

    def __init__(self, address: str | None, watchdog_s: float | None = None) -> None:
        """`address` is a path, or ``@`` and an abstract name; None tells nobody.

        Raises:
            ServiceError: no such address, or no socket can be had.
        """
        self.watchdog_s = watchdog_s
        """systemd restarts the process when `alive` was not called for so long; None: it does not."""
        self.lost = 0
        self._socket: socket.socket | None = None
        if address is None:
            return
        if address[0] not in "@/" or "\0" in address:
            raise ServiceError(f"NOTIFY_SOCKET: {address!r} is neither a path nor an abstract name; unset it")
        # In the kernel's terms an abstract name begins with a zero byte.
        self._address = "\0" + address[1:] if address[0] == "@" else address
        try:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        except OSError as error:
            raise ServiceError(
                f"NOTIFY_SOCKET: no socket can be had ({error.strerror}); restart the service"
            ) from error
        self._socket.settimeout(_SEND_S)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Service:
        """Take address and watchdog time from NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID (sd_watchdog_enabled(3)).

        Raises:
            ServiceError: one of them is malformed.
        """
        address = environ.get("NOTIFY_SOCKET") or None
        interval_us = _whole(environ, "WATCHDOG_USEC")
        meant_for = _whole(environ, "WATCHDOG_PID")
        # Inherited from a parent that systemd watches: not ours.
        ours = meant_for is None or meant_for == os.getpid()
        return cls(address, interval_us / 1e6 if interval_us and ours and address else None)

    @property
    def beat_s(self) -> float | None:
        """How often to call `alive`: half of the watchdog's time, as sd_watchdog_enabled(3) advises."""
        return None if self.watchdog_s is None else self.watchdog_s / 2

    def ready(self, status: str = "") -> None:
        """Start-up is over."""
        self._tell("READY=1", *_status(status))

    def status(self, text: str) -> None:
        """Say in one line what the device does; ``systemctl status`` shows it to everybody on the machine."""
        self._tell(*_status(text))

    def alive(self) -> None:
        """The process works, and is not only there: call it from the thread whose progress counts."""
        self._tell("WATCHDOG=1")

    def stopping(self) -> None:
        """The process is ending in an orderly way."""
        self._tell("STOPPING=1")

    def close(self) -> None:
        """Let go of the socket. Idempotent; after it nobody is told anything."""
        held, self._socket = self._socket, None
        if held is not None:
            held.close()

    def _tell(self, *lines: str) -> None:
        if self._socket is None or not lines:
            return
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError:  # a time-out too
            self.lost += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _status(text: str) -> list[str]:
    line = " ".join(text.split())  # a second line would be another assignment
    return [f"STATUS={line[:_MAX_STATUS]}"] if line else []


def _whole(environ: Mapping[str, str], name: str) -> int | None:
    text = environ.get(name)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ServiceError(f"{name}: {text!r} is not a whole number; unset it")
    return int(text)
