"""Reused buffers for sealed bodies, so that a running recorder does not allocate."""

from __future__ import annotations

import threading


class BufferPool:
    """Lends writable buffers. Keeps at most `keep_bytes` for reuse; thread-safe."""

    def __init__(self, keep_bytes: int = 32 * 1024 * 1024) -> None:
        self._keep_bytes = keep_bytes
        self._kept_bytes = 0
        self._kept: list[bytearray] = []
        self._lock = threading.Lock()

    def take(self, length: int) -> memoryview:
        """Lend a buffer of exactly `length` bytes, its content undefined."""
        with self._lock:
            for index in range(len(self._kept) - 1, -1, -1):
                if len(self._kept[index]) >= length:
                    buffer = self._kept.pop(index)
                    self._kept_bytes -= len(buffer)
                    return memoryview(buffer)[:length]
        # Rounded up so that chunks of about one size share buffers.
        return memoryview(bytearray(-(-length // 65_536) * 65_536))[:length]

    def give(self, view: memoryview) -> None:
        """Take a buffer back. The lender must not use it any more."""
        buffer = view.obj
        if not isinstance(buffer, bytearray):
            raise TypeError("not a buffer of this pool")
        with self._lock:
            if self._kept_bytes + len(buffer) <= self._keep_bytes:
                self._kept.append(buffer)
                self._kept_bytes += len(buffer)
