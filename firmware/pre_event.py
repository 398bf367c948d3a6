"""The pre-event buffer: the last seconds of footage, in memory alone, encrypted, until a recording takes them.

It is for units whose policy allows one. Its key is made for each filling and lies in memory too: it keeps footage
out of a swap file or a crash dump as something that can be read, and forgetting 32 bytes is enough to wipe it all.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from capture.chunk import CmafChunk
from storage.layout import Stamp

_TOLERANCE_NS = 100_000_000
"""Chunks end with a picture, not with the second."""
_MOST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Held:
    nonce: int
    sealed: bytes
    chunk: CmafChunk
    """Without its bytes."""
    stamp: Stamp


class PreEventBuffer:
    """Holds at most `length_ns` of footage, to a tenth of a second, and at most `most_bytes`. For one thread.

    What is held begins with a key picture: the oldest go as a whole group of pictures at a time.
    """

    def __init__(self, length_ns: int, most_bytes: int = _MOST_BYTES) -> None:
        self._length_ns = length_ns
        self._most_bytes = most_bytes
        self._groups: deque[list[_Held]] = deque()
        self._size_bytes = 0
        self._cipher = ChaCha20Poly1305(secrets.token_bytes(32))
        self._count = 0

    @property
    def size_bytes(self) -> int:
        """How many bytes are held."""
        return self._size_bytes

    @property
    def end_ns(self) -> int:
        """When the newest chunk held ends (monotonic); 0 without one."""
        if not self._groups:
            return 0
        last = self._groups[-1][-1].chunk
        return last.start_ns + last.duration_ns

    @property
    def held_ns(self) -> int:
        """From the beginning of the oldest chunk held to the end of the newest."""
        return self.end_ns - self._groups[0][0].chunk.start_ns if self._groups else 0

    def add(self, chunk: CmafChunk, stamp: Stamp) -> None:
        """Hold a chunk with the stamp of its own time; the oldest give way."""
        if chunk.key:
            self._groups.append([])
        elif not self._groups:
            return  # it cannot be played without the key picture before it
        sealed = self._cipher.encrypt(self._count.to_bytes(12), chunk.data, None)
        self._groups[-1].append(_Held(self._count, sealed, replace(chunk, data=b""), stamp))
        self._count += 1
        self._size_bytes += len(sealed)
        while self._groups and (self.held_ns > self._length_ns + _TOLERANCE_NS or self._size_bytes > self._most_bytes):
            self._size_bytes -= sum(len(item.sealed) for item in self._groups.popleft())

    def take(self) -> Iterator[tuple[CmafChunk, Stamp]]:
        """Give what is held, oldest first; nothing of it is held afterwards."""
        cipher, groups = self._cipher, self._groups
        self.wipe()
        while groups:
            for item in groups.popleft():
                yield replace(item.chunk, data=cipher.decrypt(item.nonce.to_bytes(12), item.sealed, None)), item.stamp

    def wipe(self) -> None:
        """Forget everything, the key first."""
        self._cipher = ChaCha20Poly1305(secrets.token_bytes(32))
        self._count = self._size_bytes = 0
        self._groups = deque()
