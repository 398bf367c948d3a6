"""Frames: any split, any noise, any hostile bytes; in step again with the next one."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.errors import MessageError
from wire.frames import MAX_LINE_BYTES, MAX_TEXT_BYTES, FrameReader, frame

TEXTS = st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=60), max_size=6)


def fed(reader: FrameReader, data: bytes, cuts: list[int]) -> list[bytes]:
    found: list[bytes] = []
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in itertools.pairwise(places):
        found += reader.feed(data[start:end])
        assert reader.kept_bytes <= MAX_LINE_BYTES
    return found


def test_a_frame_is_a_line_that_a_person_can_read() -> None:
    assert frame(b'{"ask":"hello"}') == b'\n@000F 9C0EF7C9 {"ask":"hello"}\n'


@given(TEXTS, st.lists(st.integers(0, 10_000), max_size=8))
def test_frames_arrive_however_they_are_cut(texts: list[str], cuts: list[int]) -> None:
    sent = [text.encode() for text in texts]
    assert fed(FrameReader(), b"".join(map(frame, sent)), cuts) == sent


@given(st.binary(max_size=300), TEXTS, st.lists(st.integers(0, 10_000), max_size=8))
def test_noise_costs_no_frame_that_follows_it(noise: bytes, texts: list[str], cuts: list[int]) -> None:
    sent = [text.encode() for text in texts]
    reader = FrameReader()
    data = b"".join(noise + frame(text) for text in sent)
    assert [text for text in fed(reader, data, cuts) if text in sent] == sent


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=60), st.integers(0, 10**6))
def test_a_frame_with_a_byte_turned_is_no_frame_or_the_same(text: str, where: int) -> None:
    data = bytearray(frame(text.encode()))
    data[where % len(data)] ^= 1 + where % 255
    assert FrameReader().feed(bytes(data) + b"\n") in ([], [text.encode()])


@given(st.lists(st.binary(max_size=500), max_size=20))
def test_hostile_bytes_are_passed_over_within_bounds(parts: list[bytes]) -> None:
    reader = FrameReader()
    for part in parts:
        reader.feed(part)
        assert reader.kept_bytes <= MAX_LINE_BYTES
    assert reader.feed(frame(b"still here"))[-1:] == [b"still here"]


def test_a_line_without_an_end_is_not_kept() -> None:
    reader = FrameReader()
    for _ in range(100):
        assert reader.feed(b"@" * 4096) == []
        assert reader.kept_bytes <= MAX_LINE_BYTES
    assert reader.feed(frame(b"x")) == [b"x"]
    assert reader.refused == 1


@pytest.mark.parametrize("text", [b"", b"a\nb", b"\xff", b"x" * (MAX_TEXT_BYTES + 1)])
def test_what_is_no_text_is_not_framed(text: bytes) -> None:
    with pytest.raises(MessageError):
        frame(text)


def test_a_lying_length_or_sum_does_not_count() -> None:
    good = frame(b"text")
    reader = FrameReader()
    assert reader.feed(good.replace(b"@0004", b"@0005")) == []
    assert reader.feed(good.replace(b"text", b"tent")) == []
    assert reader.refused == 2
    assert reader.feed(frame(b"x" * MAX_TEXT_BYTES)) == [b"x" * MAX_TEXT_BYTES]
