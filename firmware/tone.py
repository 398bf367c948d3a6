"""How loud one tone is within a piece of sound: the Goertzel algorithm (G. Goertzel, 1958)."""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Sequence

SILENCE_DB = -120.0
_FULL = 32768.0


def tone_level_db(samples: Sequence[int], sample_rate: int, tone_hz: float) -> float:
    """Return the level of `tone_hz` in 16-bit samples, in dB of a full-scale sine; `SILENCE_DB` at the lowest.

    20 ms of sound tell tones apart that are some 50 Hz from one another.
    """
    if not samples:
        return SILENCE_DB
    turn = 2 * math.pi * tone_hz / sample_rate
    coefficient = 2 * math.cos(turn)
    before = last = 0.0
    for sample in samples:
        before, last = last, sample + coefficient * last - before
    power = before * before + last * last - coefficient * before * last
    amplitude = 2 * math.sqrt(max(0.0, power)) / len(samples) / _FULL
    return max(SILENCE_DB, 20 * math.log10(amplitude)) if amplitude > 0 else SILENCE_DB


def first_channel(pcm: bytes, channels: int) -> array[int]:
    """Return the first channel of interleaved s16le samples; an incomplete last sample is left out."""
    samples = array("h")
    samples.frombytes(pcm[: len(pcm) // 2 * 2])
    if sys.byteorder == "big":
        samples.byteswap()
    return samples[::channels]
