"""New keys, and the request that names them. The identity signs its first keys and this, and is not needed again."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from firmware.errors import EnrolError
from firmware.version import VERSION
from storage.keyfiles import device_id
from storage.ratchet import enrol
from storage.signer import Signer
from wire.enrolment import ECDSA, Kind, Request, fresh_statement


@dataclass(frozen=True, slots=True)
class Board:
    """What the device says of its hardware."""

    name: str
    serial: str


@dataclass(frozen=True, slots=True)
class Born:
    """New keys and their request. `tls_key` and `keyring` are secrets."""

    request: Request
    tls_key: bytes
    keyring: bytes | None

    def __repr__(self) -> str:
        return f"Born({self.request.device.hex()})"


def born_identity(signer: Signer, board: Board, replaces: bytes = b"") -> Born:
    """Make a keyring, a TLS key and a request for a new identity; `replaces` is the id of the one that goes."""
    device = device_id(signer.public)
    key = ec.generate_private_key(ec.SECP256R1())
    kind = Kind.AGAIN if replaces else Kind.FIRST
    request = _request(kind, device, signer.public, key, board, replaces)
    return Born(replace(request, signature=signer.sign(request.statement)), _encode(key), enrol(signer).encode())


def born_tls(identity: bytes, old: ec.EllipticCurvePrivateKey | None, board: Board) -> Born:
    """Make a new TLS key for the same identity; the old one vouches for it, as the identity's key is gone.

    Without an old one nothing does: a station takes that only where it never issued one.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    request = _request(Kind.RENEWAL, device_id(identity), identity, key, board, b"")
    signature = old.sign(request.statement, ECDSA) if old is not None else b""
    return Born(replace(request, signature=signature), _encode(key), None)


def fresh(tls_key: bytes, nonce: bytes, shown: bytes) -> bytes:
    """Return the signature that shows that a TLS key is here now.

    Raises:
        EnrolError: the key is damaged.
        MessageError: the nonce is none.
    """
    return load_tls_key(tls_key).sign(fresh_statement(nonce, shown), ECDSA)


def load_tls_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """Read a TLS key.

    Raises:
        EnrolError: it is none.
    """
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise EnrolError("the device's TLS key is damaged: enrol the device again, with the unit's consent")
    return key


def _request(
    kind: Kind, device: bytes, identity: bytes, key: ec.EllipticCurvePrivateKey, board: Board, replaces: bytes
) -> Request:
    subject = [
        x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "device"),
        x509.NameAttribute(NameOID.COMMON_NAME, device.hex()),
    ]
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject)).sign(key, hashes.SHA256())
    der = csr.public_bytes(serialization.Encoding.DER)
    return Request(kind, device, identity, der, board.name, board.serial, VERSION, replaces)


def _encode(key: ec.EllipticCurvePrivateKey) -> bytes:
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key.private_bytes(*form)
