"""A system that takes note of what it is told, and does nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from drivers.errors import DriverError
from drivers.system.protocol import LogLine

_MOST_TOLD = 1000


class SimulatedSystem:
    """Implements `drivers.system.protocol.SystemControl`."""

    present = True

    def __init__(self) -> None:
        self.told: deque[str] = deque(maxlen=_MOST_TOLD)
        """What it was told: ``stop``, ``start``, ``restart``, ``set-clock UTC_NS``, ``power-off``."""
        self.refusals: dict[str, str] = {}
        """What it refuses, by the first word, and why."""

    def stop_recorder(self) -> None:
        """Take note."""
        self._take("stop")

    def start_recorder(self) -> None:
        """Take note."""
        self._take("start")

    def restart_recorder(self) -> None:
        """Take note."""
        self._take("restart")

    def set_clock(self, utc_ns: int) -> None:
        """Take note."""
        self._take(f"set-clock {utc_ns}")

    def power_off(self) -> None:
        """Take note."""
        self._take("power-off")

    def _take(self, what: str) -> None:
        if why := self.refusals.get(what.split()[0]):
            raise DriverError(why)
        self.told.append(what)


class SimulatedLog:
    """A log in memory. Implements `drivers.system.protocol.SystemLog`."""

    present = True

    def __init__(self, lines: Iterable[LogLine] = ()) -> None:
        self.lines = list(lines)
        self.refusal = ""

    def newest(self, most: int) -> list[LogLine]:
        """Return its last lines."""
        if self.refusal:
            raise DriverError(self.refusal)
        return self.lines[-most:] if most else []
