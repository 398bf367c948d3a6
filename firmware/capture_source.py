"""What the recorder needs of `capture.Capture`."""

from __future__ import annotations

from typing import Protocol

from capture.chunk import CmafChunk, Gap


class CaptureSource(Protocol):
    """Camera and microphone of one recording; all on one thread."""

    @property
    def init_segment(self) -> bytes:
        """The MP4 header, once a chunk was read."""
        ...

    def start(self) -> None:
        """Start camera and microphone."""
        ...

    def read(self, timeout_s: float) -> CmafChunk | None:
        """Return the next chunk, or None: after the time-out, or at once when `ended`."""
        ...

    @property
    def ended(self) -> bool:
        """Everything was read after a stop."""
        ...

    @property
    def pending_gaps(self) -> tuple[Gap, ...]:
        """Gaps that no chunk carries."""
        ...

    def request_stop(self) -> None:
        """Stop camera and microphone; what was captured can still be read."""
        ...

    def close(self) -> None:
        """Let go of both. Idempotent."""
        ...
