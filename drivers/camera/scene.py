"""The moving scene of the synthetic camera, drawn straight into the planes of a YUV 4:2:0 picture.

Time code at the top (`drivers.camera.timecode`), a textured band that pans below the middle, a flash patch in the
middle that is white for `FLASH_FRAMES` pictures from every whole second on and dark otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import av
import numpy as np
from numpy.typing import NDArray

from drivers.camera import timecode
from drivers.camera.timecode import Luma

FLASH_FRAMES = 3
_PAN_PIXELS = 4
_SEED = 2


@dataclass(frozen=True, slots=True)
class Patch:
    """A rectangle of pixels."""

    top: int
    bottom: int
    left: int
    right: int

    def of(self, luma: Luma) -> Luma:
        """The part of `luma` inside this rectangle."""
        return luma[self.top : self.bottom, self.left : self.right]


def flash_patch(width: int, height: int) -> Patch:
    """Where the flash is, for a picture of `width` by `height` pixels."""
    return Patch(top=height // 4, bottom=height // 2, left=width // 4, right=3 * width // 4)


class Scene:
    """Draws the scene. One picture buffer is drawn over and over; only what moves is touched."""

    def __init__(self, width: int, height: int, frame_rate: int) -> None:
        self._frame_rate = frame_rate
        self._picture = av.VideoFrame(width, height, "yuv420p")
        luma, blue, red = (
            np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
            for plane in self._picture.planes
        )
        self._luma = luma
        luma[:] = np.linspace(40, 200, width, dtype=np.uint8)
        blue[:] = np.linspace(90, 166, blue.shape[1], dtype=np.uint8)
        red[:] = np.linspace(160, 96, red.shape[0], dtype=np.uint8)[:, None]
        self._patch = flash_patch(width, height).of(luma)
        self._band = luma[5 * height // 8 : 7 * height // 8]
        self._texture = _texture(self._band.shape[0], width)

    def draw(self, number: int) -> av.VideoFrame:
        """Draw frame `number` (frames since a flash's beginning); the picture is valid until the next call."""
        timecode.draw(self._luma, number)
        self._patch[:] = timecode.WHITE if number % self._frame_rate < FLASH_FRAMES else timecode.BLACK
        width = self._band.shape[1]
        offset = number * _PAN_PIXELS % width
        self._band[:] = self._texture[:, offset : offset + width]
        return self._picture


def _texture(height: int, width: int) -> NDArray[np.uint8]:
    """Coarse random blocks, twice as wide as the picture and repeating, so that a pan is one slice."""
    dice = np.random.default_rng(_SEED)
    coarse = dice.integers(40, 200, (-(-height // 8), -(-width // 8)), np.uint8)
    once = np.kron(coarse, np.ones((8, 8), np.uint8))[:height, :width]
    return np.ascontiguousarray(np.concatenate([once, once], axis=1))
