"""Sealing: plain chunk in, encrypted, chained and signed chunk out (docs/FORMAT.md, "Chunk").

The content key goes in and is dropped with the sealer; nothing here keeps or can recover it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from storage.buffers import BufferPool
from storage.chain import Tip, link, signed_bytes
from storage.envelope import Cipher
from storage.errors import StoreError
from storage.layout import MAX_CHUNKS, TAG_BYTES, Flags, Kind, Place, Stamp, pack_header
from storage.signer import Signer


@dataclass(frozen=True, slots=True)
class SealedChunk:
    """One chunk record, ready for flash and for the wire."""

    segment: int
    number: int
    kind: Kind
    stamp: Stamp
    head: bytes
    """Header and particulars."""
    body: memoryview
    """Ciphertext and tag, in a buffer that belongs to a pool."""
    signature: bytes
    tip: Tip

    @property
    def size_bytes(self) -> int:
        """Length of the whole record."""
        return len(self.head) + len(self.body) + len(self.signature)

    @property
    def buffers(self) -> tuple[bytes, memoryview, bytes]:
        """The record's bytes in order, for a gathering write."""
        return self.head, self.body, self.signature


def nonce(chunk: int) -> bytes:
    """Return the 12-byte nonce of a chunk: its number, big-endian. Each segment has a key of its own."""
    return chunk.to_bytes(12, "big")


def aead(cipher: Cipher, key: bytes) -> ChaCha20Poly1305 | AESGCM:
    """Return the AEAD of a segment."""
    return ChaCha20Poly1305(key) if cipher is Cipher.CHACHA20_POLY1305 else AESGCM(key)


class SegmentSealer:
    """Seals the chunks of one segment, one after another. Not thread-safe: one recorder owns it."""

    def __init__(
        self,
        place: Place,
        signer: Signer,
        cipher: Cipher,
        content_key: bytes,
        previous: Tip,
        pool: BufferPool,
    ) -> None:
        self._place = place
        self._sign: Callable[[bytes], bytes] | None = signer.sign
        self._encrypt_into = aead(cipher, content_key).encrypt_into
        self._pool = pool
        self._tip = previous
        self._chunks = 0

    @property
    def tip(self) -> Tip:
        """Where the chain stands."""
        return self._tip

    @property
    def chunks(self) -> int:
        """How many chunks have been sealed."""
        return self._chunks

    def seal(
        self, kind: Kind, stamp: Stamp, body: bytes | bytearray | memoryview, *, flags: Flags | None = None,
        particulars: bytes = b"",
    ) -> SealedChunk:  # fmt: skip
        """Encrypt, chain and sign one chunk. A closing chunk ends the sealer.

        Raises:
            FormatError: the chunk is larger than the format allows.
            StoreError: the segment is closed, or has as many chunks as the format allows.

        """
        if self._sign is None:
            raise StoreError(f"segment {self._place.segment} is closed")
        if self._chunks >= MAX_CHUNKS - 1 and kind is not Kind.CLOSING:
            raise StoreError(f"segment {self._place.segment} is full: close it and open the next")
        number = self._chunks
        size = len(body) + TAG_BYTES
        head = pack_header(kind, flags or Flags(0), len(particulars), size, number, self._place, stamp) + particulars
        sealed = self._pool.take(size)
        self._encrypt_into(nonce(number), body, self._tip.chain + head, sealed)
        chain = link(self._tip, head, hashlib.sha256(sealed).digest())
        self._tip = Tip(chain, self._sign(signed_bytes(chain)))
        self._chunks += 1
        if kind is Kind.CLOSING:
            self._sign = None
            del self._encrypt_into
        return SealedChunk(self._place.segment, number, kind, stamp, head, sealed, self._tip.signature, self._tip)
