"""A camera power switch in memory, which may hold to the light as the companion controller does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from drivers.errors import DriverError


class SimulatedCameraPower:
    """A switch. Implements `drivers.camera_power.protocol.CameraPower`."""

    def __init__(self, *, lit: Callable[[], bool] = lambda: True) -> None:
        """`lit` tells whether the light draws current: no light, no power, and power is lost with it for good."""
        self._lit = lit
        self._lock = threading.Lock()
        self._on = False
        self._refusal: str | None = None
        self._closed = False

    @property
    def name(self) -> str:
        """``simulated``."""
        return "simulated"

    @property
    def present(self) -> bool:
        """There is a switch."""
        return True

    def refuse(self, reason: str | None) -> None:
        """Let every further command fail with `reason`, and the power be lost; None repairs it."""
        with self._lock:
            self._refusal = reason
            self._on = False

    def enable(self, on: bool) -> None:
        """Ask for power, or let go of it. In the dark it is not given.

        Raises:
            DriverError: it was closed, or `refuse` was called.
        """
        with self._lock:
            if self._closed:
                raise DriverError("camera power: it was closed; make a new one")
            if self._refusal is not None:
                raise DriverError(f"camera power: the switch cannot be commanded ({self._refusal}); check the wiring")
            self._on = on and self._lit()

    @property
    def powered(self) -> bool:
        """Whether the camera has power now."""
        with self._lock:
            self._on = self._on and self._lit()
            return self._on

    def close(self) -> None:
        """Let go of the power. Idempotent."""
        with self._lock:
            self._closed = True
            self._on = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()
