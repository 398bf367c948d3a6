"""No battery gauge."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from drivers.battery.protocol import BatteryReading


class DisabledBattery:
    """A gauge that is not there. Implements `drivers.battery.protocol.Battery`."""

    @property
    def name(self) -> str:
        """``disabled``."""
        return "disabled"

    @property
    def present(self) -> bool:
        """False."""
        return False

    def read(self) -> BatteryReading | None:
        """Nothing is known."""
        return None

    def close(self) -> None:
        """There is nothing to give back."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()
