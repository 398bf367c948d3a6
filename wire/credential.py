r"""Who may ask what: a technician's credential, and the signature over one request (Ed25519, RFC 8032).

A credential is signed by the unit's key, the one that signs policies: ``"getuige/1 technician\0"`` and the text
``{"from":S,"key":HEX,"name":...,"until":S,"v":1}`` (`wire.plain`), times in seconds since 1970. A request is signed
over ``"getuige/1 console\0" ‖ device id (16) ‖ challenge (32) ‖ number (8, big-endian) ‖ SHA-256(request's core)``. The
challenge is the device's, made anew for each session; the number rises. So a signature is good once, on one device.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from wire.errors import CredentialError, MessageError
from wire.messages import Ask
from wire.plain import encode, expect, take_bytes, take_int, take_text

CHALLENGE_BYTES = 32
DEVICE_BYTES = 16
NAME_CHARACTERS = 80
_CREDENTIAL = b"getuige/1 technician\0"
_REQUEST = b"getuige/1 console\0"
_LATEST_S = 2**37


@dataclass(frozen=True, slots=True)
class Credential:
    """Says that a key is a technician's of the unit, for some time."""

    name: str
    key: bytes
    """Raw Ed25519 public key."""
    from_s: int
    until_s: int
    """Good before this instant."""
    signature: bytes = b""
    """By the unit's key."""

    @property
    def statement(self) -> bytes:
        """What the unit signs."""
        return _CREDENTIAL + encode(self._core)

    @property
    def _core(self) -> dict[str, Any]:
        return {"v": 1, "name": self.name, "key": self.key.hex(), "from": self.from_s, "until": self.until_s}

    @property
    def fields(self) -> dict[str, Any]:
        """As it stands in a request or a file."""
        return self._core | {"signature": self.signature.hex()}

    def check(self, unit: bytes, latest_s: int, clock_s: int | None) -> None:
        """Check it against the unit's raw public key.

        `latest_s` is the latest time that is known to have been, and decides on the end; `clock_s` is a clock that is
        kept in step, or None, and decides on the beginning.

        Raises:
            CredentialError: another unit's, over, or not begun.
        """
        _verify(unit, self.signature, self.statement, f"the credential of {self.name} is not this unit's")
        if latest_s >= self.until_s:
            raise CredentialError(f"the credential of {self.name} is over: have the unit issue a new one")
        if clock_s is not None and clock_s < self.from_s:
            raise CredentialError(f"the credential of {self.name} is not good yet, by this device's clock")


def parse_credential(fields: Mapping[str, Any]) -> Credential:
    """Read a credential; who signed it is checked by `Credential.check`.

    Raises:
        MessageError: it is none.
    """
    expect(fields, "a credential", "v name key from until signature")
    take_int(fields, "v", 1, 1)
    made = Credential(
        take_text(fields, "name", NAME_CHARACTERS),
        take_bytes(fields, "key", 32),
        take_int(fields, "from", _LATEST_S),
        take_int(fields, "until", _LATEST_S),
        take_bytes(fields, "signature", 64),
    )
    if made.from_s >= made.until_s or not made.name.strip():
        raise MessageError("a credential names somebody, and a time")
    return made


@dataclass(frozen=True, slots=True)
class Technician:
    """Somebody who asks: the credential, and the key behind it."""

    credential: Credential
    sign: Callable[[bytes], bytes]

    def signed(self, ask: Ask, device: bytes, challenge: bytes) -> Ask:
        """Return a request with the signature."""
        signature = self.sign(request_statement(ask, device, challenge))
        return Ask(ask.session, ask.number, ask.verb, ask.fields, self.credential.fields, signature)


def request_statement(ask: Ask, device: bytes, challenge: bytes) -> bytes:
    """Return what is signed of a request."""
    if len(device) != DEVICE_BYTES or len(challenge) != CHALLENGE_BYTES:
        raise MessageError("a request is signed for a device id and a challenge")
    return _REQUEST + device + challenge + ask.number.to_bytes(8, "big") + hashlib.sha256(ask.core).digest()


def check_signed(
    ask: Ask, device: bytes, challenge: bytes, unit: bytes, latest_s: int, clock_s: int | None
) -> Credential:
    """Return the credential of who signed a request. Times as in `Credential.check`.

    Raises:
        CredentialError: nobody signed it, or somebody who may not.
        MessageError: the credential is none.
    """
    if ask.by is None:
        raise CredentialError("this needs a technician's signature: name a credential and its key")
    credential = parse_credential(ask.by)
    credential.check(unit, latest_s, clock_s)
    wrong = f"the request is not signed by {credential.name}, for this device and this session"
    _verify(credential.key, ask.signature, request_statement(ask, device, challenge), wrong)
    return credential


def _verify(key: bytes, signature: bytes, statement: bytes, wrong: str) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, statement)
    except (InvalidSignature, ValueError):
        raise CredentialError(wrong) from None
