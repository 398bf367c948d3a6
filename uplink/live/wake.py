"""Wakes a thread that waits in select(2), from any other, without ever blocking."""

from __future__ import annotations

import contextlib
import socket


class WakePipe:
    """A pair of sockets; a byte in it means: look. Sockets, as a closed one refuses instead of meaning another file."""

    def __init__(self) -> None:
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)

    def wake(self) -> None:
        """Wake whoever waits, or will; after `close` nobody does."""
        # Full means that wake-ups enough are on their way.
        with contextlib.suppress(OSError):
            self._write.send(b"!")

    def fileno(self) -> int:
        """The end to wait for."""
        return self._read.fileno()

    def drain(self) -> None:
        """Take all wake-ups."""
        with contextlib.suppress(BlockingIOError):
            while self._read.recv(4096):
                pass

    def close(self) -> None:
        """Give both ends back."""
        self._read.close()
        self._write.close()
