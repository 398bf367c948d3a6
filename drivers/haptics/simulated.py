"""A vibration motor in memory, which can be broken."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

from drivers.errors import DriverError
from drivers.haptics.protocol import require_strength

_KEPT = 4096


class SimulatedHaptics:
    """A motor that remembers how it ran. Implements `drivers.haptics.protocol.Haptics`."""

    def __init__(self, *, now: Callable[[], int] = time.monotonic_ns) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._changes: deque[tuple[int, float]] = deque(maxlen=_KEPT)
        self._strength = 0.0
        self._refusal: str | None = None
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
    def strength(self) -> float:
        """How strongly it runs now."""
        with self._lock:
            return self._strength

    @property
    def changes(self) -> list[tuple[int, float]]:
        """When it changed (monotonic, in ns) and to what: the last `_KEPT` of them, oldest first."""
        with self._lock:
            return list(self._changes)

    def refuse(self, reason: str | None) -> None:
        """Let every further command fail with `reason`, and be still at once; None repairs it."""
        with self._lock:
            self._refusal = reason
            if reason is not None:
                self._become(0.0)

    def drive(self, strength: float) -> None:
        """Run the motor; see the protocol.

        Raises:
            DriverError: it was closed, or `refuse` was called.
        """
        require_strength(strength)
        with self._lock:
            if self._closed:
                raise DriverError("haptics: it was closed; make a new one")
            if self._refusal is not None:
                raise DriverError(f"haptics: commanding it failed ({self._refusal}); check the wiring")
            self._become(strength)

    def close(self) -> None:
        """Be still. Idempotent."""
        with self._lock:
            self._become(0.0)
            self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def _become(self, strength: float) -> None:
        if strength != self._strength:
            self._strength = strength
            self._changes.append((self._now(), strength))
