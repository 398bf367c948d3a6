"""What a microphone is to the rest of the project."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """What the microphone is asked to deliver: interleaved signed 16-bit little-endian PCM."""

    sample_rate: int = 48_000
    channels: int = 1


@dataclass(frozen=True, slots=True)
class PcmBlock:
    """Some 20 ms of sound."""

    data: bytes
    """Interleaved s16le samples, a whole number of sample frames."""
    capture_ns: int
    """When the first sample was heard, in the domain of `time.monotonic_ns()`."""
    overflowed: bool = False
    """The driver knows that samples just before this block were lost."""


PcmSink = Callable[[PcmBlock], None]
"""Called per block on the driver's own thread. It hands over and returns; it never blocks, never raises."""


class Microphone(Protocol):
    """A microphone. `start` and `stop` may be called again and again; `close` is final and idempotent."""

    @property
    def name(self) -> str:
        """A short name for logs and the journal, such as ``pyaudio`` or ``synthetic``."""
        ...

    @property
    def present(self) -> bool:
        """False for the disabled driver: silence is then expected, not a fault."""
        ...

    def start(self, fmt: AudioFormat, sink: PcmSink) -> None:
        """Begin to listen.

        Raises:
            DriverError: the microphone is absent, busy, or cannot do this format.
        """
        ...

    def stop(self) -> None:
        """Stop listening. After it returns `sink` is not called again. Idempotent; safe after a fault."""
        ...

    def fault(self) -> str | None:
        """One line saying why the microphone stopped by itself, or None while nothing is known to be wrong."""
        ...

    def close(self) -> None:
        """Stop, and give the hardware back. Idempotent."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
