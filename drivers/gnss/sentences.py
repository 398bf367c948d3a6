"""NMEA 0183 sentences to fixes, by pynmea2. No I/O.

RMC gives time, date and whether the position is valid; GGA of the same second gives satellites, altitude and HDOP.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pynmea2

from drivers.gnss.protocol import Fix

MAX_LINE_BYTES = 120
"""A sentence has 82 characters at most; some receivers write a little more."""
_RANGE_ERROR_M = 5.0
"""A receiver's error per unit of HDOP, under an open sky: horizontal error is about HDOP times this."""
_EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)
_LATEST = datetime(2100, 1, 1, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LineCutter:
    """Cuts bytes into lines; what is longer than a sentence is dropped to its end."""

    def __init__(self) -> None:
        self._rest = b""
        self._dropping = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that are complete now, without their ends."""
        lines: list[bytes] = []
        for part in data.splitlines(keepends=True):
            self._rest += part
            whole = part.endswith((b"\n", b"\r"))
            if len(self._rest) > MAX_LINE_BYTES:
                self._rest, self._dropping = b"", True
            if whole:
                if not self._dropping and self._rest.strip():
                    lines.append(self._rest.strip())
                self._rest, self._dropping = b"", False
        return lines


class SentenceReader:
    """Takes lines and makes fixes of them."""

    def __init__(self) -> None:
        self._gga: pynmea2.types.talker.GGA | None = None

    def line(self, line: bytes, time_ns: int) -> Fix | None:
        """Return the fix that this line completes; None for whatever is not a valid one."""
        try:
            sentence = pynmea2.parse(line.decode("ascii"), check=True)
            kind = getattr(sentence, "sentence_type", "")
            if kind == "GGA":
                self._gga = sentence
                return None
            return self._fix(sentence, time_ns) if kind == "RMC" else None
        except (pynmea2.ParseError, ValueError, TypeError, AttributeError):
            return None  # noise on the line, or a field that is none

    def _fix(self, rmc: pynmea2.types.talker.RMC, time_ns: int) -> Fix | None:
        if rmc.status != "A":
            return None
        latitude, longitude = rmc.latitude, rmc.longitude
        if not (-90 <= latitude <= 90 and -180 <= longitude <= 180) or (not rmc.lat or not rmc.lon):
            return None
        gga = self._gga if self._gga is not None and self._gga.timestamp == rmc.timestamp else None
        hdop = _number(gga.horizontal_dil) if gga else None
        return Fix(
            time_ns=time_ns,
            utc_ns=_utc_ns(rmc),
            latitude_deg=latitude,
            longitude_deg=longitude,
            altitude_m=_number(gga.altitude) if gga else None,
            accuracy_m=None if hdop is None else hdop * _RANGE_ERROR_M,
            satellites=int(_number(gga.num_sats) or 0) if gga else 0,
        )


def _number(value: object) -> float | None:
    return float(str(value)) if value not in (None, "") else None


def _utc_ns(rmc: pynmea2.types.talker.RMC) -> int | None:
    """The time of the fix; a receiver that has not heard the date yet, or whose weeks rolled over, knows none."""
    if rmc.datestamp is None or rmc.timestamp is None:
        return None
    when = datetime.combine(rmc.datestamp, rmc.timestamp.replace(tzinfo=None), UTC)
    if not _EARLIEST <= when < _LATEST:
        return None
    return (when - _EPOCH) // timedelta(microseconds=1) * 1000
