"""The clock of the sound: where a sound card's samples stand on the monotonic clock.

A sound card counts its own seconds, and the times of its blocks jitter by whole blocks. The clock averages the
difference between where samples stand and where their blocks say they should, and hands it back as a *slew*: a
few ticks more or less in the duration of each AAC frame, so that the sound follows the clock without a jump.
"""

from __future__ import annotations

_AVERAGED_BLOCKS = 128
"""About 2.5 s: long against the jitter of blocks, short against the drift of a quartz."""
_SLEW_FRAMES = 256
"""A difference is worked off over about this many frames, 5.5 s: with the average, a damped loop."""
_LARGEST_SLEW = 4
"""Ticks per frame: 0.4 %, twenty times what a bad quartz needs."""


class SoundClock:
    """Averages the error of a sound track, in ticks of its sample rate; positive when the track is early."""

    def __init__(self) -> None:
        self._error = 0.0
        self._blocks = 0
        self._carry = 0.0

    def reset(self) -> None:
        """The track was just put in its place: begin anew."""
        self._error = self._carry = 0.0
        self._blocks = 0

    def observe(self, error_ticks: int) -> None:
        """Take in how far a block lies from where the track stands."""
        self._blocks = min(self._blocks + 1, _AVERAGED_BLOCKS)
        self._error += (error_ticks - self._error) / self._blocks

    def slew(self) -> int:
        """The ticks by which the next frame shall last longer than its samples."""
        wanted = self._error / _SLEW_FRAMES + self._carry
        whole = max(-_LARGEST_SLEW, min(_LARGEST_SLEW, round(wanted)))
        self._carry = max(-1.0, min(1.0, wanted - whole))
        self._error -= whole
        return whole
