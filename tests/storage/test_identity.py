"""Identities of both kinds: what is one, what is its signature, and that only the identity may be of P-256."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st

from station.bundle import verify as script
from station.keys import StationKey
from storage import cbor
from storage.chain import genesis
from storage.errors import EnrolmentError, FormatError
from storage.identity import P256_ORDER, encode_signature, is_signed, parse_identity, raw_identity
from storage.inventory import segment_name
from storage.keyfiles import device_id, encode_device_key, load_device_key
from storage.keypath import Certificate, check_path, statement
from storage.keyring_file import KeyringFile, enrol_device
from storage.layout import HEADER_BYTES, parse_header
from storage.particulars import Previous, parse_opening
from storage.ratchet import decode, enrol
from storage.signer import MemorySigner, Signer
from storage.verify import verify
from tests.storage import outsider
from tests.storage.forge import Thief
from tests.storage.kit import Device
from tests.storage.p256 import P256Signer
from tests.vectors import make

quick = settings(max_examples=200, derandomize=True, deadline=None, database=None)
P256 = P256Signer(bytes(range(1, 33)))
VECTOR = make.HERE / make.P256


class HighSigner:
    """An identity that signs in the other spelling."""

    public = P256.public
    sign = staticmethod(P256.sign_high)


def of_all(path: Path, identity: bytes) -> set[str]:
    """Return what all three verifiers say of a segment or store."""
    files = sorted((path / "segments").iterdir()) if path.is_dir() else [path]
    return {
        verify(path, identity, workers=1).verdict.value,
        outsider.verify(path, encode_device_key(identity)).verdict,
        script.verify(files, identity).verdict,
    }


def first_step(data: bytes) -> Certificate:
    """Return the certificate that a segment's path begins with."""
    end = HEADER_BYTES + parse_header(data).particulars_bytes
    return parse_opening(data[HEADER_BYTES:end]).path[0]


def test_what_is_an_identity() -> None:
    for signer in (MemorySigner.generate(), P256):
        key = parse_identity(signer.public)
        assert raw_identity(key) == signer.public
    x = P256.public[1:]
    infinity = b"\0" + bytes(32)
    off_curve = next(
        bytes([2]) + number.to_bytes(32, "big") for number in range(1, 20) if _is_off(number.to_bytes(32, "big"))
    )
    for wrong in (b"", x[:-1], P256.public + b"\0", b"\4" + x, b"\5" + x, infinity, off_curve, b"\2" + b"\xff" * 32):
        with pytest.raises(FormatError, match="neither a raw Ed25519 key nor a compressed point"):
            parse_identity(wrong)
        assert not is_signed(wrong, P256.sign(b"x"), b"x")
    for curve in (ec.SECP384R1(), ec.SECP256K1()):
        assert raw_identity(ec.generate_private_key(curve).public_key()) is None
    assert raw_identity(StationKey.generate(hybrid=False).x25519.public_key()) is None


def _is_off(x: bytes) -> bool:
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\2" + x)
    except ValueError:
        return True
    return False


@quick
@given(st.binary(max_size=70), st.binary(max_size=70))
def test_no_bytes_are_more_than_refused(identity: bytes, signature: bytes) -> None:
    for key in (identity, P256.public, MemorySigner.from_seed(bytes(32)).public):
        assert not is_signed(key, signature, b"data")


@quick
@given(st.binary(max_size=100), st.integers(0, 511))
def test_a_signature_has_one_spelling(data: bytes, bit: int) -> None:
    signature = P256.sign(data)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    assert 0 < s <= P256_ORDER // 2
    assert is_signed(P256.public, signature, data)
    assert not is_signed(P256.public, P256.sign_high(data), data)
    turned = (int.from_bytes(signature, "big") ^ (1 << bit)).to_bytes(64, "big")
    for wrong in (turned, signature + b"\0", signature[1:], b"\0" + signature, encode_dss_signature(r, s), bytes(64)):
        assert not is_signed(P256.public, wrong, data)
    assert not is_signed(P256.public, signature, data + b"x")
    assert encode_signature(r, s) == encode_signature(r, P256_ORDER - s) == signature


@pytest.mark.parametrize(("r", "s"), [(0, 1), (1, 0), (P256_ORDER, 1), (1, P256_ORDER), (1 << 300, 1), (1, 1 << 300)])
def test_numbers_that_are_no_signature(r: int, s: int) -> None:
    with pytest.raises(FormatError):
        encode_signature(r, s)
    if max(r, s) < 1 << 256:
        assert not is_signed(P256.public, r.to_bytes(32, "big") + s.to_bytes(32, "big"), b"x")


