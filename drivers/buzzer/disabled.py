"""No buzzer: it takes commands and is never heard."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from drivers.buzzer.protocol import require_tone
from drivers.errors import DriverError


class DisabledBuzzer:
    """A buzzer that is not there. Implements `drivers.buzzer.protocol.Buzzer`."""

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

    def sound(self, frequency_hz: int) -> None:
        """Take the command, and do nothing.

        Raises:
            DriverError: it was closed.
        """
        require_tone(frequency_hz)
        if self._closed.is_set():
            raise DriverError("buzzer: it was closed; make a new one")

    def close(self) -> None:
        """Take no further command. Idempotent."""
        self._closed.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()
