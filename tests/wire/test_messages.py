"""Messages: one text for each, and nothing else is one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from wire.bodies import BytesBody, Described, Gathering, described, pack, unpack
from wire.errors import BodyError, MessageError, WireError
from wire.messages import Answer, Ask, Note, parse
from wire.plain import decode, encode, expect, printable, take_bytes, take_int, take_map, take_text

SESSION = b"sessions"
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)
MAPS = st.dictionaries(TEXTS, VALUES, max_size=5)


@given(MAPS)
def test_an_object_and_its_text_stand_for_one_another(value: dict[str, Any]) -> None:
    try:
        text = encode(value)
    except MessageError:
        assume(False)
    assert decode(text) == value
    assert text.isascii()
    assert text.decode().isprintable()


@given(st.binary(max_size=200) | MAPS.map(str).map(str.encode))
def test_whatever_comes_is_a_message_or_the_rooms_error(data: bytes) -> None:
    for read in (decode, parse):
        try:
            read(data)
        except WireError:
            continue


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"1", b'{"a":1.5}', b'{"a":NaN}', b'{"a":1,"a":2}', b'{"b":1,"a":2}', b'{"a": 1}', b'{"a":1}\n',
     b'{"a":"\\ud800"}', b'{"a":"\xc3\xa9"}', b'{"a":9223372036854775808}', b'{"a":%s}' % (b"9" * 5000),
     b"[" * 8000, b'{"a":' * 1000 + b"1" + b"}" * 1000, b'{"a":1e5}', b'{"a":-0}', b'{"a":"A\\u0042"}'],
)  # fmt: skip
def test_another_writing_is_refused(text: bytes) -> None:
    with pytest.raises(MessageError):
        decode(text)


@pytest.mark.parametrize("value", [{"a": 1.5}, {"a": b""}, {1: 2}, {"a": 2**63}, {"a": "\ud800"}])
def test_what_no_text_has_is_not_written(value: dict[str, Any]) -> None:
    with pytest.raises(MessageError):
        encode(value)


@pytest.mark.parametrize(
    "message",
    [Ask(SESSION, 3, "status", {"a": 1}), Ask(SESSION, 3, "status", {}, {"name": "x"}, bytes(64)),
     Answer(SESSION, 3, {"a": [1, None]}), Answer(SESSION, 3, code="failed", text="no room"), Note(SESSION, 3, {})],
)  # fmt: skip
def test_messages_come_back_as_they_went(message: Ask | Answer | Note) -> None:
    assert parse(message.encode()) == message


@pytest.mark.parametrize(
    "fields",
    [{"session": "00"}, {"ask": "a b", "n": 1, "with": {}}, {"ask": "x", "n": -1, "with": {}},
     {"ask": "x", "n": 1}, {"ask": "x", "n": 1, "with": []}, {"ask": "x", "n": 1, "with": {}, "signature": "00"},
     {"ask": "x", "n": 1, "with": {}, "by": {}, "signature": "00"}, {"answer": 1}, {"answer": 1, "refused": {}},
     {"answer": 1, "refused": {"code": "A B", "text": ""}}, {"answer": 1, "refused": {"code": "x", "text": 1}},
     {"note": 1}, {"ask": 1, "n": 1, "with": {}}, {"answer": 1, "with": {}, "refused": {"code": "x", "text": ""}}],
)  # fmt: skip
def test_what_lacks_something_is_no_message(fields: dict[str, Any]) -> None:
    with pytest.raises(MessageError):
        parse(encode({"session": SESSION.hex()} | fields))


def test_fields_are_taken_with_their_type() -> None:
    fields = {"b": "00ff", "i": 5, "t": "é", "m": {}, "bad": "\x1b[2J", "flag": True}
    assert take_bytes(fields, "b", 2) == b"\x00\xff"
    assert (take_int(fields, "i"), take_text(fields, "t"), take_map(fields, "m")) == (5, "é", {})
    for take in (lambda: take_bytes(fields, "b", 3), lambda: take_bytes(fields, "b", most=1),
                 lambda: take_bytes({"b": "00FF"}, "b"), lambda: take_bytes({"b": "0g"}, "b"),
                 lambda: take_int(fields, "i", 4), lambda: take_int(fields, "flag"), lambda: take_text(fields, "bad"),
                 lambda: take_text(fields, "t", 0), lambda: take_map(fields, "i"), lambda: expect(fields, "it", "b"),
                 lambda: expect(fields, "it", "b none", "i t m bad flag")):  # fmt: skip
        with pytest.raises(MessageError):
            take()
    assert printable("\x1b[2Ja" * 200, 4) == "�[2J"


def test_bodies_come_in_order_and_are_checked() -> None:
    body = BytesBody(b"x" * 5000)
    of = Described(body.size_bytes, body.digest)
    assert described(of.fields, 5000) == of
    gathering = Gathering(of)
    gathering.add(0, body.read(0, 3000))
    gathering.add(0, body.read(0, 3000))
    for at, data in ((3001, b"x"), (3000, b"x" * 2001)):
        with pytest.raises(BodyError):
            gathering.add(at, data)
    with pytest.raises(BodyError):
        gathering.take()
    gathering.add(3000, b"x" * 2000)
    assert gathering.take() == body.data
    gathering.add(0, b"y")
    with pytest.raises(BodyError):
        gathering.take()
    for wrong in ({"bytes": 5001, "sha256": body.digest.hex()}, {"bytes": 1}, {"bytes": 1, "sha256": "00"}):
        with pytest.raises(MessageError):
            described(wrong, 5000)
    assert unpack(pack(b"\0" * 4096)) == b"\0" * 4096
    for value in (None, "!", "é", pack(bytes(4097)), "QUJ=", "AA"):
        with pytest.raises(MessageError):
            unpack(value)