def test_a_device_of_p256_from_enrolment_to_verdict(tmp_path: Path) -> None:
    device = Device(tmp_path, signer=P256)
    assert device.identity == P256.public == load_device_key(device.state / "device.pub")
    assert device_id(P256.public) == KeyringFile(device.state).load().device
    device.shift(parts=5)
    with device.open() as store:
        assert store.identity == P256.public
        device.journal(store, "power-off")
    assert of_all(device.flash, P256.public) == {"authentic"}
    negative = bytes([P256.public[0] ^ 1]) + P256.public[1:]  # the other point with that x
    for other in (P256Signer(bytes(31) + b"\7").public, MemorySigner.generate().public, negative):
        assert of_all(device.flash, other) == {"not authentic"}


@pytest.mark.parametrize("signer", [P256, HighSigner()], ids=["low", "high"])
def test_a_certificate_in_the_other_spelling_is_not_authentic(tmp_path: Path, signer: Signer) -> None:
    """All else is as it must be: chained and signed by the very key that is certified so."""
    thief = Thief(enrol(signer), StationKey.generate(hybrid=False).recipient)
    path = tmp_path / segment_name(1)
    path.write_bytes(thief.segment(Previous(0, 0, genesis(P256.public))))
    assert of_all(path, P256.public) == {"authentic" if signer is P256 else "not authentic"}


def test_a_keyring_with_the_other_spelling_is_refused(tmp_path: Path) -> None:
    enrol_device(tmp_path, HighSigner())
    with pytest.raises(EnrolmentError, match="is damaged"):
        KeyringFile(tmp_path).load()


def test_nobody_can_respell_what_was_recorded(tmp_path: Path) -> None:
    """The chain covers the path: without the segment's key not even an equal certificate can be put in its place."""
    device = Device(tmp_path, signer=P256)
    device.shift()
    path = device.flash / "segments" / segment_name(2)
    data = path.read_bytes()
    first = first_step(data)
    certified = statement(device_id(P256.public), first.position, first.public)
    assert first.signature == P256.sign(certified)
    path.write_bytes(data.replace(first.signature, P256.sign_high(certified), 1))
    assert of_all(path, P256.public) == {"not authentic"}


def test_no_bit_of_a_certificate_can_be_turned(tmp_path: Path) -> None:
    source = VECTOR / "flash" / "segments" / segment_name(1)
    identity = load_device_key(VECTOR / "device.pub")
    data = source.read_bytes()
    at = data.index(first_step(data).signature)
    path = tmp_path / source.name
    for offset in range(at, at + 64):
        path.write_bytes(data[:offset] + bytes([data[offset] ^ (1 << offset % 8)]) + data[offset + 1 :])
        assert of_all(path, identity) == {"not authentic"}
    path.write_bytes(data)
    assert of_all(path, identity) == {"authentic"}


def test_only_the_identity_may_be_of_p256() -> None:
    """Neither in a path nor in a keyring does a key of P-256 stand for a segment's."""
    keyring = enrol(P256).prepared(8)
    path = list(keyring.path(12))
    check_path(P256.public, keyring.device, 12, path)
    other = P256Signer(bytes(31) + b"\3")
    parent = Certificate(8, other.public, P256.sign(statement(keyring.device, 8, other.public)))
    child = replace(path[1], signature=other.sign(statement(keyring.device, 12, path[1].public)))
    with pytest.raises(FormatError, match=r"position 12 .* is not signed by the key at position 8"):
        check_path(P256.public, keyring.device, 12, [parent, child])
    fields = cbor.decode_map(keyring.encode(), "it")
    fields["certificates"][0][1] = other.public
    with pytest.raises(FormatError, match="key is not a byte string of 32 bytes"):
        decode(cbor.encode(fields))


@pytest.mark.parametrize("identity", [b"", bytes(31), bytes(33), bytes(34), b"\4" + bytes(64)], ids=len)
def test_a_keyring_of_no_identity(identity: bytes) -> None:
    fields = cbor.decode_map(enrol(P256).encode(), "it") | {"identity": identity}
    with pytest.raises(FormatError, match="identity"):
        decode(cbor.encode(fields))
