"""A microphone without hardware: a beep at each whole second of the epoch over quiet noise, paced by the clock.

The beep starts at the very sample that is heard at `epoch_ns + n` seconds; a camera given the same epoch flashes then.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from drivers.errors import DriverError, DriverUnavailableError
from drivers.microphone.protocol import AudioFormat, PcmBlock, PcmSink

try:
    import numpy as np
    from numpy.typing import NDArray
except ModuleNotFoundError as error:
    raise DriverUnavailableError(
        f"microphone synthetic: {error.name} is not installed here; install the dev extra or choose another microphone"
    ) from error

_SECOND_NS = 1_000_000_000
_BLOCKS_PER_SECOND = 50
_LATEST_NS = _SECOND_NS
"""A sound card holds no more than this; what is older was overwritten."""
_STOP_S = 5.0
_SEED = 7
BEEP_HZ = 1_000
BEEP_S = 0.05
_BEEP_PEAK = 16_000
_NOISE_PEAK = 20
_TONE_PEAK = 1_500
"""A buzzer nearby: clearly heard, and far below the beep that tells the seconds."""


@dataclass(frozen=True, slots=True)
class MicrophoneFault:
    """What goes wrong during one run, from `start` to `stop`. Blocks are counted from the run's first."""

    stall_after: int | None = None
    """Deliver this many blocks, then nothing more, and say nothing."""
    die_after: int | None = None
    """Deliver this many blocks, then end with a fault."""
    overflow: frozenset[int] = frozenset()
    """Blocks that are lost; the next one delivered says so."""
    refuse: bool = False
    """`start` raises."""


