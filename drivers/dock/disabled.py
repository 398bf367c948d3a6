"""No contact with a dock."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from drivers.dock.protocol import DockSink


class DisabledDock:
    """A contact that is not there: never docked. Implements `drivers.dock.protocol.Dock`."""

    @property
    def name(self) -> str:
        """``disabled``."""
        return "disabled"

    @property
    def present(self) -> bool:
        """False."""
        return False

    @property
    def docked(self) -> bool:
        """False."""
        return False

    def watch(self, sink: DockSink | None) -> None:
        """There is nothing to watch."""

    def close(self) -> None:
        """There is nothing to give back."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()
