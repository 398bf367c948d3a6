"""Instants of a device's life."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant."""

    run: int
    """Which run of the monotonic clock, counted from 0 in the order of the chain."""
    monotonic_ns: int
    utc_ns: int
    """By the device's wall clock as it stood then."""
