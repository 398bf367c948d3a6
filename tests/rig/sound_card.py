"""A sound card made of ALSA plug-ins: real PortAudio and alsa-lib, with samples that a paced writer feeds to a FIFO."""

from __future__ import annotations

import errno
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


def bursts(frequency_hz: float, sample_rate: int) -> Samples:
    """Make a tone in the first tenth of every second, and silence after it."""
    steady = tone(frequency_hz, sample_rate)

    def samples(first: int, count: int) -> NDArray[np.int16]:
        sounding = np.arange(first, first + count) % sample_rate < sample_rate // 10
        return steady(first, count) * sounding.astype(np.int16)

    return samples


class SoundCard:
    """One channel of s16le. Its samples begin when it is opened, with number 0.

    As with a card, what nobody fetches in time is lost; `lost_blocks` counts it.
    """

    def __init__(self, folder: Path, *, sample_rate: int, buffer_bytes: int, samples: Samples = ramp) -> None:
        """Make the FIFO and ALSA's configuration in `folder`; `buffer_bytes` is rounded up to whole pages."""
        self.configuration = folder / "asound.conf"
        self._fifo = folder / "microphone"
        self.configuration.write_text(_CONFIGURATION.format(fifo=self._fifo), encoding="utf-8")
        os.mkfifo(self._fifo)
        self._sample_rate = sample_rate
        self._buffer_bytes = buffer_bytes
        self.samples = samples
        self.plugged = threading.Event()
        """Clear it, and no more samples come."""
        self.plugged.set()
        self.began_ns = 0
        """When sample number 0 was heard, by the monotonic clock."""
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

    def _run(self) -> None:
        while not self._stop.wait(0.002):
            try:
                pipe = os.open(self._fifo, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO:  # nobody has it open for reading
                    raise
                continue
            try:
                self._feed(pipe)
            except BrokenPipeError:  # closed again
                continue
            finally:
                os.close(pipe)

    def _feed(self, pipe: int) -> None:
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, self._buffer_bytes)
        count = self._sample_rate * BLOCK_MS // 1000
        number = 0
        due = time.monotonic()
        self.began_ns = round(due * 1e9)
        while True:
            due += BLOCK_MS / 1000  # a block is handed over when its last sample was heard
            if self._stop.wait(max(0.0, due - time.monotonic())):
                return
            block = self.samples(number, count).tobytes()
            number += count
            if not self.plugged.is_set():
                continue
            try:
                if os.write(pipe, block) != len(block):
                    raise AssertionError("a FIFO takes a block of less than a page whole or not at all")
            except BlockingIOError:
                self.lost_blocks += 1
