r"""What is said at enrolment, and what is signed of it (docs/ENROL.md). No I/O.

Four statements, each a context and a text (`wire.plain`):

- request: ``"getuige/1 enrolment request\0"``, by the new identity, once, at its birth; a renewal by the old TLS key
- fresh: ``"getuige/1 enrolment fresh\0" ‖ nonce (32) ‖ SHA-256(what is shown)``, by the TLS key, each time
- grant: ``"getuige/1 enrolment grant\0"``, by a station that the unit's policy names
- consent: ``"getuige/1 enrolment consent\0"``, by the unit, to an enrolment of what is enrolled already

Ed25519 (RFC 8032), but for identities in a TPM and the TLS keys: ECDSA P-256 with SHA-256 (FIPS 186-5).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from wire.credential import CHALLENGE_BYTES, DEVICE_BYTES
from wire.errors import CredentialError, MessageError
from wire.networks import MOST_SEALED_BYTES
from wire.plain import decode, encode, expect, take_bytes, take_int, take_map, take_text

NONCE_BYTES = 32
NAME_CHARACTERS = 80
ECDSA = ec.ECDSA(hashes.SHA256())
ODD_CERTIFICATE = (
    x509.ExtensionNotFound,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    x509.InvalidVersion,
    InvalidSignature,
    UnsupportedAlgorithm,
    ValueError,
    TypeError,
)
"""What the library raises on certificates and requests that somebody made up."""
_REQUEST = b"getuige/1 enrolment request\0"
_FRESH = b"getuige/1 enrolment fresh\0"
_GRANT = b"getuige/1 enrolment grant\0"
_CONSENT = b"getuige/1 enrolment consent\0"
_LONGEST_IDENTITY = 33
_MOST_CSR_BYTES = 1024
_MOST_PEM_CHARACTERS = 4096
_MOST_POLICY_BYTES = 64 * 1024
_LATEST_S = 2**37


class Kind(Enum):
    """What a device asks for."""

    FIRST = "first"
    AGAIN = "again"
    """A new identity for a device that has one; it needs the unit's consent."""
    RENEWAL = "renewal"
    """A new TLS key for the same identity; it needs the unit's consent."""


@dataclass(frozen=True, slots=True)
class Request:
    """A device asks to be the unit's. Board, serial and firmware are what it says of itself."""

    kind: Kind
    device: bytes
    identity: bytes
    """Raw public key: Ed25519 (32 bytes), or P-256 compressed (33 bytes; SEC 1), as docs/FORMAT.md says."""
    csr: bytes
    """PKCS #10 (RFC 2986) of the new TLS key, DER."""
    board: str
    serial: str
    firmware: str
    replaces: bytes = b""
    """Id of the identity that goes; empty unless it is `Kind.AGAIN`."""
    signature: bytes = b""

    @property
    def core(self) -> bytes:
        """Its text."""
        return encode(self._core)

    @property
    def _core(self) -> dict[str, Any]:
        return {
            "v": 1,
            "kind": self.kind.value,
            "device": self.device.hex(),
            "identity": self.identity.hex(),
            "csr": self.csr.hex(),
            "board": self.board,
            "serial": self.serial,
            "firmware": self.firmware,
            "replaces": self.replaces.hex(),
        }

    @property
    def digest(self) -> bytes:
        """SHA-256 of its text: what a grant is for."""
        return hashlib.sha256(self.core).digest()

    @property
    def statement(self) -> bytes:
        """What is signed."""
        return _REQUEST + self.core

    @property
    def fields(self) -> dict[str, Any]:
        """As it stands in a message or a file."""
        return self._core | {"signature": self.signature.hex()}

    @property
    def is_named(self) -> bool:
        """Whether the id is that of the identity in it. Who signed it, the reader judges: keys are of two sorts."""
        return hashlib.sha256(self.identity).digest()[:DEVICE_BYTES] == self.device


