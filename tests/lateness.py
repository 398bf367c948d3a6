"""Whether the machine stood still: how much later than asked a thread woke that had nothing else to do."""

from __future__ import annotations

import threading
import time

_TICK_S = 0.01
LATE_S = 0.2
"""Less than the half second after which the companion's driver takes silence for a lost line."""


class Lateness:
    """Watches between `begin` and `end`; one at a time."""

    def __init__(self) -> None:
        self.worst_s = 0.0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Begin to watch."""
        self.worst_s = 0.0
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="lateness", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """End watching; `worst_s` stays."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def was_late(self) -> bool:
        """Whether what a test found may be the machine's doing."""
        return self.worst_s >= LATE_S

    def _run(self) -> None:
        asleep_s = time.monotonic()
        while not self._stop.wait(_TICK_S):
            awake_s = time.monotonic()
            self.worst_s = max(self.worst_s, awake_s - asleep_s - _TICK_S)
            asleep_s = time.monotonic()
