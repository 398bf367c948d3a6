"""Sealing against raw ChaCha20-Poly1305 `encrypt_into` and SHA-256 over the same buffer, on one core."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from storage.buffers import BufferPool
from storage.chain import Tip
from storage.envelope import Cipher
from storage.layout import Flags, Kind, Place
from storage.seal import SegmentSealer
from storage.signer import MemorySigner
from tools.bench.scratch import stamp
from tools.bench.table import Row
from tools.bench.timing import compare

_TOTAL = 64 * 1024 * 1024
_TARGETS = {256 * 1024: 0.85}


def sealing_rows() -> Iterator[Row]:
    """Measure at 64 KiB, 256 KiB and 1 MiB."""
    bodies = {size: os.urandom(size) for size in (64 * 1024, 256 * 1024, 1024 * 1024)}
    key = os.urandom(32)
    raw = ChaCha20Poly1305(key)
    signer = MemorySigner.generate()
    for size in bodies:

        def ours(size: int = size) -> None:
            _seal_all(bodies[size], signer, key)

        def limit(size: int = size) -> None:
            _limit_all(bodies[size], raw)

        found = compare(ours, limit)
        rate = 64 / found.ours_s
        yield Row(
            f"sealing, {size // 1024} KiB chunks", found.ratio, "of limit",
            f"{rate:.0f} MiB/s; limit {64 / found.limit_s:.0f} MiB/s (ChaCha20-Poly1305 + SHA-256, one core)",
            _TARGETS.get(size),
        )  # fmt: skip


def _seal_all(body: bytes, signer: MemorySigner, key: bytes) -> None:
    pool = BufferPool()
    place = Place(bytes(16), 1, b"r" * 16, bytes(16))
    sealer = SegmentSealer(place, signer, Cipher.CHACHA20_POLY1305, key, Tip(bytes(32), bytes(64)), pool)
    when = stamp()
    for _ in range(_TOTAL // len(body)):
        pool.give(sealer.seal(Kind.MEDIA, when, body, flags=Flags.SOUND).body)


def _limit_all(body: bytes, raw: ChaCha20Poly1305) -> None:
    out = bytearray(len(body) + 16)
    for number in range(_TOTAL // len(body)):
        raw.encrypt_into(number.to_bytes(12, "big"), body, None, out)
        hashlib.sha256(out).digest()
