"""No system that can be asked: for a machine that is no device, or one whose services are run in another way."""

from __future__ import annotations

from typing import NoReturn

from drivers.errors import DriverUnavailableError
from drivers.system.protocol import LogLine


class DisabledSystem:
    """Refuses all. Implements `drivers.system.protocol.SystemControl`."""

    present = False

    def stop_recorder(self) -> None:
        """Refuse."""
        _refuse()

    def start_recorder(self) -> None:
        """Refuse."""
        _refuse()

    def restart_recorder(self) -> None:
        """Refuse."""
        _refuse()

    def set_clock(self, utc_ns: int) -> None:
        """Refuse."""
        del utc_ns
        _refuse()

    def power_off(self) -> None:
        """Refuse."""
        _refuse()


class DisabledLog:
    """Refuses. Implements `drivers.system.protocol.SystemLog`."""

    present = False

    def newest(self, most: int) -> list[LogLine]:
        """Refuse."""
        del most
        _refuse()


def _refuse() -> NoReturn:
    raise DriverUnavailableError("this device's settings name no system that could be asked: [console] system")
