"""No record button: a board that is started by other means."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from drivers.button.protocol import ButtonSink


class DisabledButton:
    """A button that is not there. Implements `drivers.button.protocol.Button`."""

    @property
    def name(self) -> str:
        """``disabled``."""
        return "disabled"

    @property
    def pressed(self) -> bool:
        """False, always."""
        return False

    def watch(self, sink: ButtonSink | None) -> None:
        """Do nothing: there is never an edge."""

    def close(self) -> None:
        """Do nothing: it holds nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()
