"""Looks after what changes slowly, on a thread of its own named "health": battery, room on the flash, the clock.

A gauge that hangs, or a card that does not answer, so never delays the main thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from drivers.battery.protocol import Battery
from drivers.clock.jumps import JumpWatch
from drivers.clock.protocol import Clock
from drivers.errors import DriverError
from firmware.inputs import Health, Trouble
from storage.errors import StorageError

_PERIOD_S = 5.0
_JOIN_S = 5.0


class HealthWatch:
    """Reports the device's health every 5 s, and once at the beginning. A context manager."""

    def __init__(
        self,
        battery: Battery,
        free_percent: Callable[[], float],
        minutes_left: Callable[[], int],
        clock: Clock,
        tell: Callable[[Health | Trouble], None],
        note: Callable[..., None],
        *,
        period_s: float = _PERIOD_S,
    ) -> None:
        """`tell` reaches the main thread, `note` the journal; neither blocks."""
        self._battery = battery
        self._free_percent = free_percent
        self._minutes_left = minutes_left
        self._clock = clock
        self._tell = tell
        self._note = note
        self._period_s = period_s
        self._jumps = JumpWatch()
        self._troubles: dict[str, str] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)

    def begin(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """End the thread. Idempotent."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_JOIN_S)

    def look(self) -> None:
        """Look once at everything."""
        percent, charging = self._read_battery()
        self._tell(Health(percent, charging, *self._read_free()))
        jump_ns = self._jumps.see(self._clock.read())
        if jump_ns:
            self._note("clock-jump", by_ms=jump_ns // 1_000_000)

    def _run(self) -> None:
        while True:
            self.look()
            if self._stop.wait(self._period_s):
                return

    def _read_battery(self) -> tuple[float | None, bool]:
        try:
            reading = self._battery.read()
        except DriverError as error:
            self._trouble("battery", str(error))
            return None, False
        self._trouble("battery", "")
        return (reading.percent, bool(reading.charging)) if reading else (None, False)

    def _read_free(self) -> tuple[float, int]:
        try:
            free = self._free_percent(), self._minutes_left()
        except StorageError as error:
            self._trouble("flash", str(error))
            return 0.0, 0
        self._trouble("flash", "")
        return free

    def _trouble(self, part: str, text: str) -> None:
        if self._troubles.get(part, "") != text:
            self._troubles[part] = text
            self._tell(Trouble(part, text))
