"""Annex B and parameter sets."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.errors import BitstreamError
from capture.h264 import length_prefixed, parameter_sets, split
from tests.capture.fakes import coded

_UNIT = st.binary(min_size=1, max_size=40).map(lambda data: data.replace(b"\0", b"\1"))


@given(st.lists(_UNIT, min_size=1, max_size=6), st.lists(st.booleans(), min_size=6, max_size=6), st.integers(0, 3))
def test_split_finds_every_unit(units: list[bytes], long_codes: list[bool], padding: int) -> None:
    codes = [b"\0\0\0\1" if long else b"\0\0\1" for long in long_codes]
    stream = b"".join(code + unit for code, unit in zip(codes, units, strict=False)) + bytes(padding)
    assert [bytes(unit) for unit in split(stream)] == units
    pieces, size = length_prefixed(split(stream))
    sample = b"".join(pieces)
    assert sample == b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)
    assert size == len(sample)


@given(st.binary(max_size=60))
def test_only_bitstream_errors_leave(data: bytes) -> None:
    for stream in (data, b"\0\0\1\x67" + data + b"\0\0\1\x68\x01\0\0\1\x65\x01"):
        with suppress(BitstreamError):
            sets = parameter_sets(split(stream))
            assert sets.width > 0
            assert sets.avcc()


@pytest.mark.parametrize("profile", ["baseline", "main", "high", "high10", "high422", "high444"])
@pytest.mark.parametrize("size", [(320, 192), (322, 182)])
def test_parameter_sets_of_real_encoders(profile: str, size: tuple[int, int]) -> None:
    formats = {"high10": "yuv420p10le", "high422": "yuv422p", "high444": "yuv444p"}
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height = size
    encoder.pix_fmt = formats.get(profile, "yuv420p")
    encoder.time_base = Fraction(1, 30)
    encoder.options = {"profile": profile, "preset": "ultrafast", "tune": "zerolatency"}
    picture = av.VideoFrame(*size, encoder.pix_fmt)
    for plane in picture.planes:
        plane.update(bytes(plane.buffer_size))
    (packet,) = encoder.encode(picture)
    sets = parameter_sets(split(bytes(packet)))
    assert (sets.width, sets.height) == size
    assert sets.luma_depth == (10 if profile == "high10" else 8)
    assert sets.chroma_format == {"high422": 2, "high444": 3}.get(profile, 1)
    # What FFmpeg makes of the record: it refuses one that is malformed.
    decoder = av.CodecContext.create("h264", "r")
    decoder.extradata = sets.avcc()
    pieces, _ = length_prefixed(split(bytes(packet)))
    frames = decoder.decode(av.Packet(b"".join(pieces))) + decoder.decode(None)
    assert [(frame.width, frame.height) for frame in frames if isinstance(frame, av.VideoFrame)] == [size]


def test_a_key_picture_without_headers_is_refused() -> None:
    data, _ = coded()[1]
    with pytest.raises(BitstreamError, match="without SPS"):
        parameter_sets(split(data))
