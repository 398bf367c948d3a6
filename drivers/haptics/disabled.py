"""No vibration motor: it takes commands and is never felt."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from drivers.errors import DriverError
from drivers.haptics.protocol import require_strength


class DisabledHaptics:
    """A motor that is not there. Implements `drivers.haptics.protocol.Haptics`."""

    def __init__(self) -> None:
        self._closed = threading.Event()

    @property
    def name(self) -> str:
        """``disabled``."""
        return "disabled"

    @property
    def present(self) -> bool:
        """False."""
        return False

    def drive(self, strength: float) -> None:
        """Take the command, and do nothing.

        Raises:
            DriverError: it was closed.
        """
        require_strength(strength)
        if self._closed.is_set():
            raise DriverError("haptics: it was closed; make a new one")

    def close(self) -> None:
        """Take no further command. Idempotent."""
        self._closed.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()
