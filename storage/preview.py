"""Previews: what goes live where the uplink cannot carry the recording (docs/LIVE.md, "Previews"). No I/O.

A preview record has the layout of a chunk record and a magic number of its own, so that no reader of a store ever
takes one for evidence. Its key is derived from the segment's content key (HKDF, RFC 5869), and its number, and so its
nonce, is that of the chunk whose key picture it shows: neither key nor nonce is ever used for anything else.
"""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from storage.envelope import CONTENT_KEY_BYTES
from storage.errors import ForeignError, FormatError
from storage.layout import MAGIC, Header, Kind, parse_header

PREVIEW_MAGIC = b"GTP1"
_KEY_CONTEXT = b"getuige/1 preview key\0"
_SIGNATURE_CONTEXT = b"getuige/1 preview\0"


def preview_key(content_key: bytes, device: bytes, segment: int) -> bytes:
    """Return the key of a segment's previews."""
    info = _KEY_CONTEXT + device + segment.to_bytes(8, "big")
    return HKDF(hashes.SHA256(), CONTENT_KEY_BYTES, None, info).derive(content_key)


def preview_head(head: bytes) -> bytes:
    """Return the head of a preview, made from a packed header of kind MEDIA without particulars."""
    return PREVIEW_MAGIC + head[len(MAGIC) :]


def parse_preview_head(data: bytes | memoryview) -> Header:
    """Parse the head of a preview.

    Raises:
        FormatError: not a preview, or not of media.
    """
    if bytes(data[: len(PREVIEW_MAGIC)]) != PREVIEW_MAGIC:
        raise ForeignError("no preview begins here (wrong magic)")
    header = parse_header(MAGIC + bytes(data[len(MAGIC) : 104]))
    if header.kind != Kind.MEDIA or header.particulars_bytes:
        raise FormatError("a preview is of media and has no particulars")
    return header


def preview_signed_bytes(history: bytes, head: bytes | memoryview, body_digest: bytes) -> bytes:
    """Return what a preview's signature is over; `history` is the chain value before its segment."""
    digest = hashlib.sha256(history)
    digest.update(head)
    digest.update(body_digest)
    return _SIGNATURE_CONTEXT + digest.digest()


def check_preview(
    segment_key: bytes, history: bytes, head: bytes | memoryview, body_digest: bytes, signature: bytes
) -> None:
    """Check a preview's signature by the key of its segment.

    Raises:
        FormatError: it is not good.
    """
    try:
        Ed25519PublicKey.from_public_bytes(segment_key).verify(
            signature, preview_signed_bytes(history, head, body_digest)
        )
    except (InvalidSignature, ValueError):
        raise FormatError("the preview is not signed by its segment's key") from None
