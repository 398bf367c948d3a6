"""What the vibration motor is to the rest of the project."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self


def require_strength(strength: float) -> None:
    """Raise ValueError unless `strength` is from 0 to 1."""
    if not 0 <= strength <= 1:
        raise ValueError(f"a motor has no strength {strength}: give 0 (still) to 1 (full)")


class Haptics(Protocol):
    """A vibration motor. `close` leaves it still, is final and idempotent. Thread-safe."""

    @property
    def name(self) -> str:
        """A short name for logs and the journal, such as ``gpio`` or ``simulated``."""
        ...

    @property
    def present(self) -> bool:
        """False for the disabled driver: the board has no such part, and its silence is no fault."""
        ...

    def drive(self, strength: float) -> None:
        """Run the motor at `strength` (0 is still, 1 is full) until told otherwise.

        Raises:
            DriverError: the motor cannot be commanded.
            ValueError: `strength` is not from 0 to 1.
        """
        ...

    def close(self) -> None:
        """Still it and give the pin back. Idempotent."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