class SyntheticMicrophone:
    """A simulated microphone that implements `drivers.microphone.protocol.Microphone`.

    `faults[n]` is what goes wrong in the n-th run; runs beyond the last are clean. `drift_ppm` is how much too fast
    the sample clock runs. Owns the thread ``microphone-synthetic`` while it runs.
    """

    def __init__(
        self, *, epoch_ns: int | None = None, drift_ppm: float = 0.0, faults: Sequence[MicrophoneFault] = ()
    ) -> None:
        self._epoch_ns = time.monotonic_ns() if epoch_ns is None else epoch_ns
        self._drift_ppm = drift_ppm
        self._faults = list(faults)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._fault: str | None = None
        self._tone_hz = 0
        self._unplugged = False
        self._closed = False

    @property
    def name(self) -> str:
        """The driver's name."""
        return "synthetic"

    @property
    def present(self) -> bool:
        """A synthetic microphone is always there."""
        return True

    def hear(self, time_ns: int, tone_hz: int) -> None:
        """Take note that a buzzer nearby sounds that tone from `time_ns` on; 0 is silence. Thread-safe."""
        del time_ns  # the next block is soon enough
        self._tone_hz = tone_hz

    def unplug(self, unplugged: bool = True) -> None:
        """Break the microphone: it dies at once, and cannot be started until it is plugged in again."""
        self._unplugged = unplugged

    def start(self, fmt: AudioFormat, sink: PcmSink) -> None:
        """Begin to listen.

        Raises:
            DriverError: closed, already running, or told to refuse.
        """
        if self._closed:
            raise DriverError("microphone synthetic: closed; make a new one")
        if self._thread is not None:
            raise DriverError("microphone synthetic: already running; stop it first")
        fault = self._faults.pop(0) if self._faults else MicrophoneFault()
        if self._unplugged:
            raise DriverError("microphone synthetic: it is unplugged; plug it in")
        if fault.refuse:
            raise DriverError("microphone synthetic: refused to start, as this simulation was told to")
        self._fault = None
        self._stop.clear()
        voice = Voice(fmt, self._epoch_ns, self._drift_ppm)
        self._thread = threading.Thread(
            target=self._run, args=(voice, sink, fault), name="microphone-synthetic", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop listening. After it returns the sink is not called again. Idempotent; safe after a fault.

        Raises:
            DriverError: the thread did not end within 5 s.
        """
        self._stop.set()
        thread = self._thread
        if thread is not None:
            thread.join(_STOP_S)
            if thread.is_alive():
                raise DriverError(f"microphone synthetic: did not stop within {_STOP_S:g} s; end the process")
            self._thread = None

    def fault(self) -> str | None:
        """Why it stopped by itself, or None."""
        return self._fault

    def close(self) -> None:
        """Stop for good. Idempotent."""
        self._closed = True
        self.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def _run(self, voice: Voice, sink: PcmSink, fault: MicrophoneFault) -> None:
        first = number = voice.next_block(time.monotonic_ns())
        overflowed = False
        while not self._stop.is_set():
            count = number - first
            if self._unplugged:
                self._fault = "microphone synthetic: it was unplugged"
                return
            if fault.die_after is not None and count >= fault.die_after:
                self._fault = "microphone synthetic: died, as this simulation was told to"
                return
            if fault.stall_after is not None and count >= fault.stall_after:
                self._stop.wait()
                return
            # A block can be handed over only once its last sample was heard: when the next one begins.
            wait_ns = voice.capture_ns(number + 1) - time.monotonic_ns()
            if wait_ns > 0 and self._stop.wait(wait_ns / _SECOND_NS):
                return
            if -wait_ns > _LATEST_NS:
                number, overflowed = voice.next_block(time.monotonic_ns()), True
                continue
            if count in fault.overflow:
                overflowed = True
            else:
                sink(PcmBlock(voice.block(number, self._tone_hz), voice.capture_ns(number), overflowed))
                overflowed = False
            number += 1


class Voice:
    """What the microphone hears: block `k` holds the `size` samples from sample `k * size` of the epoch on."""

    def __init__(self, fmt: AudioFormat, epoch_ns: int, drift_ppm: float = 0.0) -> None:
        self._channels = fmt.channels
        self._epoch_ns = epoch_ns
        self._rate = fmt.sample_rate * (1 + drift_ppm / 1e6)
        self.size = fmt.sample_rate // _BLOCKS_PER_SECOND
        dice = np.random.default_rng(_SEED)
        self._noise = dice.integers(-_NOISE_PEAK, _NOISE_PEAK, fmt.sample_rate + self.size).astype(np.int16)
        count = int(BEEP_S * fmt.sample_rate)
        self._beep = (_BEEP_PEAK * np.sin(np.arange(count) * (2 * np.pi * BEEP_HZ / self._rate))).astype(np.int16)

    def capture_ns(self, number: int) -> int:
        """When the first sample of block `number` is heard."""
        return self._epoch_ns + round(number * self.size * _SECOND_NS / self._rate)

    def next_block(self, now_ns: int) -> int:
        """The number of the first block that begins after `now_ns`."""
        elapsed_s = max(0, now_ns - self._epoch_ns) / _SECOND_NS
        return int(elapsed_s * self._rate / self.size) + 1

    def block(self, number: int, tone_hz: int = 0) -> bytes:
        """The samples of block `number`, interleaved s16le, with a buzzer's tone behind them."""
        start = number * self.size
        offset = start % (self._noise.size - self.size)
        samples: NDArray[np.int16] = self._noise[offset : offset + self.size].copy()
        last_second = int((start + self.size) / self._rate)
        for second in range(max(0, last_second - 1), last_second + 1):
            onset = -int(-second * self._rate // 1) - start
            low, high = max(0, onset), min(self.size, onset + self._beep.size)
            if low < high:
                samples[low:high] += self._beep[low - onset : high - onset]
        if tone_hz:
            at = np.arange(start, start + self.size) * (2 * np.pi * tone_hz / self._rate)
            samples += (_TONE_PEAK * np.sin(at)).astype(np.int16)
        return np.repeat(samples, self._channels).tobytes()
