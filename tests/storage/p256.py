"""An identity of P-256 in memory: what a TPM does, from a fixed scalar and with the same signature every time."""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from storage.identity import P256_ORDER, encode_signature, raw_identity


class P256Signer:
    """Signs by RFC 6979: the nonce follows from key and message."""

    def __init__(self, secret: bytes) -> None:
        """`secret` has 32 bytes, a number from 1 to n - 1."""
        self._key = ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP256R1())
        raw = raw_identity(self._key.public_key())
        assert raw is not None
        self.public = raw

    def sign(self, data: bytes) -> bytes:
        return encode_signature(*self._sign(data))

    def sign_high(self, data: bytes) -> bytes:
        """Return the other spelling, which the format does not allow."""
        r, s = self._sign(data)
        return r.to_bytes(32, "big") + max(s, P256_ORDER - s).to_bytes(32, "big")

    def _sign(self, data: bytes) -> tuple[int, int]:
        algorithm = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
        return decode_dss_signature(self._key.sign(data, algorithm))
