"""The bounds of capture: of time and of memory."""

from __future__ import annotations

from dataclasses import dataclass

_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds in nanoseconds and bytes; the defaults are for a Pi."""

    chunk_ns: int = 1_000 * _MS // 3
    """A chunk is closed at the first picture at or after this length."""
    longest_chunk_ns: int = 500 * _MS
    """No track of a chunk is ever longer."""
    longest_wait_ns: int = 400 * _MS
    """A chunk whose first sample came this long ago is closed, whatever else is still missing."""
    video_queue_bytes: int = 16 << 20
    audio_queue_bytes: int = 1 << 20
    camera_silence_ns: int = 2_000 * _MS
    """A camera this long without a usable picture is started again."""
    microphone_silence_ns: int = 1_000 * _MS
    """A microphone this long without a block is dead: silence stands in, and it is started again."""
    start_up_ns: int = 10_000 * _MS
    """A first key picture must come within this time."""
    drain_ns: int = 2_000 * _MS
    """After a request to stop, drivers that do not stop in this time are no longer waited for."""
    first_backoff_ns: int = 500 * _MS
    longest_backoff_ns: int = 10_000 * _MS
    """Between two attempts to start a part again: doubles from the first to the longest."""
    audio_jump_ns: int = 100 * _MS
    """Sound further than this from its time jumps there; sound nearer is led there slowly."""
    audio_fill_ns: int = 10_000 * _MS
    """A hole in the sound longer than this is left a hole instead of being filled with silence."""

    def __post_init__(self) -> None:
        if not 0 < self.chunk_ns < self.longest_chunk_ns:
            raise ValueError("chunk_ns must lie between 0 and longest_chunk_ns")
