"""A disk that forgets: what was written and not flushed is there only in part after a power cut. Pure but for its file.

A real card may write what it has in its cache in any order, or not at all. Here each page of 4 KiB that was not flushed
is written or lost by a throw of the dice, and on a disk that tears some pages are cut between sectors of 512 bytes.
"""

from __future__ import annotations

import os
import random
import threading
import time
from pathlib import Path

SECTOR_BYTES = 512
_PAGE_SECTORS = 8


class ForgetfulDisk:
    """An image file behind a cache of its own. Thread-safe."""

    def __init__(self, image: Path, dice: random.Random, *, slowest_flush_s: float = 0.0, tears: bool = True) -> None:
        """`image` has a whole number of sectors; a flush takes up to `slowest_flush_s`, as a card's does."""
        self._tears = tears
        self._slowest_flush_s = slowest_flush_s
        self._fd = os.open(image, os.O_RDWR | os.O_CLOEXEC)
        self.size_bytes = os.fstat(self._fd).st_size
        self._dice = dice
        self._throw = dice.random()
        self._cache: dict[int, bytes] = {}
        self._lock = threading.Lock()
        self._off = False
        self.flushes = 0

    def read(self, offset: int, length: int) -> bytes:
        """Read what was written last; both are whole sectors."""
        with self._lock:
            found = bytearray(os.pread(self._fd, length, offset))
            first = offset // SECTOR_BYTES
            for number in range(first, first + length // SECTOR_BYTES):
                sector = self._cache.get(number)
                if sector is not None:
                    at = (number - first) * SECTOR_BYTES
                    found[at : at + SECTOR_BYTES] = sector
            return bytes(found)

    def write(self, offset: int, data: bytes) -> None:
        """Take whole sectors into the cache; after a cut nothing is taken any more."""
        with self._lock:
            if self._off:
                return
            first = offset // SECTOR_BYTES
            for index in range(len(data) // SECTOR_BYTES):
                self._cache[first + index] = data[index * SECTOR_BYTES : (index + 1) * SECTOR_BYTES]

    def flush(self) -> None:
        """Make all that was written until now durable."""
        with self._lock:
            numbers = list(self._cache)
        if self._slowest_flush_s:
            time.sleep(self._dice.uniform(0, self._slowest_flush_s))
        with self._lock:
            if not self._off:
                self.flushes += 1
                self._settle([number for number in numbers if number in self._cache])

    def cut(self) -> tuple[int, int]:
        """Let the power go: return how many cached sectors were kept, and how many were lost."""
        with self._lock:
            self._off = True
            kept = [number for number in self._cache if self._survives(number)]
            lost = len(self._cache) - len(kept)
            self._settle(kept)
            self._cache.clear()
            return len(kept), lost

    def close(self) -> None:
        """Close the image. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _survives(self, number: int) -> bool:
        # Mostly whole pages, as a card has it; now and then a page is torn.
        page = random.Random(f"{self._throw} {self.flushes} {number // _PAGE_SECTORS}")  # noqa: S311 - a throw for each page
        if page.random() < 0.1 and self._tears:
            return self._dice.random() < 0.5
        return page.random() < 0.5

    def _settle(self, numbers: list[int]) -> None:
        for number in sorted(numbers):
            os.pwrite(self._fd, self._cache.pop(number), number * SECTOR_BYTES)
