"""Hands frames to viewers: each has its own queue, bounded in bytes; who is too slow skips to the next key picture."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from station.live.frames import Frame, FrameKind

_VIEWER_BYTES = 16 * 1024 * 1024
_WITH_PICTURES = frozenset({FrameKind.MEDIA, FrameKind.PREVIEW})


class Viewer:
    """One that watches one device. Thread-safe."""

    def __init__(self, wake: Callable[[], None], limit_bytes: int = _VIEWER_BYTES) -> None:
        """`wake` is called on the receiver's thread when there is something to take."""
        self._wake = wake
        self._limit_bytes = limit_bytes
        self._frames: deque[Frame] = deque()
        self._size_bytes = 0
        self._needs_key = True
        self._lock = threading.Lock()

    def put(self, frame: Frame) -> None:
        """Queue a frame, or skip it."""
        with self._lock:
            if frame.kind in _WITH_PICTURES:
                if self._needs_key and not (frame.key or frame.kind is FrameKind.PREVIEW):
                    return
                self._needs_key = False
                if self._size_bytes + len(frame.data) > self._limit_bytes:
                    self._frames = deque(item for item in self._frames if item.kind not in _WITH_PICTURES)
                    self._size_bytes = sum(len(item.data) for item in self._frames)
                    self._needs_key = True
                    return
            self._frames.append(frame)
            self._size_bytes += len(frame.data)
        self._wake()

    def take(self) -> list[Frame]:
        """Return all that waits."""
        with self._lock:
            frames, self._frames = list(self._frames), deque()
            self._size_bytes = 0
            return frames


class Hub:
    """Who watches whom."""

    def __init__(self) -> None:
        self._viewers: dict[bytes, list[Viewer]] = {}
        self._lock = threading.Lock()

    def show(self, device: bytes, frame: Frame) -> None:
        """Give a frame to all who watch a device."""
        with self._lock:
            viewers = list(self._viewers.get(device, ()))
        for viewer in viewers:
            viewer.put(frame)

    def join(self, device: bytes, viewer: Viewer) -> None:
        """Begin to watch."""
        with self._lock:
            self._viewers.setdefault(device, []).append(viewer)

    def leave(self, device: bytes, viewer: Viewer) -> None:
        """End watching. Idempotent."""
        with self._lock:
            viewers = self._viewers.get(device, [])
            if viewer in viewers:
                viewers.remove(viewer)
            if not viewers:
                self._viewers.pop(device, None)

    def watched(self, device: bytes) -> int:
        """How many watch a device."""
        with self._lock:
            return len(self._viewers.get(device, ()))
