r"""A device shows what it holds of its identity: the private key itself, or the signing keys that this certified.

Who asks sends a challenge that was never used before. Where the identity's key stays (a TPM), that key signs
``"getuige/1 prove\0" ‖ device id (16) ‖ challenge (32)``; a card that was copied into another device cannot answer
so. Where it was erased (``memory:``), the next segment's key signs ``"getuige/1 prove keys\0" ‖ device id (16) ‖ its
position (8, big-endian) ‖ challenge (32)``, beside the certificates that lead to it (docs/FORMAT.md, "Signing keys"):
whoever has the card, or a copy of it, can do that. Which of the two a device owes, the kind of its identity says.

Either shows that the key is in reach of what answers, no more: not that it is in the hand of who asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from storage import cbor
from storage.errors import EnrolmentError, FormatError
from storage.fields import as_bytes, as_int, as_list, expect_keys
from storage.identity import P256_BYTES, is_signed, parse_identity
from storage.keyfiles import device_id
from storage.keypath import Certificate, check_path
from storage.layout import MAX_SEGMENT, SIGNATURE_BYTES
from storage.ratchet import Keyring
from storage.signer import Signer

CHALLENGE_BYTES = 32
MOST_BYTES = 8192
"""Of an encoded proof; 32 certificates take less."""
_CONTEXT = b"getuige/1 prove\0"
_KEYS_CONTEXT = b"getuige/1 prove keys\0"
_FIELDS = frozenset({"v", "identity", "path", "signature"})
_MOST_STEPS = 32


class Proven(Enum):
    """What a proof shows."""

    NOTHING = "nothing"
    KEYS = "keys"
    """It has signing keys that the identity certified, as a copy of its card has them."""
    IDENTITY = "identity"
    """It has the identity's own key."""


@dataclass(frozen=True, slots=True)
class Proof:
    """An answer to a challenge. No secret is in it."""

    identity: bytes
    """Raw public key. Its SHA-256 begins with the device id: nobody else has another one for that."""
    signature: bytes
    path: tuple[Certificate, ...] = ()
    """From the identity to the segment key that signed; empty where the identity's own key did."""

    @property
    def device(self) -> bytes:
        """The 16-byte device id."""
        return device_id(self.identity)

    @property
    def segment(self) -> int:
        """Whose key signed, by its own word; 0 is the identity's."""
        return self.path[-1].position if self.path else 0

    def encode(self) -> bytes:
        """Return it as deterministic CBOR."""
        path = [[step.position, step.public, step.signature] for step in self.path]
        return cbor.encode({"v": 1, "identity": self.identity, "path": path, "signature": self.signature})


def prove(identity: Signer, challenge: bytes) -> Proof:
    """Return the identity's own answer to a challenge of 32 random bytes.

    Raises:
        FormatError: the challenge has another length.
        TpmError: the identity is in a TPM that cannot be used.
    """
    return Proof(identity.public, identity.sign(_statement(identity.public, 0, challenge)))


def prove_keys(keyring: Keyring, challenge: bytes) -> Proof:
    """Return the answer of the next segment's key, which is erased when that segment opens.

    Raises:
        FormatError: the challenge has another length.
        EnrolmentError: the last key is used up.
    """
    if not keyring.seeds:
        raise EnrolmentError("this device has used up its signing keys: enrol it anew")
    segment = min(keyring.seeds)
    signature = keyring.signer(segment).sign(_statement(keyring.identity, segment, challenge))
    return Proof(keyring.identity, signature, keyring.path(segment))


def parse_proof(data: bytes) -> Proof:
    """Parse what `Proof.encode` wrote; what it is worth, `proven` says.

    Raises:
        FormatError: something else.
    """
    if len(data) > MOST_BYTES:
        raise FormatError(f"a proof is longer than {MOST_BYTES} bytes")
    fields = cbor.decode_map(data, "the proof")
    expect_keys(fields, "the proof", _FIELDS)
    if as_int(fields["v"], "the proof's version", 255) != 1:
        raise FormatError("the proof's version is unknown to this program, which reads version 1")
    identity = as_bytes(fields["identity"], "identity", most=P256_BYTES)
    parse_identity(identity)
    path = tuple(_step(item) for item in as_list(fields["path"], "path", _MOST_STEPS))
    return Proof(identity, as_bytes(fields["signature"], "signature", SIGNATURE_BYTES), path)


def proven(identity: bytes, challenge: bytes, proof: Proof) -> Proven:
    """Return what a proof shows of the device with that raw public identity key, for that very challenge."""
    if len(challenge) != CHALLENGE_BYTES or proof.identity != identity:
        return Proven.NOTHING
    signed = _statement(identity, proof.segment, challenge)
    if not proof.path:
        return Proven.IDENTITY if is_signed(identity, proof.signature, signed) else Proven.NOTHING
    try:
        check_path(identity, proof.device, proof.segment, proof.path)
        Ed25519PublicKey.from_public_bytes(proof.path[-1].public).verify(proof.signature, signed)
    except (FormatError, InvalidSignature, ValueError):
        return Proven.NOTHING
    return Proven.KEYS


def owed(identity: bytes) -> Proven:
    """Return the least that a device with that raw public identity key can show, unless it is a copy or broken.

    An identity of P-256 is one in a TPM, which keeps its key: the card's keys alone are what a copied card has.
    """
    return Proven.IDENTITY if len(identity) == P256_BYTES else Proven.KEYS


def _statement(identity: bytes, segment: int, challenge: bytes) -> bytes:
    if len(challenge) != CHALLENGE_BYTES:
        raise FormatError(f"a challenge has {CHALLENGE_BYTES} bytes")
    if not segment:
        return _CONTEXT + device_id(identity) + challenge
    return _KEYS_CONTEXT + device_id(identity) + segment.to_bytes(8, "big") + challenge


def _step(value: object) -> Certificate:
    items: list[Any] = as_list(value, "a certificate", 3)
    if len(items) != 3:
        raise FormatError("a certificate does not have 3 items")
    position, public, signature = items
    return Certificate(
        as_int(position, "position", MAX_SEGMENT),
        as_bytes(public, "key", 32),
        as_bytes(signature, "signature", SIGNATURE_BYTES),
    )
