"""Remembers what the recording light did, so that every chunk can attest it for exactly its own time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable

from drivers.indicator.protocol import LightState
from storage.layout import Light

_KEPT = 1024


class LightWitness:
    """Takes every change of the light and answers for any recent span of time. Thread-safe."""

    def __init__(self, now: LightState) -> None:
        self._changes: deque[LightState] = deque([now], maxlen=_KEPT)
        self._lock = threading.Lock()

    def saw(self, state: LightState) -> None:
        """Take note of a state; of the same state over and over, the first and the last are kept.

        Two threads may read the light one after the other and come here the other way round, so a state takes the
        place of its own time: an older "lit" must never stand above a newer "dark".
        """
        with self._lock:
            newer: list[LightState] = []
            while self._changes and self._changes[-1].time_ns > state.time_ns:
                newer.append(self._changes.pop())
            if len(self._changes) >= 2 and _same(self._changes[-1], state) and _same(self._changes[-2], state):
                self._changes.pop()
            self._changes.append(state)
            self._changes.extend(reversed(newer))

    def over(self, start_ns: int, end_ns: int) -> tuple[Light, Light]:
        """Return what was commanded and what was sensed from `start_ns` to `end_ns`.

        A span that begins before what is remembered counts as dark: what nobody saw is not attested.
        """
        with self._lock:
            changes = list(self._changes)
        states = [changes[0]] if changes[0].time_ns <= start_ns else []
        for change in changes[1:]:
            if change.time_ns <= start_ns:
                states = [change]
            elif change.time_ns < end_ns:
                states.append(change)
        if not states or states[0].time_ns > start_ns:
            return Light.DARK, Light.DARK
        commanded = _sum(state.commanded for state in states)
        sensed = [state.sensed for state in states]
        if all(value is None for value in sensed):
            return commanded, Light.UNSENSED
        return commanded, _sum(value is True for value in sensed)


def _same(one: LightState, other: LightState) -> bool:
    return (one.commanded, one.sensed) == (other.commanded, other.sensed)


def _sum(values: Iterable[bool]) -> Light:
    seen = set(values)
    if seen == {True}:
        return Light.LIT
    return Light.PARTLY if True in seen else Light.DARK
