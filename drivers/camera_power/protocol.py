"""What the camera's power switch is to the rest of the project."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self


class CameraPower(Protocol):
    """The camera's power. With a companion controller it refuses while the light draws no current."""

    @property
    def name(self) -> str:
        """A short name for logs and the journal, such as ``companion`` or ``simulated``."""
        ...

    @property
    def present(self) -> bool:
        """False for the disabled driver: the board has no such part, and its silence is no fault."""
        ...

    def enable(self, on: bool) -> None:
        """Ask for power, or let go of it; returns at once.

        Raises:
            DriverError: the switch cannot be commanded.
        """
        ...

    @property
    def powered(self) -> bool:
        """Whether the camera has power now; always true where nothing switches it."""
        ...

    def close(self) -> None:
        """Let go of the power and of the line. Idempotent."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
