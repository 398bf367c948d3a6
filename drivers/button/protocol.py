"""What the record button is to the rest of the project."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self


@dataclass(frozen=True, slots=True)
class ButtonEdge:
    """The button went down or came up."""

    time_ns: int
    pressed: bool


ButtonSink = Callable[[ButtonEdge], None]
"""Called on each edge on the driver's own thread. It hands over and returns; it never blocks, never raises."""


class Button(Protocol):
    """The record button. `close` is final and idempotent."""

    @property
    def name(self) -> str:
        """A short name for logs and the journal, such as ``gpio`` or ``keyboard``."""
        ...

    @property
    def pressed(self) -> bool:
        """Whether the button is down now."""
        ...

    def watch(self, sink: ButtonSink | None) -> None:
        """Report every edge to `sink`; None stops it."""
        ...

    def close(self) -> None:
        """Give the pin back. Idempotent."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
