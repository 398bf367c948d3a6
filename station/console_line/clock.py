"""Setting a device's clock by this machine's: its monotonic clock is read, and both ends of that look are timed.

The look that took the shortest says best what time it was at that instant (as NTP does, RFC 5905): it is off by no more
than half of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from station.console_line.session import Session
from wire.errors import MessageError
from wire.plain import take_int

_LOOKS = 4
_MOST_NS = 2**62


@dataclass(frozen=True, slots=True)
class Measured:
    """What time it was at an instant of the device's monotonic clock."""

    monotonic_ns: int
    utc_ns: int
    off_ns: int
    """At most so far off, by this machine's clock."""
    device_utc_ns: int
    """What the device believed."""
    in_step: bool


def measure(
    session: Session,
    utc_ns: Callable[[], int] = time.time_ns,
    monotonic_ns: Callable[[], int] = time.monotonic_ns,
) -> Measured:
    """Look some times, and return the best look."""
    looks = [_look(session, utc_ns, monotonic_ns) for _ in range(_LOOKS)]
    return min(looks, key=lambda look: look.off_ns)


def set_clock(session: Session, measured: Measured) -> Mapping[str, Any]:
    """Have the device set its clock by it; return what it answers."""
    return session.ask("set-clock", {"monotonic_ns": measured.monotonic_ns, "utc_ns": measured.utc_ns}).fields


def _look(session: Session, utc_ns: Callable[[], int], monotonic_ns: Callable[[], int]) -> Measured:
    begun_ns, begun_utc_ns = monotonic_ns(), utc_ns()
    fields = session.ask("clock").fields
    half_ns = (monotonic_ns() - begun_ns) // 2
    if not isinstance(fields.get("in_step"), bool):
        raise MessageError("a clock's reading does not say whether it is in step")
    return Measured(
        take_int(fields, "monotonic_ns", _MOST_NS),
        begun_utc_ns + half_ns,
        half_ns,
        take_int(fields, "utc_ns", _MOST_NS, -_MOST_NS),
        bool(fields["in_step"]),
    )
