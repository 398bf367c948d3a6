"""What the buzzer is to the rest of the project."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

HIGHEST_HZ = 10_000
"""What pulses made by software still reach."""


def require_tone(frequency_hz: int) -> None:
    """Raise ValueError unless `frequency_hz` is 0 (silence) or from 20 to `HIGHEST_HZ`."""
    if frequency_hz != 0 and not 20 <= frequency_hz <= HIGHEST_HZ:
        raise ValueError(f"a buzzer has no tone of {frequency_hz} Hz: give 0 (silence) or 20 to {HIGHEST_HZ}")


class Buzzer(Protocol):
    """A buzzer. `close` leaves it silent, is final and idempotent. Thread-safe."""

    @property
    def name(self) -> str:
        """A short name for logs and the journal, such as ``gpio`` or ``simulated``."""
        ...

    @property
    def present(self) -> bool:
        """False for the disabled driver: the board has no such part, and its silence is no fault."""
        ...

    def sound(self, frequency_hz: int) -> None:
        """Sound a tone until told otherwise; 0 is silence.

        Raises:
            DriverError: the buzzer cannot be commanded.
            ValueError: no such tone (`require_tone`).
        """
        ...

    def close(self) -> None:
        """Silence it and give the pin back. Idempotent."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
