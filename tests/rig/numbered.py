"""Pictures that carry their number, drawn large enough to be read again after H.264."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

BITS = 6
COUNT = 1 << BITS
"""Numbers run from 0 to COUNT - 1 and begin again."""
SHOWN = 4
"""libcamera's virtual pipeline shows each picture this many times: a run that is shorter has lost one."""
_BLACK, _WHITE = 40, 215


def draw(number: int, width: int, height: int) -> NDArray[np.uint8]:
    """Draw a luma picture: one upright bar a bit, and below it a ramp that moves, so that no two pictures are alike."""
    picture = np.empty((height, width), dtype=np.uint8)
    for bit in range(BITS):
        left, right = width * bit // BITS, width * (bit + 1) // BITS
        picture[: height // 2, left:right] = _WHITE if number >> bit & 1 else _BLACK
    across = (np.arange(width) * 256 // width + number * 256 // COUNT) % 256
    picture[height // 2 :, :] = 32 + across // 2
    return picture


def read(luma: NDArray[np.uint8]) -> int:
    """Read the number of a picture that `draw` made, of any size."""
    height, width = luma.shape
    band = luma[height // 8 : 3 * height // 8]
    number = 0
    for bit in range(BITS):
        left, right = width * bit // BITS, width * (bit + 1) // BITS
        margin = (right - left) // 4
        if band[:, left + margin : right - margin].mean() > (_BLACK + _WHITE) / 2:
            number |= 1 << bit
    return number


def losses(numbers: list[int]) -> list[str]:
    """Tell every place where a picture is missing, is there twice, or is out of order.

    Each number is shown SHOWN times, but for the first and the last, of which some may be outside the recording.
    """
    runs = [(number, sum(1 for _ in run)) for number, run in itertools.groupby(numbers)]
    found = [
        f"{before} then {after}"
        for (before, _), (after, _) in itertools.pairwise(runs)
        if after != (before + 1) % COUNT
    ]
    found += [f"{number} {times} times" for number, times in runs[1:-1] if times != SHOWN]
    found += [f"{number} {times} times" for number, times in runs if times > SHOWN]
    return found
