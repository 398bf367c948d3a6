"""A sound card made of ALSA plug-ins: real PortAudio and alsa-lib, with samples that a paced writer feeds to a FIFO."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

BLOCK_MS = 20

_CONFIGURATION = """</usr/share/alsa/alsa.conf>
pcm.!default {{
    type file
    slave.pcm "null"
    file "/dev/null"
    infile "{fifo}"
    format "raw"
}}
"""

Samples = Callable[[int, int], NDArray[np.int16]]
"""Makes `count` samples from sample number `first` on."""


def ramp(first: int, count: int) -> NDArray[np.int16]:
    """Count: each sample is its own number, in 16 bits."""
    return (np.arange(first, first + count) & 0xFFFF).astype(np.uint16).view(np.int16)


def tone(frequency_hz: float, sample_rate: int) -> Samples:
    """Make a sine of half the full scale."""

    def samples(first: int, count: int) -> NDArray[np.int16]:
        phase = 2 * np.pi * frequency_hz * np.arange(first, first + count) / sample_rate
        return (16_384 * np.sin(phase)).astype(np.int16)

    return samples


class SoundCard:
    """One channel of s16le. As with a card, what nobody fetches in time is lost; `lost_blocks` counts it."""

    def __init__(self, folder: Path, *, sample_rate: int, buffer_bytes: int, samples: Samples = ramp) -> None:
        """Make the FIFO and ALSA's configuration in `folder`; `buffer_bytes` is rounded up to whole pages."""
        self.configuration = folder / "asound.conf"
        fifo = folder / "microphone"
        self.configuration.write_text(_CONFIGURATION.format(fifo=fifo), encoding="utf-8")
        os.mkfifo(fifo)
        # Opened for both directions, so that neither side ever waits for the other to open it.
        self._pipe = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
        fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, buffer_bytes)
        self._sample_rate = sample_rate
        self.samples = samples
        self.plugged = threading.Event()
        """Clear it, and no more samples come."""
        self.plugged.set()
        self.written_samples = 0
        self.lost_blocks = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sound-card", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._stop.set()
        self._thread.join()
        os.close(self._pipe)

    def _run(self) -> None:
        count = self._sample_rate * BLOCK_MS // 1000
        number = 0
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due += BLOCK_MS / 1000
            block = self.samples(number, count).tobytes()
            number += count
            if not self.plugged.is_set():
                continue
            try:
                if os.write(self._pipe, block) != len(block):
                    raise AssertionError("a FIFO takes a block of less than a page whole or not at all")
                self.written_samples += count
            except BlockingIOError:
                self.lost_blocks += 1
