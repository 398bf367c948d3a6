"""A camera that nothing switches: it has power whenever the device has."""

from __future__ import annotations

from types import TracebackType
from typing import Self


class AlwaysPowered:
    """No switch. Implements `drivers.camera_power.protocol.CameraPower`."""

    @property
    def name(self) -> str:
        """``always``."""
        return "always"

    @property
    def present(self) -> bool:
        """There is no switch."""
        return False

    def enable(self, on: bool) -> None:
        """Do nothing."""

    @property
    def powered(self) -> bool:
        """Always."""
        return True

    def close(self) -> None:
        """Do nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()
