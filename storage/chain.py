"""The hash chain and what is signed (docs/FORMAT.md, "Chain"). SHA-256 is FIPS 180-4, Ed25519 is RFC 8032."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from storage.layout import SIGNATURE_BYTES

_CHUNK_CONTEXT = b"getuige/1 chunk\0"
_GENESIS_CONTEXT = b"getuige/1 genesis\0"


class Tip(NamedTuple):
    """Where the chain stands after a chunk: its chain value and its signature, both bound by the next chunk."""

    chain: bytes
    signature: bytes


def genesis(identity: bytes) -> Tip:
    """Return the tip before a device's first chunk; `identity` is its raw public key, of either kind."""
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
