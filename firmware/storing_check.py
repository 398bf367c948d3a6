"""Whether what is recorded really reaches the flash. No I/O."""

from __future__ import annotations

from firmware.states import Signal, State

STALL_NS = 1_500_000_000
"""The light says otherwise within 2 s of the last chunk stored, the appliance's tick included."""
START_NS = 3_000_000_000
"""A camera may take longer for its first chunk; until then the light says *announcing*."""

_WATCHED = frozenset({State.RECORDING, State.STALLED, State.STARTING, State.RECORDING_DARK})


class StoringCheck:
    """Is shown when a chunk became durable last; says when that means something for the device."""

    def __init__(self) -> None:
        self._begun_ns: int | None = None

    def look(self, state: State, durable_ns: int, now_ns: int) -> Signal | None:
        """Return what the time of the last durable chunk (monotonic) means in that state."""
        if state not in _WATCHED:
            self._begun_ns = None
            return None
        if self._begun_ns is None:
            self._begun_ns = now_ns
        stored = durable_ns > self._begun_ns
        if state is State.STALLED:
            return Signal.STORING if stored and now_ns - durable_ns < STALL_NS else None
        allowed_ns = STALL_NS if stored else START_NS
        return Signal.STALLED if now_ns - max(durable_ns, self._begun_ns) >= allowed_ns else None
