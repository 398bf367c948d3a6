"""Content keys wrapped to the unit's recipients by HPKE, RFC 9180 base mode (docs/FORMAT.md, "Envelopes").

Only the sending half is here. What opens an envelope lives at the station.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PublicKey, Suite

from storage.layout import Place

CONTENT_KEY_BYTES = 32
_CONTEXT = b"getuige/1 envelope\0"


class Cipher(Enum):
    """The AEAD that seals chunk bodies: RFC 8439, or AES-256-GCM of NIST SP 800-38D."""

    CHACHA20_POLY1305 = "chacha20-poly1305"
    AES_256_GCM = "aes-256-gcm"


class Kem(Enum):
    """How a content key is wrapped."""

    X25519 = "x25519"
    HYBRID = "mlkem768-x25519"

    @property
    def sealed_bytes(self) -> int:
        """Length of a wrapped content key: encapsulated key, then 32 + 16 bytes."""
        return CONTENT_KEY_BYTES + (48 if self is Kem.X25519 else 1136)

    @property
    def suite(self) -> Suite:
        """The HPKE suite: this KEM, HKDF-SHA256, ChaCha20-Poly1305."""
        kem = KEM.X25519 if self is Kem.X25519 else KEM.MLKEM768_X25519
        return Suite(kem, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A content key wrapped to one recipient."""

    kem: Kem
    recipient: bytes
    sealed: bytes


@dataclass(frozen=True, slots=True)
class Recipient:
    """A public key that can open what is sealed to it."""

    x25519: X25519PublicKey
    mlkem: MLKEM768PublicKey | None = None

    @property
    def kem(self) -> Kem:
        """Which KEM this recipient takes."""
        return Kem.X25519 if self.mlkem is None else Kem.HYBRID

    @property
    def raw(self) -> bytes:
        """The public key as bytes: ML-KEM-768 encapsulation key (if hybrid), then the X25519 key."""
        return (self.mlkem.public_bytes_raw() if self.mlkem else b"") + self.x25519.public_bytes_raw()

    @property
    def id(self) -> bytes:
        """The first 16 bytes of the SHA-256 of `raw`."""
        return hashlib.sha256(self.raw).digest()[:16]

    def wrap(self, content_key: bytes, place: Place, segment_key: bytes) -> Envelope:
        """Wrap a segment's content key; the envelope opens for that very segment only."""
        public = self.x25519 if self.mlkem is None else MLKEM768X25519PublicKey(self.mlkem, self.x25519)
        sealed = self.kem.suite.encrypt(content_key, public, info=envelope_info(place, segment_key))
        return Envelope(self.kem, self.id, sealed)


def envelope_info(place: Place, segment_key: bytes) -> bytes:
    """Return HPKE's `info`: it binds an envelope to device, segment, recording and signing key."""
    return _CONTEXT + place.device + place.segment.to_bytes(8, "big") + place.recording + segment_key
