"""A receipt is taken as it was signed, or not at all."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import cbor
from storage.chain import Tip
from storage.errors import ReceiptError
from storage.particulars import Previous
from storage.policy import parse_draft
from storage.receipt import Receipt, parse_receipt
from storage.signer import MemorySigner
from tests.storage.test_policy import draft_refusal, text

STATION = MemorySigner.from_seed(b"s" * 32)
RECEIPT = Receipt(b"d" * 16, 7, Previous(7, 3, Tip(b"c" * 32, b"g" * 64)), 1000, b"h" * 32, 5)
KEYS = [STATION.public]
CONTEXT = b"getuige/1 receipt\0"


def test_round_trip() -> None:
    assert parse_receipt(RECEIPT.sign(STATION), KEYS) == RECEIPT


@given(st.integers(0, 10_000), st.integers(0, 7))
def test_a_bit_that_was_changed(at: int, bit: int) -> None:
    data = bytearray(RECEIPT.sign(STATION))
    data[at % len(data)] ^= 1 << bit
    with pytest.raises(ReceiptError):
        parse_receipt(bytes(data), KEYS)


@given(st.binary(max_size=400))
def test_garbage(data: bytes) -> None:
    with pytest.raises(ReceiptError):
        parse_receipt(data, KEYS)


BAD: dict[str, Callable[[dict[str, object]], object]] = {
    "version": lambda fields: fields.update(v=2),
    "true for a version": lambda fields: fields.update(v=True),
    "field missing": lambda fields: fields.pop("held"),
    "field more": lambda fields: fields.update(x=1),
    "short device": lambda fields: fields.update(device=b"d"),
    "another segment's chain": lambda fields: fields.update(segment=8),
    "length is text": lambda fields: fields.update(bytes="5"),
    "no station": lambda fields: fields.update(station=None),
}


@pytest.mark.parametrize("name", BAD)
def test_signed_and_wrong_all_the_same(name: str) -> None:
    fields = cbor.decode_map(RECEIPT.sign(STATION)[:-64], "it")
    BAD[name](fields)
    body = cbor.encode(fields)
    with pytest.raises(ReceiptError, match="the receipt is refused"):
        parse_receipt(body + STATION.sign(CONTEXT + body), KEYS)


def test_a_station_that_the_policy_does_not_name() -> None:
    other = MemorySigner.from_seed(b"o" * 32)
    with pytest.raises(ReceiptError, match="names no station"):
        parse_receipt(RECEIPT.sign(other), KEYS)
    with pytest.raises(ReceiptError, match="names no station"):
        parse_receipt(RECEIPT.sign(STATION), [])


def test_a_key_that_is_none() -> None:
    fields = cbor.decode_map(RECEIPT.sign(STATION)[:-64], "it")
    fields["station"] = b"\xff" * 32
    body = cbor.encode(fields)
    with pytest.raises(ReceiptError, match="not signed by that station"):
        parse_receipt(body + bytes(64), [b"\xff" * 32])


def test_keys_in_the_policy() -> None:
    key = STATION.public.hex()
    assert parse_draft(text(receipt_keys=f'["{key.upper()}"]')).evidence.receipt_keys == (key,)
    assert parse_draft(text(receipt_keys="[]")).evidence.receipt_keys == ()
    assert "a key is there twice" in draft_refusal(text(receipt_keys=f'["{key}", "{key.upper()}"]'))
    for wrong in ("5", '"x"', '["x"]', "[5]", f'["{key}0"]', f'["{key[:-1]}g"]', str([key] * 17)):
        assert "is not a list of at most 16 keys, each 64 hexadecimal digits" in draft_refusal(text(receipt_keys=wrong))
