"""The device's identity key: Ed25519 (RFC 8032), or ECDSA over P-256 (FIPS 186-5) where a TPM keeps it.

Raw, it is the 32-byte Ed25519 key, or the P-256 point compressed to 33 bytes (SEC 1, 2.3.3); the length tells which. A
signature has 64 bytes either way. That of P-256 is over the SHA-256 and written ``r ‖ s`` (IEEE P1363), with s at most
half the group's order: of the two spellings that every ECDSA signature has, one is allowed.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from storage.errors import FormatError

ED25519_BYTES = 32
P256_BYTES = 33
_SCALAR_BYTES = 32
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""n, the order of the group (SP 800-186)."""


def parse_identity(raw: bytes) -> Ed25519PublicKey | ec.EllipticCurvePublicKey:
    """Return the key that 32 or 33 raw bytes stand for.

    Raises:
        FormatError: of another length, or no point of the curve.
    """
    if len(raw) == ED25519_BYTES:
        return Ed25519PublicKey.from_public_bytes(raw)
    try:
        if len(raw) == P256_BYTES:
            return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw)
    except ValueError:
        pass
    raise FormatError("the identity is neither a raw Ed25519 key nor a compressed point of P-256")


def raw_identity(key: object) -> bytes | None:
    """Return the raw form of a public key, or None if it is of a kind that no identity has."""
    if isinstance(key, Ed25519PublicKey):
        return key.public_bytes_raw()
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    return None


def is_signed(identity: bytes, signature: bytes, data: bytes) -> bool:
    """Whether `signature` (64 bytes) over `data` is that of a raw identity key. Anything malformed is not."""
    try:
        key = parse_identity(identity)
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, data)
        else:
            key.verify(_der(signature), data, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, FormatError):
        return False
    return True


def encode_signature(r: int, s: int) -> bytes:
    """Return the 64 bytes of an ECDSA signature of P-256, s in the lower half whichever of the two was given.

    Raises:
        FormatError: no such signature.
    """
    if not (0 < r < P256_ORDER and 0 < s < P256_ORDER):
        raise FormatError("not an ECDSA signature of P-256")
    return r.to_bytes(_SCALAR_BYTES, "big") + min(s, P256_ORDER - s).to_bytes(_SCALAR_BYTES, "big")


def _der(signature: bytes) -> bytes:
    r, s = (int.from_bytes(half, "big") for half in (signature[:_SCALAR_BYTES], signature[_SCALAR_BYTES:]))
    if len(signature) != 2 * _SCALAR_BYTES or s > P256_ORDER // 2:
        raise FormatError("not an ECDSA signature as docs/FORMAT.md writes it")
    return encode_dss_signature(r, s)