def parse_request(fields: Mapping[str, Any]) -> Request:
    """Read a request; its signature is not judged.

    Raises:
        MessageError: it is none.
    """
    expect(fields, "a request", "v kind device identity csr board serial firmware replaces signature")
    take_int(fields, "v", 1, 1)
    kind = _kind(fields)
    return Request(
        kind,
        take_bytes(fields, "device", DEVICE_BYTES),
        take_identity(fields),
        take_bytes(fields, "csr", most=_MOST_CSR_BYTES),
        take_text(fields, "board", 80),
        take_text(fields, "serial", 64),
        take_text(fields, "firmware", 40),
        take_bytes(fields, "replaces", DEVICE_BYTES if kind is Kind.AGAIN else 0),
        take_bytes(fields, "signature", most=128),
    )


def take_identity(fields: Mapping[str, Any]) -> bytes:
    """Return a raw identity key.

    Raises:
        MessageError: of another length.
    """
    identity = take_bytes(fields, "identity", most=_LONGEST_IDENTITY)
    if len(identity) not in (_LONGEST_IDENTITY - 1, _LONGEST_IDENTITY):
        raise MessageError("an identity key has 32 or 33 bytes")
    return identity


def fresh_statement(nonce: bytes, shown: bytes) -> bytes:
    """Return what a TLS key signs to show that it is here now: `shown` is a request's text or a certificate."""
    if len(nonce) != NONCE_BYTES:
        raise MessageError(f"a nonce has {NONCE_BYTES} bytes")
    return _FRESH + nonce + hashlib.sha256(shown).digest()


@dataclass(frozen=True, slots=True)
class Grant:
    """What a station gives a device. The policy goes with it, by its digest."""

    request: bytes
    """Digest of the request that it answers."""
    device: bytes
    name: str
    utc_s: int
    """The station's time, for a device that has none."""
    authority: str
    """PEM of the unit's authority for TLS."""
    certificate: str
    """PEM of the device's TLS certificate."""
    unit: bytes
    """The unit's raw public key."""
    policy: bytes = field(repr=False)
    """The unit's signed policy, as it is."""
    station: bytes
    """Raw public key of who signs this; the policy names it."""
    signature: bytes = b""
    networks: bytes = field(default=b"", repr=False)
    """Sealed to the request's TLS key (`wire.networks`); empty where none are given. They go with it as the policy."""

    @property
    def _core(self) -> dict[str, Any]:
        # Version 2 is version 1 and networks. A device that knows version 1 alone refuses it; it is not offered one.
        networks = {"networks": hashlib.sha256(self.networks).hexdigest()} if self.networks else {}
        return networks | {
            "v": 2 if self.networks else 1,
            "request": self.request.hex(),
            "device": self.device.hex(),
            "name": self.name,
            "utc_s": self.utc_s,
            "authority": self.authority,
            "certificate": self.certificate,
            "unit": self.unit.hex(),
            "policy": hashlib.sha256(self.policy).hexdigest(),
            "station": self.station.hex(),
        }

    @property
    def statement(self) -> bytes:
        """What the station signs."""
        return _GRANT + encode(self._core)

    def encode(self) -> bytes:
        """Return it as a body."""
        with_it = {"policy": _packed(self.policy)}
        if self.networks:
            with_it["networks"] = _packed(self.networks)
        return encode({"grant": self._core, "signature": self.signature.hex()} | with_it)

    def check_station(self) -> None:
        """Check that the station in it signed it. Whether that station may is the policy's to say.

        Raises:
            CredentialError: not so.
        """
        check(self.station, self.signature, self.statement, "the grant is not signed by the station in it")


def parse_grant(body: bytes) -> Grant:
    """Read a grant; nothing in it is judged, but that policy and networks are those that are meant.

    Raises:
        MessageError: it is none.
    """
    whole = decode(body, "the grant")
    more = " networks" if "networks" in whole else ""
    expect(whole, "a grant", "grant policy signature" + more)
    core = take_map(whole, "grant")
    expect(core, "a grant", "v request device name utc_s authority certificate unit policy station" + more)
    version = 2 if more else 1
    take_int(core, "v", version, version)
    policy = _unpacked(whole, core, "policy", _MOST_POLICY_BYTES)
    networks = _unpacked(whole, core, "networks", MOST_SEALED_BYTES) if more else b""
    return Grant(
        take_bytes(core, "request", 32),
        take_bytes(core, "device", DEVICE_BYTES),
        take_text(core, "name", NAME_CHARACTERS),
        take_int(core, "utc_s", _LATEST_S),
        _pem(core, "authority"),
        _pem(core, "certificate"),
        take_bytes(core, "unit", 32),
        policy,
        take_bytes(core, "station", 32),
        take_bytes(whole, "signature", 64),
        networks,
    )


