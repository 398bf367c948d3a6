"""Arbitrary bytes into every parser: what is well-formed comes back the same, all else is the documented error."""

from __future__ import annotations

import contextlib
import functools
import struct
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)  # fmt: skip
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from station.keys import StationKey, encode_station_key, load_station_key
from storage import cbor, ratchet
from storage.errors import FormatError, KeyFileError
from storage.events import Event, encode_events, parse_events
from storage.keyfiles import encode_device_key, encode_recipient, load_device_key, load_recipient, load_signing_key
from storage.layout import (
    HEADER_BYTES,
    MAX_BODY_BYTES,
    MAX_CHUNKS,
    ClockSource,
    Header,
    Kind,
    Light,
    Place,
    Stamp,
    pack_header,
    parse_header,
)  # fmt: skip
from storage.particulars import (
    CLOSING_REASONS,
    MAX_GAPS,
    Gap,
    encode_closing,
    encode_gaps,
    parse_closing,
    parse_gaps,
    parse_opening,
)  # fmt: skip
from storage.signer import MemorySigner, signer_from_uri

quick = settings(
    max_examples=120, derandomize=True, deadline=None, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip

scalars = st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=80) | st.text(max_size=50)
values = st.recursive(
    scalars | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5),
    max_leaves=12,
)

PARSERS: dict[str, Callable[[bytes], object]] = {
    "header": parse_header, "opening": parse_opening, "closing": parse_closing, "gaps": parse_gaps,
    "events": parse_events, "keyring": ratchet.decode, "map": lambda data: cbor.decode_map(data, "it"),
    "list": lambda data: cbor.decode_list(data, "it"),
}  # fmt: skip
every_parser = pytest.mark.parametrize("parse", PARSERS.values(), ids=PARSERS)


def only_format_errors(parse: Callable[[bytes], object], data: bytes) -> None:
    with contextlib.suppress(FormatError):
        parse(data)


@every_parser
@quick
@given(data=st.binary(max_size=300))
@example(b"GTG1" + bytes(200))
@example(b"\xa0")
@example(b"\x80")
def test_any_bytes(parse: Callable[[bytes], object], data: bytes) -> None:
    only_format_errors(parse, data)


@every_parser
@quick
@given(value=values)
def test_any_cbor(parse: Callable[[bytes], object], value: object) -> None:
    only_format_errors(parse, cbor2.dumps(value))


@pytest.fixture(scope="module")
def maps() -> dict[str, dict[str, Any]]:
    """Well-formed maps, by parser."""
    public = b"p" * 32
    opening = {
        "v": 1, "type": "media", "part": 0, "profile": "480p30", "cipher": "aes-256-gcm",
        "path": [[1, public, b"s" * 64]],
        "previous": {"segment": 0, "chunks": 0, "chain": public, "signature": b"s" * 64},
        "envelopes": [{"kem": "x25519", "recipient": b"r" * 16, "sealed": b"e" * 80}],
    }  # fmt: skip
    gap = ["video", 1, 2, 3, "lost"]
    keyring = cbor.decode_map(ratchet.enrol(MemorySigner.generate()).encode(), "the keyring")
    keyring["seeds"] = keyring["seeds"][:2]
    keyring["certificates"] = keyring["certificates"][:2]
    return {
        "opening": opening,
        "gaps": {"gaps": [gap]},
        "closing": {"gaps": [gap], "reason": "stop"},
        "keyring": keyring,
    }


def places(value: object) -> list[tuple[Any, Any]]:
    """Return (container, key) of everything inside, at every depth."""
    keys: list[Any] = []
    if isinstance(value, dict):
        keys = list(value)
    elif isinstance(value, list):
        keys = list(range(len(value)))
    found = [(value, key) for key in keys]
    for key in keys:
        found += places(value[key])  # type: ignore[index]
    return found


