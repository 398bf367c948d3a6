"""Between the recorder's threads and the "mqtt" thread: the queue, the openings, and what is under way.

The lock is held for a moment only, never over the network or the disk: what offers a chunk hands it over and returns.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from storage.chain import Tip
from storage.layout import Flags, Kind, parse_header
from storage.seal import SealedChunk
from uplink.live.queue import NOTHING, Dropped, LiveQueue, Outgoing

_JOURNAL = bytes(16)


@dataclass(frozen=True, slots=True)
class OutboxLimits:
    """Bounds on what waits."""

    queue_bytes: int = 8 * 1024 * 1024
    max_age_ns: int = 6_000_000_000


class Outbox:
    """What waits to be published. Thread-safe."""

    def __init__(self, limits: OutboxLimits = OutboxLimits()) -> None:
        self._lock = threading.Lock()
        self._queue = LiveQueue(limits.queue_bytes, limits.max_age_ns)
        self._open = False
        self._preview = False
        self._tip: Tip | None = None
        self._opening: Outgoing | None = None
        """Of the recording's segment that is open."""
        self._openings: dict[int, Outgoing] = {}
        """Of the segments of which something may wait."""
        self._pending_previews: dict[tuple[int, int], Outgoing] = {}
        """Sealed before their chunk is durable; at most a few, as the store's own queue is bounded."""
        self._dropped = NOTHING

    def allow(self, on: bool) -> None:
        """Let chunks in from now on, beginning with a key picture; or throw out all that waits."""
        with self._lock:
            if on is not self._open:
                self._open = on
                self._queue.clear()
                self._pending_previews.clear()
                self._openings = {self._opening.segment: self._opening} if on and self._opening else {}

    def set_preview(self, on: bool) -> Dropped:
        """Take previews in the place of media, or media again; what waits is dropped."""
        with self._lock:
            if on is self._preview:
                return NOTHING
            self._preview = on
            self._pending_previews.clear()
            return self._queue.clear()

    @property
    def wants_previews(self) -> bool:
        """Whether previews are to be made at all."""
        return self._open and self._preview

    def durable(self, chunk: SealedChunk, now_ns: int) -> bool:
        """Take note of a chunk that is on flash; return whether there is something to send."""
        previous, self._tip = self._tip, chunk.tip
        if chunk.kind is Kind.OPENING:
            self._began(chunk, now_ns)
            return False
        with self._lock:
            if chunk.kind is Kind.CLOSING:
                opening, self._opening = self._opening, None
            else:
                opening = self._opening
            if opening is None or not self._open:
                return False
            preview = self._pending_previews.pop((chunk.segment, chunk.number), None)
            if self._preview:
                if preview is not None:
                    self._dropped += self._queue.put(preview)
                return preview is not None
            # A copy: the buffer goes back to its pool when this returns.
            payload = b"".join(chunk.buffers)
            key = chunk.kind is Kind.MEDIA and bool(parse_header(chunk.head).flags & Flags.KEY)
            item = Outgoing(chunk.segment, chunk.number, chunk.kind, key, payload, previous, now_ns)
            self._dropped += self._queue.put(item)
            return True

    def preview(self, segment: int, number: int, record: bytes, now_ns: int) -> None:
        """Take a preview; it goes out when its chunk is durable."""
        with self._lock:
            if self.wants_previews:
                item = Outgoing(segment, number, Kind.MEDIA, True, record, None, now_ns, preview=True)
                self._pending_previews[segment, number] = item

    def next(self, now_ns: int) -> tuple[Outgoing, Outgoing] | None:
        """Return the next record and the opening of its segment, or None."""
        with self._lock:
            self._dropped += self._queue.expire(now_ns)
            item = self._queue.take()
            if item is None:
                return None
            opening = self._openings[item.segment]
            for segment in [number for number in self._openings if number < item.segment]:
                del self._openings[segment]
            return item, opening

    def put_back(self, items: list[Outgoing]) -> None:
        """Take back what was not acknowledged when the link broke."""
        with self._lock:
            if self._open:
                self._dropped += self._queue.put_back(
                    item for item in items if item.segment in self._openings and item.preview is self._preview
                )

    def take_dropped(self, now_ns: int) -> Dropped:
        """Return what was dropped since the last call."""
        with self._lock:
            self._dropped += self._queue.expire(now_ns)
            dropped, self._dropped = self._dropped, NOTHING
            return dropped

    @property
    def size_bytes(self) -> int:
        """Of what waits."""
        with self._lock:
            return self._queue.size_bytes

    def _began(self, chunk: SealedChunk, now_ns: int) -> None:
        media = parse_header(chunk.head).place.recording != _JOURNAL
        opening = (
            Outgoing(chunk.segment, chunk.number, chunk.kind, False, b"".join(chunk.buffers), None, now_ns)
            if media
            else None
        )
        with self._lock:
            self._opening = opening
            if opening is not None and self._open:
                self._openings[opening.segment] = opening
                # Those of segments that nothing waits of are not kept: put_back drops what is older.
                keep = self._queue.segments | {opening.segment, opening.segment - 1}
                self._openings = {number: item for number, item in self._openings.items() if number in keep}