@dataclass(frozen=True, slots=True)
class Consent:
    """The unit agrees that a device that is enrolled is enrolled again."""

    kind: Kind
    device: bytes
    challenge: bytes
    """Of the device's session: so it is good once."""
    reason: str
    signature: bytes = b""

    @property
    def _core(self) -> dict[str, Any]:
        return {
            "v": 1,
            "kind": self.kind.value,
            "device": self.device.hex(),
            "challenge": self.challenge.hex(),
            "reason": self.reason,
        }

    @property
    def statement(self) -> bytes:
        """What the unit signs."""
        return _CONSENT + encode(self._core)

    @property
    def fields(self) -> dict[str, Any]:
        """As it stands in a message."""
        return self._core | {"signature": self.signature.hex()}

    def check(self, unit: bytes, device: bytes, challenge: bytes) -> None:
        """Check that the unit agrees to this for this device, in this session.

        Raises:
            CredentialError: not so.
        """
        check(unit, self.signature, self.statement, "the consent is not signed by this device's unit")
        if (self.device, self.challenge) != (device, challenge):
            raise CredentialError("the consent is for another device, or for another session")


def parse_consent(fields: Mapping[str, Any]) -> Consent:
    """Read a consent; who signed it is checked by `Consent.check`.

    Raises:
        MessageError: it is none.
    """
    expect(fields, "a consent", "v kind device challenge reason signature")
    take_int(fields, "v", 1, 1)
    made = Consent(
        _kind(fields),
        take_bytes(fields, "device", DEVICE_BYTES),
        take_bytes(fields, "challenge", CHALLENGE_BYTES),
        take_text(fields, "reason"),
        take_bytes(fields, "signature", 64),
    )
    if made.kind is Kind.FIRST or not made.reason.strip():
        raise MessageError("a consent says to what, and why")
    return made


def check(key: bytes, signature: bytes, statement: bytes, wrong: str) -> None:
    """Check an Ed25519 signature by a raw public key.

    Raises:
        CredentialError: with the text `wrong`.
    """
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, statement)
    except (InvalidSignature, ValueError):
        raise CredentialError(wrong) from None


def check_tls(key: ec.EllipticCurvePublicKey, signature: bytes, statement: bytes, wrong: str) -> None:
    """Check an ECDSA signature of a TLS key. Errors as in `check`."""
    try:
        key.verify(signature, statement, ECDSA)
    except InvalidSignature:
        raise CredentialError(wrong) from None


def _kind(fields: Mapping[str, Any]) -> Kind:
    try:
        return Kind(take_text(fields, "kind", 16))
    except ValueError:
        raise MessageError("no such kind of enrolment") from None


def _packed(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _unpacked(whole: Mapping[str, Any], core: Mapping[str, Any], key: str, most: int) -> bytes:
    """Return what goes with a grant in base64, if it is what the grant names by its SHA-256."""
    text = whole[key]
    try:
        data = base64.b64decode(text, validate=True) if isinstance(text, str) and len(text) <= 2 * most else b""
    except (binascii.Error, ValueError):
        data = b""
    if not data or len(data) > most or _packed(data) != text or hashlib.sha256(data).hexdigest() != core[key]:
        raise MessageError(f"the grant's {key} is not what it names")
    return data


def _pem(fields: Mapping[str, Any], key: str) -> str:
    value = fields[key]
    if not isinstance(value, str) or not value.isascii() or len(value) > _MOST_PEM_CHARACTERS:
        raise MessageError(f"{key} is not a certificate (PEM)")
    return value