@pytest.mark.parametrize("name", ["opening", "gaps", "closing", "keyring"])
@quick
@given(data=st.data())
def test_a_wrong_value_anywhere(maps: dict[str, dict[str, Any]], name: str, data: st.DataObject) -> None:
    whole = cbor2.loads(cbor2.dumps(maps[name]))
    PARSERS[name](cbor.encode(whole))
    container, key = data.draw(st.sampled_from(places(whole)))
    container[key] = data.draw(values)
    only_format_errors(PARSERS[name], cbor2.dumps(whole, canonical=True))


LEGITIMATE = {(key, "[]") for key in ("path", "envelopes", "gaps", "seeds")} | {("profile", "''"), (4, "''")}
"""An empty list or text may stand for these; 4 is a gap's cause."""


@pytest.mark.parametrize("name", ["opening", "gaps", "closing", "keyring"])
def test_every_field_is_of_its_own_type(maps: dict[str, dict[str, Any]], name: str) -> None:
    """Nothing of another type passes anywhere."""
    for number in range(len(places(maps[name]))):
        for wrong in (None, True, -1, 2**64 - 1, "", "\x1b[2J", b"", [], [1], {}, {"x": 1}, 1.5):
            whole = cbor2.loads(cbor2.dumps(maps[name]))
            container, key = places(whole)[number]
            if (key, repr(wrong)) in LEGITIMATE:
                continue
            container[key] = wrong
            with pytest.raises(FormatError):
                PARSERS[name](cbor2.dumps(whole, canonical=True))


@pytest.mark.parametrize("name", ["opening", "gaps", "closing", "keyring"])
def test_a_field_too_many_or_missing(maps: dict[str, dict[str, Any]], name: str) -> None:
    for field in maps[name]:
        if (name, field) != ("closing", "gaps"):
            with pytest.raises(FormatError, match="lacks"):
                PARSERS[name](cbor.encode({key: item for key, item in maps[name].items() if key != field}))
    with pytest.raises(FormatError, match="unknown fields"):
        PARSERS[name](cbor.encode({**maps[name], "extra": 1}))


def test_another_version_is_named(maps: dict[str, dict[str, Any]]) -> None:
    for name in ("opening", "keyring"):
        with pytest.raises(FormatError, match="reads version 1"):
            PARSERS[name](cbor.encode({**maps[name], "v": 2}))


# --- CBOR -------------------------------------------------------------------------------------------------------------

