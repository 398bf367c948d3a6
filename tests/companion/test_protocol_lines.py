"""Lines, fuzzed both ways: the controller's code and the Pi's were written apart, and read the same."""

from __future__ import annotations

import binascii

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.companion import lines as pi
from hardware.companion.program import lines as controller

printable = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=120)


def test_the_check_value() -> None:
    assert controller.crc16(b"123456789") == 0x29B1
    assert pi.seal("123456789") == b"123456789*29B1\n"


@given(st.binary(max_size=200))
def test_one_crc(data: bytes) -> None:
    assert controller.crc16(data) == binascii.crc_hqx(data, 0xFFFF)


@given(printable)
def test_what_one_seals_the_other_opens(text: str) -> None:
    assert controller.seal(text) == pi.seal(text)
    assert controller.unseal(pi.seal(text)[:-1]) == text
    assert pi.unseal(controller.seal(text)[:-1]) == text


@given(printable, st.data())
def test_a_line_that_was_hurt_does_not_count(text: str, data: st.DataObject) -> None:
    """A CRC of 16 bits finds every burst of up to 16 bits, so every byte that changed, and every two neighbours."""
    sealed = bytearray(pi.seal(text)[:-1])
    at = data.draw(st.integers(0, len(text) - 1))
    sealed[at] ^= data.draw(st.integers(1, 255))
    hurt = bytes(sealed)
    with pytest.raises(controller.LineError):
        controller.unseal(hurt)
    with pytest.raises(pi.LineRefusedError):
        pi.unseal(hurt)


@given(st.binary(max_size=300))
def test_anything_is_refused_or_read_and_nothing_else(data: bytes) -> None:
    try:
        text: str | None = controller.unseal(data)
    except controller.LineError:
        text = None
    try:
        same: str | None = pi.unseal(data)
    except pi.LineRefusedError:
        same = None
    assert text == same
    try:
        pi.parse(data)
    except pi.LineRefusedError:
        return


words = st.sampled_from(["1", "ok", "no", "down", "up", "boot=00000000", "lit=2", "=", "", "proto=1", "t=", "soc=-"])


@given(st.sampled_from("<!=#~"), st.lists(words, max_size=20))
def test_sealed_nonsense_is_refused_or_read_and_nothing_else(first: str, rest: list[str]) -> None:
    try:
        said = pi.parse(pi.seal(first + " ".join(rest))[:-1])
    except pi.LineRefusedError:
        return
    if isinstance(said, pi.Answer):
        try:
            pi.read_greeting(said.words)
        except pi.LineRefusedError:
            return


@given(st.lists(st.binary(max_size=120), max_size=8), st.data())
def test_lines_are_cut_the_same_wherever_the_bytes_are_torn(parts: list[bytes], data: st.DataObject) -> None:
    stream = b"\n".join(parts)
    at = data.draw(st.integers(0, len(stream)))
    whole, torn, other = controller.LineReader(), controller.LineReader(), pi.LineCutter()
    expected = whole.feed(stream)
    assert torn.feed(stream[:at]) + torn.feed(stream[at:]) == expected
    assert other.feed(stream[:at]) + other.feed(stream[at:]) == expected


@settings(max_examples=20)
@given(st.integers(controller.MAX_LINE - 2, controller.MAX_LINE + 2))
def test_a_line_that_is_too_long_is_left_out_whole(length: int) -> None:
    stream = b"a\n" + b"x" * length + b"\nb\r\n"
    expected = [b"a", b"x" * length, b"b"] if length <= controller.MAX_LINE else [b"a", b"b"]
    reader, cutter = controller.LineReader(), pi.LineCutter()
    assert reader.feed(stream) == expected
    assert cutter.feed(stream) == expected
    assert reader.overlong == cutter.overlong == (length > controller.MAX_LINE)


@pytest.mark.parametrize("word", ["", "-1", "+1", " 1", "1_0", "0x1", "١", "12345678901"])
def test_no_number(word: str) -> None:
    with pytest.raises(controller.LineError, match="syntax"):
        controller.number(word, 0, 10)
