"""The hash chain and what is signed (docs/FORMAT.md, "Chain"). SHA-256 is FIPS 180-4, Ed25519 is RFC 8032."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from storage.layout import CHAIN_BYTES, SIGNATURE_BYTES

_CHUNK_CONTEXT = b"getuige/1 chunk\0"
_GENESIS_CONTEXT = b"getuige/1 genesis\0"


@dataclass(frozen=True, slots=True)
class Tip:
    """Where the chain stands after a chunk: its chain value and its signature, both bound by the next chunk."""

    chain: bytes
    signature: bytes

    def __post_init__(self) -> None:
        if len(self.chain) != CHAIN_BYTES or len(self.signature) != SIGNATURE_BYTES:
            raise ValueError("a tip is a 32-byte chain value and a 64-byte signature")


def genesis(identity: bytes) -> Tip:
    """Return the tip before a device's first chunk; `identity` is its raw 32-byte Ed25519 public key."""
    return Tip(hashlib.sha256(_GENESIS_CONTEXT + identity).digest(), bytes(SIGNATURE_BYTES))


def link(previous: Tip, header: bytes | memoryview, body_digest: bytes) -> bytes:
    """Return ``SHA-256(chain ‖ signature ‖ header ‖ SHA-256(body))``; `header` includes the particulars."""
    digest = hashlib.sha256(previous.chain + previous.signature)
    digest.update(header)
    digest.update(body_digest)
    return digest.digest()


def signed_bytes(chain: bytes) -> bytes:
    """Return the 48 bytes that a chunk's signature is over."""
    return _CHUNK_CONTEXT + chain