HOSTILE = {
    "nothing": b"",
    "nested without end": b"\x81" * 65_535,
    "nine deep": b"\x81" * 9 + b"\x00",
    "a map of maps": b"\xa1\x61a" * 100 + b"\x00",
    "indefinite array": b"\x9f\x00\xff",
    "indefinite text": b"\x7f\x61a\xff",
    "a break alone": b"\xff",
    "an array of 2^64 - 1": b"\x9b" + b"\xff" * 8,
    "a map of 2^63": b"\xbb\x80" + bytes(7),
    "bytes of 2^64 - 1": b"\x5b" + b"\xff" * 8 + b"x",
    "a tag": b"\xc1\x00",
    "shared references": b"\xd8\x1c\x82\xd8\x1d\x00\xd8\x1d\x00",
    "a bignum": b"\xc2\x49" + b"\xff" * 9,
    "a bignum in a map": b"\xa1\x61a\xc2\x49" + b"\xff" * 9,
    "a bignum in a list": b"\x81\xc2\x49" + b"\xff" * 9,
    "a set": b"\x81\xd9\x01\x02\x81\x00",
    "a float": b"\xfb" + struct.pack(">d", 1.0),
    "a half float": b"\xf9\x3c\x00",
    "undefined": b"\xf7",
    "a simple value": b"\xf8\x20",
    "reserved length": b"\x1c",
    "text that is not UTF-8": b"\x81\x61\xff",
    "a long one": b"\x81\x18\x01",
    "keys out of order": b"\xa2\x61b\x00\x61a\x00",
    "a key twice": b"\xa2\x61a\x00\x61a\x00",
    "an array as a key": b"\xa1\x80\x00",
    "a map as a key": b"\xa1\xa0\x00",
    "null as a key": b"\xa1\xf6\x00",
    "a number as a key": b"\xa1\x01\x00",
    "bytes as a key": b"\xa1\x41a\x00",
    "two items": b"\x80\x80",
    "cut short": b"\x82\x01",
    "cut in a head": b"\x81\x19\x01",
    "cut in a text": b"\x81\x65abc",
    "a negative": b"\x81\x20",
    "a negative in a map": b"\xa1\x61a\x3b" + bytes(8),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_cbor(data: bytes) -> None:
    with pytest.raises(FormatError):
        cbor.decode_map(data, "it")
    with pytest.raises(FormatError):
        cbor.decode_list(data, "it")


def test_colliding_keys_take_no_time() -> None:
    """-1 and -2 have one hash in CPython, and so have all the tuples made of them."""
    keys = [b"\x8c" + bytes(key) for key in product((0x20, 0x21), repeat=12)]
    data = b"\xb9" + len(keys).to_bytes(2, "big") + b"".join(key + b"\0" for key in keys)
    began = time.process_time()
    with pytest.raises(FormatError):
        cbor.decode_list(data, "it", signed=True)
    assert time.process_time() - began < 2


def test_shared_references_do_not_unfold() -> None:
    """Each level holds the one below ten times over: a million items, if anybody wrote them out."""
    data = b"\xd8\x1c\x81\x00"
    for level in range(6):
        data = b"\xd8\x1c\x8a" + data + (b"\xd8\x1d" + bytes([6 - level])) * 9
    began = time.process_time()
    with pytest.raises(FormatError, match="holds a CBOR tag"):
        cbor.decode_list(data, "it")
    assert time.process_time() - began < 1


def test_wide_and_full_takes_no_time() -> None:
    began = time.process_time()
    assert len(cbor.decode_list(b"\x99\xff\x00" + b"\x80" * 0xFF00, "it")) == 0xFF00
    assert time.process_time() - began < 2


def negative(value: object) -> bool:
    """Whether there is a negative number in it, which our maps do not use."""
    if isinstance(value, dict):
        return any(map(negative, value.values()))
    return any(map(negative, value)) if isinstance(value, list) else isinstance(value, int) and value < 0


@quick
@given(value=st.dictionaries(st.text(max_size=9), scalars | st.lists(scalars, max_size=3), max_size=6))
def test_what_is_encoded_comes_back(value: dict[str, object]) -> None:
    number = [item for item in value.values() if isinstance(item, int)]
    if all(item < 2**64 for item in number) and "None" not in value:
        data = cbor2.dumps(value, canonical=True)
        try:
            assert cbor.decode_map(data, "it") == value
        except FormatError:
            assert negative(value)


# --- Headers ----------------------------------------------------------------------------------------------------------

stamps = st.builds(
    Stamp, st.integers(0, 2**64 - 1), st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**64 - 1),
    st.sampled_from(ClockSource), st.integers(0, 2**32 - 1),
    st.sampled_from([Light.DARK, Light.LIT, Light.PARTLY]), st.sampled_from(Light),
)  # fmt: skip
placements = st.builds(
    Place, st.binary(min_size=16, max_size=16), st.integers(1, 2**32 - 1),
    st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16),
)  # fmt: skip


@quick
@given(
    st.sampled_from(Kind), st.integers(0, 3), st.integers(0, 65_535), st.integers(16, MAX_BODY_BYTES),
    st.integers(0, MAX_CHUNKS - 1), placements, stamps,
)  # fmt: skip
def test_a_header_comes_back(
    kind: Kind, flags: int, particulars: int, body: int, chunk: int, place: Place, stamp: Stamp
) -> None:
    data = pack_header(kind, flags, particulars, body, chunk, place, stamp)
    assert len(data) == HEADER_BYTES
    assert parse_header(data) == Header(kind, flags, particulars, body, chunk, place, stamp)


