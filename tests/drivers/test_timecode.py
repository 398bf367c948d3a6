"""The time code in the picture."""

from __future__ import annotations

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.camera import timecode
from drivers.camera.protocol import VideoFormat
from drivers.camera.scene import FLASH_FRAMES, Scene, flash_patch
from drivers.camera.synthetic import open_encoder


@given(st.integers(0, 2 * timecode.MODULUS), st.sampled_from([(192, 320), (480, 848), (99, 181)]))
def test_what_is_drawn_is_read(number: int, shape: tuple[int, int]) -> None:
    luma = np.full(shape, 128, np.uint8)
    timecode.draw(luma, number)
    assert timecode.read(luma) == number % timecode.MODULUS


@pytest.mark.parametrize("level", [0, 16, 128, 235, 255])
def test_a_plain_picture_is_no_number(level: int) -> None:
    assert timecode.read(np.full((192, 320), level, np.uint8)) is None


def test_a_damaged_block_is_noticed() -> None:
    width, height = timecode.block_size(320, 192)
    for row in range(2):
        for column in range(16):
            luma = np.full((192, 320), 128, np.uint8)
            timecode.draw(luma, 123_456)
            block = luma[row * height : (row + 1) * height, column * width : (column + 1) * width]
            block[:] = 255 - block
            assert timecode.read(luma) is None
            block[:] = 128
            assert timecode.read(luma) is None


@pytest.mark.parametrize("size", [(320, 192), (640, 368)])
def test_it_survives_coding_at_a_very_low_rate(size: tuple[int, int]) -> None:
    fmt = VideoFormat(*size, 30, 60_000, 30)
    scene, encoder = Scene(*size, 30), open_encoder(fmt)
    decoder = av.CodecContext.create("h264", "r")
    read, white = [], []
    for number in range(25, 65):
        picture = scene.draw(number)
        picture.pts = number
        for packet in encoder.encode(picture):
            for frame in decoder.decode(packet):
                assert isinstance(frame, av.VideoFrame)
                luma = frame.to_ndarray()[: size[1]].astype(np.uint8)
                read.append(timecode.read(luma))
                white.append(bool(flash_patch(*size).of(luma).mean() > 180))
    assert read == list(range(25, 25 + len(read)))
    assert len(read) >= 38
    assert white == [number % 30 < FLASH_FRAMES for number in range(25, 25 + len(white))]
