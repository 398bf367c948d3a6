"""systemd's journal, by journalctl: the lines of the device's own services, and of each no more than five fields."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from drivers.errors import DriverError
from drivers.system.commands import Done, run
from drivers.system.protocol import LogLine

_LIMIT_S = 20.0
_LINE_BYTES = 1024
_MOST_BYTES = 16 * 1024 * 1024
_MOST_TEXT = 500
_LATEST_US = 2**62
_FIELDS = "MESSAGE,PRIORITY,_SYSTEMD_UNIT,UNIT"
"""`UNIT` is the service that a line of systemd's own is about."""
_INFO = 6


class JournaldLog:
    """Implements `drivers.system.protocol.SystemLog`."""

    present = True

    def __init__(self, units: str = "getuige*", *, run: Callable[..., Done] = run) -> None:
        """`units` is a pattern of services' names."""
        self._units = units
        self._run = run

    def newest(self, most: int) -> list[LogLine]:
        """Ask for them from the newest one back, so that what is too much is the oldest."""
        arguments = [
            "journalctl", "--no-pager", "--quiet", "--reverse", "--output=json", f"--output-fields={_FIELDS}",
            f"--lines={most}", f"--unit={self._units}",
        ]  # fmt: skip
        most_bytes = min(_MOST_BYTES, 65_536 + most * _LINE_BYTES)
        done = self._run(arguments, limit_s=_LIMIT_S, most_bytes=most_bytes)
        if done.status and "No data available" not in done.trouble:  # no such service has written anything yet
            raise DriverError(f"the system's log cannot be read: {done.trouble or f'status {done.status}'}")
        found = [line for text in done.output.splitlines() if (line := _line(text)) is not None]
        return found[:most][::-1]


def _line(text: bytes) -> LogLine | None:
    """Read a line of journalctl's JSON; None where it is none, as the last one of an output that was cut."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    utc_us = _whole(fields.get("__REALTIME_TIMESTAMP"), _LATEST_US)
    unit = fields.get("UNIT") or fields.get("_SYSTEMD_UNIT")
    message = _message(fields.get("MESSAGE"))
    if utc_us is None or not isinstance(unit, str) or message is None:
        return None
    priority = _whole(fields.get("PRIORITY"), 7)
    return LogLine(utc_us, unit[:100], _INFO if priority is None else priority, message[:_MOST_TEXT])


def _whole(value: object, most: int) -> int | None:
    if not isinstance(value, str) or not value.isdecimal() or not value.isascii() or len(value) > 20:
        return None
    return int(value) if int(value) <= most else None


def _message(value: Any) -> str | None:
    """A message is a text; an array of bytes where it is no UTF-8; null where it is too long."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(byte, int) and 0 <= byte <= 255 for byte in value):
        return bytes(value).decode("utf-8", "replace")
    return None
