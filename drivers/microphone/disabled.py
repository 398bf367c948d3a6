"""No microphone. The recorder runs on, silent by choice rather than by fault."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from drivers.microphone.protocol import AudioFormat, PcmSink


class DisabledMicrophone:
    """A microphone that is not there, and is not missed. Implements `drivers.microphone.protocol.Microphone`."""

    @property
    def name(self) -> str:
        """``disabled``."""
        return "disabled"

    @property
    def present(self) -> bool:
        """False: silence is expected."""
        return False

    def start(self, fmt: AudioFormat, sink: PcmSink) -> None:
        """Do nothing: `sink` is never called."""

    def stop(self) -> None:
        """Do nothing."""

    def fault(self) -> str | None:
        """None: nothing can go wrong."""
        return None

    def close(self) -> None:
        """Do nothing: it holds nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()
