"""systemd: its manager, timedated and logind, asked over their own programs, as the user that the console runs as.

Which of it that user may ask is for the device's polkit rules to say; nobody is asked for a password.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from drivers.errors import DriverError
from drivers.system.commands import Done, run

_STOP_S = 45.0
"""The recorder has 30 s to close what is open."""
_ASK_S = 15.0
_MOST_BYTES = 65_536
_TIMEDATE = ("org.freedesktop.timedate1", "/org/freedesktop/timedate1", "org.freedesktop.timedate1", "SetTime")
_LOGIN = ("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager", "PowerOff")


class SystemdControl:
    """Implements `drivers.system.protocol.SystemControl`."""

    present = True

    def __init__(self, unit: str, *, run: Callable[..., Done] = run) -> None:
        """`unit` is the recorder's service."""
        self._unit = unit
        self._run = run

    def stop_recorder(self) -> None:
        """Stop its unit; it is not started again by itself until it is told to."""
        self._ask(("systemctl", "--no-ask-password", "stop", self._unit), f"stop {self._unit}", _STOP_S)

    def start_recorder(self) -> None:
        """Start its unit."""
        self._ask(("systemctl", "--no-ask-password", "--no-block", "start", self._unit), f"start {self._unit}")

    def restart_recorder(self) -> None:
        """Restart its unit."""
        self._ask(("systemctl", "--no-ask-password", "--no-block", "restart", self._unit), f"restart {self._unit}")

    def set_clock(self, utc_ns: int) -> None:
        """Set the time by timedated, which writes a real-time clock too; it refuses where time comes by network."""
        self._call(_TIMEDATE, ("xbb", str(utc_ns // 1000), "false", "false"), "set the clock")

    def power_off(self) -> None:
        """Switch off by logind."""
        self._call(_LOGIN, ("b", "false"), "switch off")

    def _call(self, method: tuple[str, ...], values: tuple[str, ...], what: str) -> None:
        self._ask(("busctl", "--allow-interactive-authorization=false", "call", *method, *values), what)

    def _ask(self, arguments: Sequence[str], what: str, limit_s: float = _ASK_S) -> None:
        done = self._run(arguments, limit_s=limit_s, most_bytes=_MOST_BYTES)
        if done.status:
            raise DriverError(f"the system does not {what}: {done.trouble or f'status {done.status}'}")
