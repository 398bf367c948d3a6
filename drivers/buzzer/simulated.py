"""A buzzer in memory, which a simulated microphone can hear, and which can be broken."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

from drivers.buzzer.protocol import require_tone
from drivers.errors import DriverError

_KEPT = 4096

Listener = Callable[[int, int], None]
"""Called with a time (monotonic, in ns) and the tone in Hz that is heard from then on, 0 for silence.

It hands over and returns."""


class SimulatedBuzzer:
    """A buzzer that remembers its tones. Implements `drivers.buzzer.protocol.Buzzer`."""

    def __init__(self, *, listener: Listener | None = None, now: Callable[[], int] = time.monotonic_ns) -> None:
        """`listener` is told every tone that can be heard, and its end."""
        self._listener = listener
        self._now = now
        self._lock = threading.RLock()  # changes in order; reentrant, for who hears of one may look
        self._changes: deque[tuple[int, int]] = deque(maxlen=_KEPT)
        self._told_hz = 0
        self._refusal: str | None = None
        self._muted = False
        self._closed = False

    @property
    def name(self) -> str:
        """``simulated``."""
        return "simulated"

    @property
    def present(self) -> bool:
        """True."""
        return True

    @property
    def tone_hz(self) -> int:
        """What is heard of it now; 0 is silence."""
        with self._lock:
            return 0 if self._muted else self._told_hz

    @property
    def changes(self) -> list[tuple[int, int]]:
        """When it was told (monotonic, in ns) what other tone: the last `_KEPT` of them, oldest first."""
        with self._lock:
            return list(self._changes)

    def refuse(self, reason: str | None) -> None:
        """Let every further command fail with `reason`, and be silent at once; None repairs it."""
        with self._lock:
            self._refusal = reason
            if reason is not None:
                self._become(0)

    def mute(self, muted: bool) -> None:
        """Break its membrane: it takes every command, and nobody hears it. False repairs it."""
        with self._lock:
            if muted != self._muted:
                self._muted = muted
                if self._told_hz and self._listener is not None:
                    self._listener(self._now(), 0 if muted else self._told_hz)

    def sound(self, frequency_hz: int) -> None:
        """Sound a tone; see the protocol.

        Raises:
            DriverError: it was closed, or `refuse` was called.
        """
        require_tone(frequency_hz)
        with self._lock:
            if self._closed:
                raise DriverError("buzzer: it was closed; make a new one")
            if self._refusal is not None:
                raise DriverError(f"buzzer: commanding it failed ({self._refusal}); check the wiring")
            self._become(frequency_hz)

    def close(self) -> None:
        """Be silent. Idempotent."""
        with self._lock:
            self._become(0)
            self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def _become(self, tone_hz: int) -> None:
        if tone_hz == self._told_hz:
            return
        self._told_hz = tone_hz
        time_ns = self._now()
        self._changes.append((time_ns, tone_hz))
        if self._listener is not None and not self._muted:
            self._listener(time_ns, tone_hz)
