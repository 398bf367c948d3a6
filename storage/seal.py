"""Sealing: plain chunk in, encrypted, chained and signed chunk out (docs/FORMAT.md, "Chunk").

The content key goes in and is dropped with the sealer; nothing here keeps or can recover it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from storage.buffers import BufferPool
from storage.chain import Tip, link, signed_bytes
from storage.envelope import Cipher
from storage.errors import StoreError
from storage.layout import MAX_CHUNKS, SIGNATURE_BYTES, TAG_BYTES, Flags, Kind, Place, Stamp, pack_header
from storage.preview import preview_head, preview_key, preview_signed_bytes
from storage.signer import Signer


class SealedChunk(NamedTuple):
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


class EncryptedChunk(NamedTuple):
    """A chunk between encryption and its place in the chain."""

    number: int
    kind: Kind
    stamp: Stamp
    head: bytes
    body: memoryview

    @property
    def size_bytes(self) -> int:
        """Length of the record that it will be."""
        return len(self.head) + len(self.body) + SIGNATURE_BYTES


class SegmentSealer:
    """Seals the chunks of one segment, one after another.

    Encrypting does not wait for the chain, so one thread may `encrypt` while another takes what that one has done, in
    order, to `sign`. Each of the two is for one thread.
    """

    def __init__(
        self, place: Place, signer: Signer, cipher: Cipher, content_key: bytes, previous: Tip, pool: BufferPool
    ) -> None:
        self._place = place
        self._sign: Callable[[bytes], bytes] | None = signer.sign
        self._encrypt_into: Callable[..., int] | None = aead(cipher, content_key).encrypt_into
        self._encrypt_preview: Callable[..., bytes] | None = aead(
            cipher, preview_key(content_key, place.device, place.segment)
        ).encrypt
        self._history = previous.chain
        self._pool = pool
        self._tip = previous
        self._chunks = 0
        self._previewed = 0
        """The last chunk that a preview was made of. The opening, number 0, has none."""

    @property
    def tip(self) -> Tip:
        """Where the chain stands: after the last signed chunk."""
        return self._tip

    @property
    def chunks(self) -> int:
        """How many chunks have been encrypted."""
        return self._chunks

    def seal(
        self, kind: Kind, stamp: Stamp, body: bytes | bytearray | memoryview, *, flags: Flags | None = None,
        particulars: bytes = b"",
    ) -> SealedChunk:  # fmt: skip
        """Encrypt, chain and sign one chunk. Errors as in `encrypt`."""
        return self.sign(self.encrypt(kind, stamp, body, flags=flags, particulars=particulars))

    def encrypt(
        self, kind: Kind, stamp: Stamp, body: bytes | bytearray | memoryview, *, flags: Flags | None = None,
        particulars: bytes = b"",
    ) -> EncryptedChunk:  # fmt: skip
        """Number and encrypt one chunk into a buffer of the pool. After a closing chunk there is none.

        Raises:
            FormatError: the chunk is larger than the format allows.
            StoreError: the segment is closed, or has as many chunks as the format allows.
        """
        if self._encrypt_into is None:
            raise StoreError(f"segment {self._place.segment} is closed")
        number = self._chunks
        if number >= MAX_CHUNKS - 1 and kind is not Kind.CLOSING:
            raise StoreError(f"segment {self._place.segment} is full: close it and open the next")
        size = len(body) + TAG_BYTES
        head = pack_header(kind, flags or 0, len(particulars), size, number, self._place, stamp) + particulars
        sealed = self._pool.take(size)
        self._encrypt_into(nonce(number), body, self._history + head, sealed)
        self._chunks += 1
        if kind is Kind.CLOSING:
            self._encrypt_into = self._encrypt_preview = None
        return EncryptedChunk(number, kind, stamp, head, sealed)

    def preview(self, stamp: Stamp, body: bytes, flags: Flags) -> bytes:
        """Seal a preview of the media chunk that is encrypted next; return its record. At most one for each chunk.

        For the thread that encrypts. Errors as in `encrypt`.
        """
        sign = self._sign
        number = self._chunks
        if self._encrypt_preview is None or sign is None or number <= self._previewed:
            raise StoreError(f"chunk {number} of segment {self._place.segment} can have no preview")
        self._previewed = number
        head = preview_head(pack_header(Kind.MEDIA, flags, 0, len(body) + TAG_BYTES, number, self._place, stamp))
        sealed = self._encrypt_preview(nonce(number), body, self._history + head)
        digest = hashlib.sha256(sealed).digest()
        return b"".join((head, sealed, sign(preview_signed_bytes(self._history, head, digest))))

    def sign(self, chunk: EncryptedChunk) -> SealedChunk:
        """Chain and sign the next encrypted chunk; a closing chunk drops the signing key.

        Raises:
            StoreError: the closing chunk was signed already.
        """
        if self._sign is None:
            raise StoreError(f"segment {self._place.segment} is closed")
        number, kind, stamp, head, body = chunk
        chain = link(self._tip, head, hashlib.sha256(body).digest())
        signature = self._sign(signed_bytes(chain))
        self._tip = Tip(chain, signature)
        if kind is Kind.CLOSING:
            self._sign = None
        return SealedChunk(self._place.segment, number, kind, stamp, head, body, signature, self._tip)
