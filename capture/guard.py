"""Keeps one part running: a part that falls silent or reports a fault is stopped and started again.

The rules are in `Guard.check`, which knows neither threads nor waiting; `Guard.run` calls it from time to time on the
part's own watchdog thread, so that one part that hangs while it is stopped does not hold up the other.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from capture.chunk import FAULT, STALL
from capture.limits import Limits
from drivers.errors import DriverError

_LOG = logging.getLogger(__name__)
_PERIOD_S = 0.2


@dataclass(frozen=True, slots=True)
class Part:
    """A camera or a microphone, as its watchdog sees it."""

    name: str
    start: Callable[[Callable[[], bool]], None]
    """Start it; what it delivers counts only while the callable given says true. Raises `DriverError`."""
    stop: Callable[[], None]
    fault: Callable[[], str | None]
    restarting: Callable[[str], None]
    """Told before each restart, with the cause."""
    silence_ns: int


class Guard:
    """The watchdog of one part. `delivered` may be called on any thread, the rest on one."""

    def __init__(self, part: Part, limits: Limits, clock: Callable[[], int]) -> None:
        self._part = part
        self._limits = limits
        self._clock = clock
        self._backoff_ns = limits.first_backoff_ns
        self._started_ns = 0
        self._seen_ns: int | None = None
        self._next_ns: int | None = None
        self._run = 0
        self._live = False
        self._dead_since_ns = 0
        self._distrusted: str | None = None
        self.restarts = 0
        """How often it was tried to start the part again."""
        self.trouble: str | None = None
        """What the last restart was for, or why the last start failed."""

    def start(self) -> None:
        """Start the part.

        Raises:
            DriverError: it does not start; `check` will try again.
        """
        self._started_ns = self._clock()
        self._run += 1
        run = self._run
        try:
            self._part.start(lambda: run == self._run)
        except DriverError as error:
            self.trouble = str(error)
            self._next_ns = self._started_ns + self._backoff_ns
            self._backoff_ns = min(2 * self._backoff_ns, self._limits.longest_backoff_ns)
            raise
        self._next_ns = None

    def delivered(self) -> None:
        """Something usable came."""
        self._seen_ns = self._clock()
        self._live = True

    def distrust(self, why: str) -> None:
        """What the part delivers is of no use: have it started again."""
        self._distrusted = why

    def live(self, at_ns: int) -> bool:
        """Whether, as far as is known, at that time the part had delivered not too long ago, and ran."""
        seen_ns = self._seen_ns
        if seen_ns is None or at_ns - seen_ns > self._part.silence_ns:
            return False
        return self._live or at_ns <= self._dead_since_ns

    def check(self) -> None:
        """Look once whether the part is due for a stop, or for another start."""
        now_ns = self._clock()
        if self._next_ns is None:
            self._check_running(now_ns)
        if self._next_ns is not None and now_ns >= self._next_ns:
            self.restarts += 1
            try:
                self.start()
            except DriverError as error:
                _LOG.warning("%s: does not start again: %s", self._part.name, error)

    def stop(self) -> None:
        """Stop the part for good; a part that does not stop is on record in `trouble`."""
        self._lay_dead(self._clock())
        try:
            self._part.stop()
        except DriverError as error:
            self.trouble = str(error)
            _LOG.warning("%s: does not stop: %s", self._part.name, error)

    def run(self, stop: threading.Event) -> None:
        """The watchdog thread: check until told to stop, then stop the part."""
        while not stop.wait(_PERIOD_S):
            self.check()
        self.stop()

    def _check_running(self, now_ns: int) -> None:
        distrusted, self._distrusted = self._distrusted, None
        fault = self._part.fault() or distrusted
        since_ns = max(self._started_ns, self._seen_ns or 0)
        if fault is None and now_ns - since_ns <= self._part.silence_ns:
            if now_ns - self._started_ns > self._limits.longest_backoff_ns:
                self._backoff_ns = self._limits.first_backoff_ns
            return
        silent_s = (now_ns - since_ns) / 1e9
        self.trouble = fault or f"{self._part.name}: silent for {silent_s:.1f} s"
        _LOG.warning("%s: starting it again: %s", self._part.name, self.trouble)
        self._lay_dead(now_ns)
        self._part.restarting(STALL if fault is None else FAULT)
        # Never sooner than the back-off after the last start: a part that dies at once must not be started in a loop.
        self._next_ns = max(now_ns, self._started_ns + self._backoff_ns)
        self._backoff_ns = min(2 * self._backoff_ns, self._limits.longest_backoff_ns)
        try:
            self._part.stop()
        except DriverError as error:
            self.trouble = str(error)
            _LOG.warning("%s: does not stop: %s", self._part.name, error)

    def _lay_dead(self, now_ns: int) -> None:
        """From now on nothing counts that the part still delivers."""
        self._run += 1
        if self._live:
            self._live, self._dead_since_ns = False, now_ns
