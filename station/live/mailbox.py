"""Between the network and whoever verifies: bounded in bytes; when full the oldest goes, and is counted."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mail:
    """A message as it came."""

    topic: str
    payload: bytes
    previous: str | None
    retained: bool


class Mailbox:
    """Many may put, one takes. Thread-safe."""

    def __init__(self, limit_bytes: int = 64 * 1024 * 1024) -> None:
        self._limit_bytes = limit_bytes
        self._items: deque[Mail] = deque()
        self._size_bytes = 0
        self._closed = False
        self._came = threading.Condition()
        self.dropped = 0

    def put(self, mail: Mail) -> None:
        """Queue a message; never waits."""
        with self._came:
            self._items.append(mail)
            self._size_bytes += len(mail.payload)
            while self._size_bytes > self._limit_bytes and len(self._items) > 1:
                self._size_bytes -= len(self._items.popleft().payload)
                self.dropped += 1
            self._came.notify()

    def take(self, timeout_s: float) -> Mail | None:
        """Return the oldest message; None if none came in time, or the box is closed."""
        with self._came:
            if not self._items and not self._closed:
                self._came.wait(timeout_s)
            if not self._items:
                return None
            mail = self._items.popleft()
            self._size_bytes -= len(mail.payload)
            return mail

    def close(self) -> None:
        """Wake whoever waits."""
        with self._came:
            self._closed = True
            self._came.notify_all()

    @property
    def size_bytes(self) -> int:
        """Of all that waits."""
        with self._came:
            return self._size_bytes
