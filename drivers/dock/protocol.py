"""What the dock contact is to the rest of the project."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

DockSink = Callable[[bool], None]
"""Called with True when the device is put into its dock and False when it is taken out. It hands over and returns."""


class Dock(Protocol):
    """The contact with the dock. `close` is final and idempotent."""

    @property
    def name(self) -> str:
        """A short name for logs and the journal, such as ``udc`` or ``simulated``."""
        ...

    @property
    def present(self) -> bool:
        """False for the disabled driver: the board has no such part, and its silence is no fault."""
        ...

    @property
    def docked(self) -> bool:
        """Whether the device stands in its dock now.

        Raises:
            DriverError: the contact cannot be read.
        """
        ...

    def watch(self, sink: DockSink | None) -> None:
        """Report every change to `sink`; None stops it."""
        ...

    def close(self) -> None:
        """Stop watching. Idempotent."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
