"""The queue between the drivers' threads and the reader: bounded in bytes, never blocking a driver.

Everything that cannot be used is dropped here, and counted; the next picture or block that is taken carries the count
and the cause, so that a gap has one source of truth: the reader, who sees how long it was.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from capture.chunk import NO_KEY, OVERFLOW, TIMESTAMP
from capture.limits import Limits
from drivers.camera.protocol import AccessUnit
from drivers.microphone.protocol import PcmBlock

_FUTURE_NS = 1_000_000_000
_PAST_NS = 10_000_000_000
"""A picture or block from further in the future or the past than this, when it comes, has a wrong time."""
_LOOK_S = 0.1
"""The reader looks this often. To wake it for each picture and block would cost more than all the rest of its work."""
_AT_ONCE = 32
_ITEM_BYTES = 256
"""What an item costs beyond its data; also bounds a flood of empty ones."""


@dataclass(frozen=True, slots=True)
class TakenPicture:
    """A picture, and what was dropped before it."""

    unit: AccessUnit
    came_ns: int
    lost: int
    cause: str | None


@dataclass(frozen=True, slots=True)
class TakenBlock:
    """A block of sound, and why blocks before it are missing, if any are."""

    block: PcmBlock
    came_ns: int
    cause: str | None


class Intake:
    """One merged queue in order of arrival, for any number of writers and one reader."""

    def __init__(self, limits: Limits, clock: Callable[[], int]) -> None:
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._items: deque[TakenPicture | TakenBlock] = deque()
        self._video_bytes = 0
        self._audio_bytes = 0
        self._need_key: str | None = NO_KEY
        self._last_capture_ns: int | None = None
        self._lost = 0
        self._video_cause: str | None = None
        self._audio_cause: str | None = None
        self._shut = False
        self.frames = 0
        self.dropped_frames = 0
        self.dropped_blocks = 0
        self.highest_bytes = 0
        self.last_block: PcmBlock | None = None

    def put_video(self, unit: AccessUnit) -> bool:
        """Offer a picture; false when its time or its place in the stream makes it unusable."""
        now_ns = self._clock()
        with self._lock:
            if self._shut:
                return False
            cause = self._objection(unit, now_ns)
            size = len(unit.data) + _ITEM_BYTES
            if cause is None and self._video_bytes + size > self._limits.video_queue_bytes:
                cause = OVERFLOW
            if cause is not None:
                self.dropped_frames += 1
                self._lost += 1
                self._video_cause = self._video_cause or cause
                # What follows refers to what is now missing.
                self._need_key = self._need_key or cause
                return cause == OVERFLOW
            self._items.append(TakenPicture(unit, now_ns, self._lost, self._video_cause))
            self._need_key = self._video_cause = None
            self._lost = 0
            self._last_capture_ns = unit.capture_ns
            self._video_bytes += size
            self.frames += 1
            self._added()
            return True

    def put_audio(self, block: PcmBlock) -> bool:
        """Offer a block of sound; false when its time makes it unusable."""
        now_ns = self._clock()
        with self._lock:
            if self._shut:
                return False
            size = len(block.data) + _ITEM_BYTES
            cause = None if _credible(block.capture_ns, now_ns) else TIMESTAMP
            if cause is None and self._audio_bytes + size > self._limits.audio_queue_bytes:
                cause = OVERFLOW
            if cause is not None:
                self.dropped_blocks += 1
                self._audio_cause = self._audio_cause or cause
                return cause == OVERFLOW
            self.last_block = block
            self._items.append(TakenBlock(block, now_ns, self._audio_cause))
            self._audio_cause = None
            self._audio_bytes += size
            self._added()
            return True

    def video_restarted(self, cause: str) -> None:
        """The camera is started again: what it delivered stands for itself, a key picture comes first."""
        with self._lock:
            self._video_cause = self._need_key = cause

    def audio_restarted(self, cause: str) -> None:
        """The microphone is started again."""
        with self._lock:
            self._audio_cause = cause

    def damaged(self) -> None:
        """A picture taken from here could not be used; its loss is the reader's to tell."""
        with self._lock:
            self.dropped_frames += 1

    def shut(self) -> None:
        """Take nothing more in; what is here can still be taken out."""
        with self._lock:
            self._shut = True

    def untold(self) -> tuple[int, str | None, str | None]:
        """What was dropped since the last picture and block were let in: pictures, and the causes for both."""
        with self._lock:
            return self._lost, self._video_cause, self._audio_cause

    @property
    def waiting(self) -> bool:
        """Something is there to be taken."""
        return bool(self._items)

    def take(self, timeout_s: float) -> list[TakenPicture | TakenBlock]:
        """A few of the oldest items; none when none come within `timeout_s`, at the next look, or before `wake`."""
        if not self._items and timeout_s > 0 and not self._woken.is_set():
            self._woken.wait(min(timeout_s, _LOOK_S))
        self._woken.clear()
        with self._lock:
            items = [self._items.popleft() for _ in range(min(_AT_ONCE, len(self._items)))]
            for item in items:
                if isinstance(item, TakenPicture):
                    self._video_bytes -= len(item.unit.data) + _ITEM_BYTES
                else:
                    self._audio_bytes -= len(item.block.data) + _ITEM_BYTES
        return items

    def wake(self) -> None:
        """Let a waiting reader look again."""
        self._woken.set()

    def _objection(self, unit: AccessUnit, now_ns: int) -> str | None:
        if self._need_key is not None and not unit.key:
            return self._need_key
        last_ns = self._last_capture_ns
        if last_ns is not None and unit.capture_ns <= last_ns:
            return TIMESTAMP
        return None if _credible(unit.capture_ns, now_ns) else TIMESTAMP

    def _added(self) -> None:
        self.highest_bytes = max(self.highest_bytes, self._video_bytes + self._audio_bytes)


def _credible(capture_ns: int, now_ns: int) -> bool:
    return now_ns - _PAST_NS <= capture_ns <= now_ns + _FUTURE_NS
