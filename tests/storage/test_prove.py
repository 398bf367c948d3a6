"""What a device can show of its identity, and what no other one can: with its TPM's key, or with its card's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import cbor
from storage.errors import EnrolmentError, FormatError, KeyFileError, TpmError
from storage.keypath import Certificate
from storage.keyring_file import KeyringFile, enrol_device
from storage.prove import (
    CHALLENGE_BYTES,
    MOST_BYTES,
    Proof,
    Proven,
    owed,
    parse_proof,
    prove,
    prove_keys,
    proven,
)
from storage.ratchet import Keyring, enrol
from storage.signer import MemorySigner, signer_from_uri, standing_signer
from storage.signer_tpm import TpmSigner, erase
from tests.storage.swtpm import SoftTpm, running

CHALLENGE = bytes(range(CHALLENGE_BYTES))
OTHER = CHALLENGE[::-1]


@pytest.fixture
def tpm(tmp_path: Path) -> Iterator[SoftTpm]:
    with running(tmp_path / "tpm") as made:
        yield made


@pytest.fixture(scope="module")
def keyring() -> Keyring:
    return enrol(MemorySigner.generate())


def opened(keyring: Keyring, segments: int) -> Keyring:
    """Go on until that segment is open."""
    for segment in range(1, segments + 1):
        keyring = keyring.prepared(segment).retired(segment)
    return keyring


def test_a_tpm_proves_that_it_holds_the_identity(tpm: SoftTpm) -> None:
    signer = TpmSigner.find_or_make(tpm.place)
    proof = prove(signer, CHALLENGE)
    assert (proof.segment, proof.path, owed(signer.public)) == (0, (), Proven.IDENTITY)
    assert proven(signer.public, CHALLENGE, parse_proof(proof.encode())) is Proven.IDENTITY
    assert proven(signer.public, OTHER, proof) is Proven.NOTHING, "a replayed one"
    assert proven(signer.public, CHALLENGE[:-1], proof) is Proven.NOTHING
    assert proven(MemorySigner.generate().public, CHALLENGE, proof) is Proven.NOTHING
    bare = replace(proof, signature=signer.sign(CHALLENGE))
    assert proven(signer.public, CHALLENGE, bare) is Proven.NOTHING, "a bare signature is none"
    stranger = replace(prove(MemorySigner.generate(), CHALLENGE), identity=signer.public)
    assert proven(signer.public, CHALLENGE, stranger) is Proven.NOTHING
    with pytest.raises(FormatError, match="32 bytes"):
        prove(signer, CHALLENGE + b"x")


def test_a_copied_card_proves_its_keys_and_not_the_identity(tpm: SoftTpm, tmp_path: Path) -> None:
    identity = enrol_device(tmp_path / "state", signer_from_uri(tpm.uri))
    proof = prove_keys(KeyringFile(tmp_path / "state").load(), CHALLENGE)
    assert proven(identity, CHALLENGE, proof) is Proven.KEYS
    assert proven(identity, CHALLENGE, replace(proof, path=())) is Proven.NOTHING


def test_the_signer_that_stands_is_found_and_none_is_made(tpm: SoftTpm, tmp_path: Path) -> None:
    assert standing_signer("memory:") is None
    with pytest.raises(TpmError, match="there is no key 0x81100001"):
        standing_signer(tpm.uri)
    assert not erase(tpm.place), "it made none"
    made = signer_from_uri(tpm.uri)
    found = standing_signer(tpm.uri)
    assert found is not None
    assert found.public == made.public
    with pytest.raises(KeyFileError, match="cannot read the signing key"):
        standing_signer(f"file:{tmp_path / 'none'}")
    with pytest.raises(KeyFileError, match="not understood"):
        standing_signer("memory:x")


@pytest.mark.parametrize("segments", [0, 1, 7, 8])
def test_the_next_segments_key_answers_where_the_identity_is_erased(keyring: Keyring, segments: int) -> None:
    now = opened(keyring, segments)
    proof = prove_keys(now, CHALLENGE)
    assert (proof.segment, proof.device, owed(now.identity)) == (segments + 1, now.device, Proven.KEYS)
    assert parse_proof(proof.encode()) == proof
    assert proven(now.identity, CHALLENGE, proof) is Proven.KEYS
    assert proven(now.identity, OTHER, proof) is Proven.NOTHING


def test_keys_of_another_chain_and_spoilt_paths_prove_nothing(keyring: Keyring) -> None:
    now = opened(keyring, 6)
    proof = prove_keys(now, CHALLENGE)
    assert len(proof.path) == 3
    stranger = prove_keys(opened(enrol(MemorySigner.generate()), 6), CHALLENGE)
    last = proof.path[-1]
    for spoilt in (
        replace(stranger, identity=now.identity),
        replace(proof, path=stranger.path),
        replace(proof, path=proof.path[:-1]),
        replace(proof, path=proof.path[1:]),
        replace(proof, path=(*proof.path[:-1], replace(last, position=6))),
        replace(proof, path=(*proof.path[:-1], replace(last, position=0))),
        replace(proof, path=(Certificate(0, now.identity, bytes(64)),)),
        replace(proof, path=(*proof.path[:-1], replace(last, public=bytes(32)))),
        replace(proof, signature=bytes(64)),
        replace(proof, signature=now.signer(7).sign(CHALLENGE)),
    ):
        assert proven(now.identity, CHALLENGE, spoilt) is Proven.NOTHING
    assert proven(stranger.identity, CHALLENGE, proof) is Proven.NOTHING


def test_the_longest_path_fits(keyring: Keyring) -> None:
    step = Certificate(2**32 - 1, bytes(32), bytes(64))
    assert len(Proof(bytes(33), bytes(64), (step,) * 32).encode()) < MOST_BYTES


def test_a_keyring_that_is_used_up_says_so(keyring: Keyring) -> None:
    with pytest.raises(EnrolmentError, match="used up"):
        prove_keys(replace(keyring, seeds={}), CHALLENGE)
    with pytest.raises(FormatError, match="32 bytes"):
        prove_keys(keyring, b"")


@given(st.binary(max_size=400))
def test_garbage_is_no_proof(data: bytes) -> None:
    with pytest.raises(FormatError):
        parse_proof(data)


GOOD = {"v": 1, "identity": bytes(32), "path": [[1, bytes(32), bytes(64)]], "signature": bytes(64)}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"v": 2}, "version"),
        ({"identity": bytes(31)}, "neither"),
        ({"identity": bytes(34)}, "identity"),
        ({"identity": b"\x02" + b"\xff" * 32}, "neither"),
        ({"signature": bytes(63)}, "signature"),
        ({"path": 3}, "path"),
        ({"path": [[1, bytes(32), bytes(64)]] * 33}, "path"),
        ({"path": [[1, bytes(32)]]}, "3 items"),
        ({"path": [[2**32, bytes(32), bytes(64)]]}, "position"),
        ({"path": [[1, bytes(31), bytes(64)]]}, "key"),
        ({"path": [["1", bytes(32), bytes(64)]]}, "position"),
        ({"more": 1}, "unknown"),
    ],
)
def test_what_is_not_of_the_form_is_no_proof(change: dict[str, object], says: str) -> None:
    assert parse_proof(cbor.encode(GOOD)).segment == 1
    with pytest.raises(FormatError, match=says):
        parse_proof(cbor.encode(GOOD | change))


def test_a_long_one_is_not_even_looked_at() -> None:
    with pytest.raises(FormatError, match="longer than"):
        parse_proof(bytes(MOST_BYTES + 1))
