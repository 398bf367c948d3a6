"""Instants of a device's life."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant."""

    run: int
    """Which run of the monotonic clock, counted from 0 in the order of the chain."""
    monotonic_ns: int
    utc_ns: int
    """By the device's wall clock as it stood then."""


def utc(time_ns: int) -> str:
    """Return a Unix time in nanoseconds as ISO 8601 with milliseconds, or as a number where no calendar reaches."""
    try:
        return datetime.fromtimestamp(time_ns / 1e9, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return f"{time_ns} ns"
