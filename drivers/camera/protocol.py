"""What a camera is to the rest of the project."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """What the camera is asked to encode: constant frame rate H.264 (ITU-T H.264), no B-frames."""

    width: int
    height: int
    frame_rate: int
    bitrate_bps: int
    key_interval: int
    """Frames from one IDR picture to the next."""

    @property
    def frame_ns(self) -> int:
        """Nominal duration of one frame, in nanoseconds."""
        return 1_000_000_000 // self.frame_rate


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One coded picture as an H.264 byte stream (ITU-T H.264 Annex B), with start codes."""

    data: bytes
    capture_ns: int
    """When the picture was taken, in the domain of `time.monotonic_ns()`."""
    key: bool
    """Whether this is an IDR picture; then SPS and PPS stand before it, in band."""


AccessUnitSink = Callable[[AccessUnit], None]
"""Called once per picture on the driver's own thread. It hands over and returns; it never blocks, never raises."""


class Camera(Protocol):
    """A camera that encodes. `start` and `stop` may be called again and again; `close` is final and idempotent."""

    @property
    def name(self) -> str:
        """A short name for logs and the journal, such as ``picamera2`` or ``synthetic``."""
        ...

    def start(self, fmt: VideoFormat, sink: AccessUnitSink) -> None:
        """Begin to encode; the first access unit handed over is a key picture.

        Raises:
            DriverError: the camera is absent, busy, or cannot do this format.
        """
        ...

    def stop(self) -> None:
        """Stop encoding. After it returns `sink` is not called again. Idempotent; safe after a fault."""
        ...

    def fault(self) -> str | None:
        """One line saying why the camera stopped by itself, or None while nothing is known to be wrong."""
        ...

    def close(self) -> None:
        """Stop, and give the hardware back. Idempotent."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
