"""A preview is a part of the recording: the same key picture, the same sound, on the same time line."""

from __future__ import annotations

import io

import av
import pytest

from capture.chunk import CmafChunk
from capture.errors import CaptureError
from capture.preview import thin
from tests.capture.fakes import SECOND
from tests.capture.test_browser import _movie


def decoded(data: bytes) -> tuple[list[float], list[float], int]:
    """Times of the pictures, of the sound's frames, and the bytes of the pictures."""
    pictures, sound, size = [], [], 0
    with av.open(io.BytesIO(data), "r") as file:
        for packet in file.demux():
            if packet.pts is None or packet.time_base is None:
                continue
            if packet.stream.type == "video":
                pictures.append(float(packet.pts * packet.time_base))
                size += packet.size
            else:
                sound.append(float(packet.pts * packet.time_base))
        file.seek(0)
        assert sum(1 for _ in file.decode(video=0)) == len(pictures)
    return pictures, sound, size


def chunk(data: bytes, *, key: bool) -> CmafChunk:
    return CmafChunk(data, 0, SECOND // 3, key, 10, (), True, True)


def test_previews_are_the_key_pictures_and_the_sound_of_the_recording() -> None:
    (header, *parts), _ = _movie()
    pictures, sound, size = decoded(header + b"".join(parts))
    keys = [number % 3 == 0 for number in range(len(parts))]
    thinned = [thin(chunk(data, key=key), SECOND) for data, key in zip(parts, keys, strict=True)]
    assert all(thinned)
    made = header + b"".join(item for item in thinned if item)
    thin_pictures, thin_sound, thin_size = decoded(made)
    assert thin_pictures == pytest.approx([pictures[0], pictures[30]])
    assert thin_sound == sound
    assert thin_size < size / 2


def test_a_chunk_without_key_picture_or_sound_has_no_preview() -> None:
    (_, *parts), _ = _movie()
    silent = [thin(chunk(data, key=False), SECOND) for data in parts]
    assert all(silent), "its sound goes out"
    assert thin(chunk(b"", key=True), SECOND) is None


def test_what_is_no_fragment_is_an_error_of_ours() -> None:
    with pytest.raises(CaptureError):
        thin(chunk(b"\xff" * 64, key=True), SECOND)