PLACE = Place(b"d" * 16, 1, b"r" * 16, b"b" * 16)
GOOD = pack_header(Kind.MEDIA, 0, 0, 16, 1, PLACE, Stamp(1, 2))


@pytest.mark.parametrize(
    ("offset", "value", "says"),
    [
        (0, b"GTG2", "version b'2' is unknown"), (0, b"RIFF", "wrong magic"), (4, b"\0", "kind 0"),
        (4, b"\7", "kind 7"), (5, b"\10", "flag bits"), (5, b"\x80", "flag bits"), (8, b"\0\0\0\x0f", "body length 15"),
        (8, b"\x01\0\0\1", "body length"), (8, b"\xff" * 4, "body length"), (12, b"\0\1\0\0", "chunk number 65536"),
        (16, bytes(8), "segment number 0"), (16, b"\0\0\0\1" + bytes(4), "segment number 4294967296"),
        (100, b"\5", "undefined value"), (101, b"\3", "undefined value"), (101, b"\xff", "undefined value"),
        (102, b"\3", "undefined value"), (103, b"\1", "undefined value"),
    ],
)  # fmt: skip
def test_undefined_values(offset: int, value: bytes, says: str) -> None:
    parse_header(GOOD)
    with pytest.raises(FormatError, match=says):
        parse_header(GOOD[:offset] + value + GOOD[offset + len(value) :])


def test_a_header_too_short() -> None:
    with pytest.raises(FormatError, match="shorter than 104"):
        parse_header(GOOD[:-1])


@pytest.mark.parametrize(
    "wrong",
    [
        {"particulars_bytes": 65_536}, {"body_bytes": MAX_BODY_BYTES + 1}, {"chunk": MAX_CHUNKS},
        {"stamp": Stamp(-1, 0)}, {"stamp": Stamp(0, 2**63)}, {"place": PLACE._replace(segment=-1)},
    ],
)  # fmt: skip
def test_nothing_is_written_that_does_not_fit(wrong: dict[str, Any]) -> None:
    fields: dict[str, Any] = {
        "kind": Kind.MEDIA, "flags": 0, "particulars_bytes": 0, "body_bytes": 16, "chunk": 1, "place": PLACE,
        "stamp": Stamp(1, 2),
    }  # fmt: skip
    with pytest.raises(FormatError):
        pack_header(**{**fields, **wrong})


# --- Particulars and events -------------------------------------------------------------------------------------------

printable = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), max_size=40)
gap_values = st.builds(
    Gap, st.sampled_from(["video", "audio"]), *[st.integers(0, 2**63 - 1)] * 3, printable
)  # fmt: skip


@quick
@given(st.lists(gap_values, max_size=6).map(tuple), st.sampled_from(sorted(CLOSING_REASONS)))
def test_gaps_come_back(gaps: tuple[Gap, ...], reason: str) -> None:
    assert parse_gaps(encode_gaps(gaps)) == gaps
    assert parse_closing(encode_closing(reason, gaps)) == (reason, gaps)


def test_more_gaps_than_fit_are_told_as_one() -> None:
    gaps = tuple(Gap("audio", 1000 * number, 10, 2, "overflow") for number in range(MAX_GAPS + 44))
    told = parse_gaps(encode_gaps(gaps))
    assert told[:-1] == gaps[: MAX_GAPS - 1]
    assert told[-1] == Gap("audio", 255_000, 299_010 - 255_000, 2 * 45, "many")


@pytest.mark.parametrize("reason", ["", "because", "Stop"])
def test_reasons_that_are_none(reason: str) -> None:
    with pytest.raises(FormatError, match="not a reason"):
        encode_closing(reason)
    with pytest.raises(FormatError, match="unknown reason"):
        parse_closing(cbor.encode({"reason": reason}))


details = st.dictionaries(
    st.text(max_size=9), st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.text(max_size=20), max_size=4
)


@quick
@given(st.lists(st.builds(Event, st.integers(0, 2**64 - 1), printable, details), max_size=5))
def test_events_come_back(events: list[Event]) -> None:
    assert parse_events(encode_events(events)) == events


