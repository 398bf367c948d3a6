"""Puts on record what goes wrong on the companion's line, at a bounded rate. No I/O of its own."""

from __future__ import annotations

from dataclasses import asdict
from typing import Protocol

from drivers.companion.conversation import Counters

_EVERY_NS = 60_000_000_000


class Note(Protocol):
    """Puts an event on record."""

    def __call__(self, name: str, **details: str | int | bool | None) -> None:
        """Never blocks."""
        ...


class LineCounts:
    """Notes the counts when they have changed, at most once a minute."""

    def __init__(self, note: Note) -> None:
        self._note = note
        self._told = Counters()
        self._told_ns: int | None = None

    def look(self, counters: Counters, now_ns: int) -> None:
        """Take the counts as they stand; to be called often."""
        if counters == self._told or (self._told_ns is not None and now_ns - self._told_ns < _EVERY_NS):
            return
        self._told, self._told_ns = counters, now_ns
        self._note("companion", **asdict(counters))
