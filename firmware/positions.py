"""Where a recording is made: fixes of the satellite receiver, as events inside the encrypted payload only."""

from __future__ import annotations

from collections.abc import Callable

from drivers.gnss.protocol import Fix

_EVERY_NS = 5_000_000_000


class PositionLog:
    """Takes fixes on the receiver's thread; every 5 s one goes on record, while a recording is made and only then."""

    def __init__(self, recording: Callable[[], bool], note: Callable[..., None]) -> None:
        self._recording = recording
        self._note = note
        self._last_ns: int | None = None

    def fix(self, fix: Fix) -> None:
        """Take a fix; a wearer's way outside recordings is nobody's business."""
        if not self._recording():
            self._last_ns = None
            return
        if self._last_ns is not None and fix.time_ns - self._last_ns < _EVERY_NS:
            return
        self._last_ns = fix.time_ns
        self._note(
            "position",
            latitude_e7=round(fix.latitude_deg * 1e7),
            longitude_e7=round(fix.longitude_deg * 1e7),
            accuracy_cm=None if fix.accuracy_m is None else round(fix.accuracy_m * 100),
            altitude_cm=None if fix.altitude_m is None else round(fix.altitude_m * 100),
            satellites=fix.satellites,
            utc_ns=fix.utc_ns,
        )
