"""Waiting that always ends: for a condition, for a while, or because somebody gave up on the one who waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from firmware.errors import FirmwareError

_LOOK_S = 0.01


class GaveUpError(FirmwareError):
    """Whoever asked for the work no longer waits for it."""


class Patience:
    """The clock of one piece of work. `give_up` comes from another thread; the rest from the working one."""

    def __init__(self) -> None:
        self._over = threading.Event()

    def now_ns(self) -> int:
        """Return `time.monotonic_ns()`."""
        return time.monotonic_ns()

    def give_up(self) -> None:
        """End every wait from now on."""
        self._over.set()

    def pause(self, seconds: float) -> None:
        """Wait that long.

        Raises:
            GaveUpError: the work is no longer wanted.
        """
        if self._over.wait(seconds):
            raise GaveUpError("nobody waits for this any more; nothing to do")

    def until(self, condition: Callable[[], bool], within_s: float) -> bool:
        """Look every 10 ms until `condition` holds; return whether it did in time. It is looked at once at least.

        Raises:
            GaveUpError: the work is no longer wanted.
        """
        deadline_ns = self.now_ns() + round(within_s * 1e9)
        while not condition():
            left_s = (deadline_ns - self.now_ns()) / 1e9
            if left_s <= 0:
                return False
            self.pause(min(_LOOK_S, left_s))
        return True
