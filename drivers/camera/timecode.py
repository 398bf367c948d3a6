"""A machine-readable time code burnt into the picture: the frame's number as black and white blocks.

32 blocks in two rows at the top left, most significant bit first: 24 bits of frame number, then a CRC-8 (polynomial
0x07, initial value 0xA5, so that neither a black nor a white picture reads as a number). A block is 1/20 of the picture
wide and 1/16 high: big enough to outlive H.264 at a low bit rate, and in the same place at every resolution. Only luma
is used; numbers wrap at `MODULUS`.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Luma: TypeAlias = NDArray[np.uint8]
"""One plane of 8-bit luma, rows by columns."""

MODULUS = 1 << 24
BLACK = 16
WHITE = 235
_COLUMNS = 16
_ROWS = 2
_WIDEST = 20
_HIGHEST = 16
# A block's mean must lie this far from mid-grey to count: anything nearer is damage, not a bit.
_MID = (BLACK + WHITE) / 2
_MARGIN = 30.0


def block_size(width: int, height: int) -> tuple[int, int]:
    """Width and height of one block, in pixels, for a picture of `width` by `height`."""
    return width // _WIDEST, height // _HIGHEST


def draw(luma: Luma, number: int) -> None:
    """Burn frame number `number`, modulo `MODULUS`, into `luma` in place."""
    height, width = luma.shape
    block_width, block_height = block_size(width, height)
    number %= MODULUS
    word = number << 8 | _crc8(number)
    bits = [WHITE if word >> (31 - place) & 1 else BLACK for place in range(32)]
    for row in range(_ROWS):
        line = np.repeat(np.array(bits[row * _COLUMNS : (row + 1) * _COLUMNS], np.uint8), block_width)
        luma[row * block_height : (row + 1) * block_height, : line.size] = line


def read(luma: Luma) -> int | None:
    """Read the frame number back from a decoded picture, or None when it cannot be read with certainty."""
    height, width = luma.shape
    block_width, block_height = block_size(width, height)
    if not block_width or not block_height:
        return None
    word = 0
    for row in range(_ROWS):
        # The middle half of each block: its edges carry the codec's ringing.
        top = row * block_height + block_height // 4
        band = luma[top : top + max(1, block_height // 2), : _COLUMNS * block_width]
        blocks = band.reshape(band.shape[0], _COLUMNS, block_width)
        left = block_width // 4
        means = blocks[:, :, left : left + max(1, block_width // 2)].mean(axis=(0, 2))
        if np.abs(means - _MID).min() < _MARGIN:
            return None
        for mean in means:
            word = word << 1 | int(mean > _MID)
    number = word >> 8
    return number if word & 0xFF == _crc8(number) else None


def _crc8(number: int) -> int:
    crc = 0xA5
    for octet in number.to_bytes(3, "big"):
        crc ^= octet
        for _ in range(8):
            crc = (crc << 1 ^ 0x07 if crc & 0x80 else crc << 1) & 0xFF
    return crc
