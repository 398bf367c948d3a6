"""Who may receive at the same moment.

A few bays keep all cores busy; more only get in each other's way, unless links are slow: then processors idle, and one
more bay is let in at a time.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_MOST = 64
_IDLE = 0.4
"""Below this share of the cores, this program could do more."""


class Turns:
    """Shared by all bays of a dock. A turn is one segment long. Thread-safe."""

    def __init__(
        self,
        at_once: int | None = None,
        *,
        cores: int | None = None,
        now_s: Callable[[], float] = time.monotonic,
        cpu_s: Callable[[], float] = time.process_time,
    ) -> None:
        """`at_once` is fixed where it is given; otherwise it begins with one for each core, and grows."""
        self._cores = cores or len(os.sched_getaffinity(0))
        self._grows = at_once is None
        self._most = at_once or self._cores
        self._now_s = now_s
        self._cpu_s = cpu_s
        self._looked = (now_s(), cpu_s())
        self._taken = 0
        self._free = threading.Condition()

    @contextmanager
    def turn(self, timeout_s: float) -> Iterator[bool]:
        """Wait for a turn; give whether it came in time."""
        with self._free:
            if not self._free.wait_for(lambda: self._taken < self._most, timeout_s):
                self._grow()
            mine = self._taken < self._most
            self._taken += mine
        try:
            yield mine
        finally:
            with self._free:
                self._taken -= mine
                self._free.notify()

    @property
    def alone(self) -> bool:
        """No other bay has a turn."""
        return self._taken <= 1

    @property
    def at_once(self) -> int:
        """How many may have one now."""
        return self._most

    def _grow(self) -> None:
        """Somebody has waited in vain: let one more in if the processors were idle meanwhile."""
        before, self._looked = self._looked, (self._now_s(), self._cpu_s())
        passed_s = self._looked[0] - before[0]
        busy = (self._looked[1] - before[1]) / max(passed_s, 0.001) / self._cores
        if self._grows and busy < _IDLE and self._most < _MOST:
            self._most += 1
            self._free.notify()