@pytest.mark.parametrize(
    "event", [1, [], [1, "x"], [1, "x", {}, 1], ["1", "x", {}], [1, 2, {}], [1, "x", []], [1, "x", {"a": b"b"}]]
)
def test_events_that_are_none(event: object) -> None:
    with pytest.raises(FormatError):
        parse_events(cbor.encode([event]))


# --- Key files --------------------------------------------------------------------------------------------------------

LOADERS: dict[str, Callable[[Path], object]] = {
    "device": load_device_key, "unit": lambda path: load_signing_key(path, "unit's key"),
    "recipient": load_recipient, "station": load_station_key,
    "signer": lambda path: signer_from_uri(f"file:{path}"),
}  # fmt: skip
every_loader = pytest.mark.parametrize("load", LOADERS.values(), ids=LOADERS)


@functools.cache
def key_files() -> dict[str, bytes]:
    """Good files of every sort."""
    signer, hybrid = MemorySigner.generate(), StationKey.generate()
    private = signer._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    curve, other_curve = generate_private_key(SECP256R1()), generate_private_key(SECP384R1())
    spki = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return {
        "device": encode_device_key(signer.public),
        "recipient": encode_recipient(hybrid.recipient),
        "station": encode_station_key(hybrid),
        "signer": private,
        "encrypted": signer._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")),
        "curve, private": curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        "identity of P-256": curve.public_key().public_bytes(*spki),
        "other curve": other_curve.public_key().public_bytes(*spki),
    }


def only_key_file_errors(load: Callable[[Path], object], path: Path) -> None:
    with pytest.raises(KeyFileError) as raised:
        load(path)
    text = str(raised.value)
    assert str(path) in text
    assert "\n" not in text
    assert "PRIVATE KEY" not in text


TAKEN = {"device": {"device", "identity of P-256"}, "unit": {"device"}}


@pytest.mark.parametrize("name", LOADERS)
def test_every_key_file_is_of_its_own_sort(tmp_path: Path, name: str) -> None:
    for sort, data in key_files().items():
        path = tmp_path / "key"
        path.write_bytes(data)
        if sort in TAKEN.get(name, {name}):
            LOADERS[name](path)
        else:
            only_key_file_errors(LOADERS[name], path)


@every_loader
@pytest.mark.parametrize("data", [b"", b"hello", bytes(70_000), b"-----BEGIN X-----\nAA==\n-----END X-----\n"], ids=len)
def test_key_files_of_nonsense(tmp_path: Path, load: Callable[[Path], object], data: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(data)
    only_key_file_errors(load, path)


@every_loader
def test_no_key_file_and_a_folder(tmp_path: Path, load: Callable[[Path], object]) -> None:
    only_key_file_errors(load, tmp_path / "none")
    only_key_file_errors(load, tmp_path)


@pytest.mark.parametrize("name", ["device", "unit", "recipient", "station"])
def test_key_files_too_many_or_too_large(tmp_path: Path, name: str) -> None:
    data = key_files()["device" if name == "unit" else name]
    for wrong in (data * 2, data + b"\n" * 70_000):
        (tmp_path / "key").write_bytes(wrong)
        only_key_file_errors(LOADERS[name], tmp_path / "key")


@every_loader
@quick
@given(data=st.data())
def test_key_files_with_any_byte_changed(tmp_path: Path, load: Callable[[Path], object], data: st.DataObject) -> None:
    whole = bytearray(data.draw(st.sampled_from(list(key_files().values()))))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "key"
    path.write_bytes(bytes(whole))
    with contextlib.suppress(KeyFileError):
        load(path)


def test_signers_by_uri() -> None:
    assert len(signer_from_uri("memory:").public) == 32
    for uri in ("", "memory:x", "file:", "tmp:1", "/etc/key"):
        with pytest.raises(KeyFileError, match="not understood"):
            signer_from_uri(uri)
