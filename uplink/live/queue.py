"""What waits to be published: bounded in bytes and in age, whole fragments dropped from the oldest. No I/O, no clock.

A picture that refers to one that was dropped is of no use, so that dropping always goes on up to the next key picture.
Where none waits, what comes next is dropped too, until a key picture comes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from storage.chain import Tip
from storage.layout import Kind


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One record on its way."""

    segment: int
    number: int
    kind: Kind
    key: bool
    """It begins with a key picture."""
    payload: bytes
    previous: Tip | None
    """Where the chain stood before it; None for a preview, which is not part of it."""
    queued_ns: int
    preview: bool = False

    @property
    def size_bytes(self) -> int:
        """Length of the payload."""
        return len(self.payload)


@dataclass(frozen=True, slots=True)
class Dropped:
    """What was given up."""

    chunks: int = 0
    size_bytes: int = 0

    def __add__(self, other: Dropped) -> Dropped:
        return Dropped(self.chunks + other.chunks, self.size_bytes + other.size_bytes)


NOTHING = Dropped()


class LiveQueue:
    """The queue. Not thread-safe: its owner holds a lock."""

    def __init__(self, limit_bytes: int, max_age_ns: int) -> None:
        self._limit_bytes = limit_bytes
        self._max_age_ns = max_age_ns
        self._items: deque[Outgoing] = deque()
        self._size_bytes = 0
        self._needs_key = False
        self._fresh = False
        """Nothing was put since `clear`: what comes before a key picture was never to go out, and is no loss."""

    def __len__(self) -> int:
        return len(self._items)

    @property
    def size_bytes(self) -> int:
        """Of all that waits."""
        return self._size_bytes

    @property
    def segments(self) -> set[int]:
        """The segments of which something waits."""
        return {item.segment for item in self._items}

    def put(self, item: Outgoing) -> Dropped:
        """Append a record; return what was dropped for it, itself perhaps."""
        if self._needs_key and item.kind is Kind.MEDIA:
            if not item.key:
                return NOTHING if self._fresh else _count(item)
            self._needs_key = self._fresh = False
        dropped = NOTHING
        while self._items and self._size_bytes + item.size_bytes > self._limit_bytes:
            dropped += self._drop_fragment()
        if item.size_bytes > self._limit_bytes:
            self._needs_key = item.kind is Kind.MEDIA
            return dropped + _count(item)
        if self._needs_key and item.kind is Kind.MEDIA and not item.key:
            return dropped + _count(item)
        self._needs_key &= item.kind is not Kind.MEDIA
        self._append(item)
        return dropped

    def put_back(self, items: Iterable[Outgoing]) -> Dropped:
        """Put records that were taken and not acknowledged in front again, in their order."""
        for item in reversed(list(items)):
            self._items.appendleft(item)
            self._size_bytes += item.size_bytes
        dropped = NOTHING
        while self._size_bytes > self._limit_bytes:
            dropped += self._drop_fragment()
        return dropped

    def expire(self, now_ns: int) -> Dropped:
        """Drop what has waited too long, and what is of no use without it."""
        dropped = NOTHING
        while self._items and now_ns - self._items[0].queued_ns > self._max_age_ns:
            dropped += self._drop_fragment()
        return dropped

    def take(self) -> Outgoing | None:
        """Return the oldest record, or None."""
        if not self._items:
            return None
        item = self._items.popleft()
        self._size_bytes -= item.size_bytes
        return item

    def clear(self) -> Dropped:
        """Drop everything; the next media chunk taken is one with a key picture."""
        dropped = NOTHING
        while self._items:
            dropped += self._drop()
        self._needs_key = self._fresh = True
        return dropped

    def _append(self, item: Outgoing) -> None:
        self._items.append(item)
        self._size_bytes += item.size_bytes

    def _drop(self) -> Dropped:
        item = self._items.popleft()
        self._size_bytes -= item.size_bytes
        return _count(item)

    def _drop_fragment(self) -> Dropped:
        """Drop the oldest record and all that follow it up to the next key picture."""
        dropped = self._drop()
        while self._items and not self._items[0].key:
            dropped += self._drop()
        self._needs_key |= not self._items
        return dropped


def _count(item: Outgoing) -> Dropped:
    return Dropped(1, item.size_bytes)
