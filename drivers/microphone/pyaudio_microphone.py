"""A sound card's microphone, through PyAudio (PortAudio). PyAudio is imported when it is first started."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from drivers.bounded import call_bounded
from drivers.delivery import Delivery
from drivers.errors import DriverError, DriverUnavailableError
from drivers.microphone.protocol import AudioFormat, PcmBlock, PcmSink
from drivers.stream_clock import StreamClock

BLOCK_MS = 20
FIRST_BLOCK_NS = 3_000_000_000
STALL_NS = 1_000_000_000
STOP_TIMEOUT_S = 3.0
LONGEST_DELAY_NS = 2_000_000_000
"""No sound card holds samples back longer; a larger figure is a driver's error."""


def load_pyaudio() -> Any:
    """Import PyAudio.

    Raises:
        DriverUnavailableError: PyAudio or PortAudio is not installed.
    """
    try:
        return importlib.import_module("pyaudio")
    except ImportError as error:
        raise DriverUnavailableError(
            f"microphone: PyAudio cannot be imported ({error}); install the system package libportaudio2 and this "
            "project's extra 'device'"
        ) from error


class PyAudioMicrophone:
    """An input of PortAudio. Implements `drivers.microphone.protocol.Microphone`."""

    def __init__(
        self,
        *,
        device: str | None = None,
        load: Callable[[], Any] = load_pyaudio,
        stall_ns: int = STALL_NS,
        now: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Choose the input whose name contains `device`; None is the machine's default input."""
        self._device = device
        self._load = load
        self._now = now
        self._delivery: Delivery[PcmBlock] = Delivery(
            "microphone", "sound", first_ns=FIRST_BLOCK_NS, stall_ns=stall_ns, now=now
        )
        self._lock = threading.Lock()  # start, stop and close, one at a time
        self._audio: Any = None
        self._stream: Any = None
        self._receiver: _Receiver | None = None
        self._lost: str | None = None
        self._closed = False

    @property
    def name(self) -> str:
        """``pyaudio``."""
        return "pyaudio"

    @property
    def present(self) -> bool:
        """True: its silence is a fault."""
        return True

    @property
    def overflows(self) -> int:
        """How often PortAudio has reported lost samples since the last start."""
        return self._receiver.overflows if self._receiver is not None else 0

    def start(self, fmt: AudioFormat, sink: PcmSink) -> None:
        """Begin to listen; see the protocol.

        Raises:
            DriverUnavailableError: PyAudio is not installed.
            DriverError: the input is absent, busy, closed, running already, or cannot do this format.
        """
        with self._lock:
            if self._closed:
                raise DriverError("microphone: it was closed; make a new one")
            if self._lost is not None:
                raise DriverError(self._lost)
            if self._stream is not None:
                raise DriverError("microphone: it is running already; stop it first")
            try:
                self._start(fmt, sink)
            except Exception as error:
                self._delivery.close()
                self._let_go()
                if isinstance(error, DriverError):
                    raise
                raise DriverError(
                    f"microphone: {fmt.sample_rate} Hz with {fmt.channels} channel(s) cannot be opened "
                    f"({type(error).__name__}: {error}); check that it is plugged in and not in use (arecord -l)"
                ) from error

    def stop(self) -> None:
        """Stop listening. Idempotent; see the protocol."""
        with self._lock:
            self._stop()

    def fault(self) -> str | None:
        """One line saying why no sound comes, or None."""
        return self._lost or self._delivery.fault()

    def close(self) -> None:
        """Stop, and give the input back. Idempotent."""
        with self._lock:
            self._stop()
            self._let_go()
            self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def _start(self, fmt: AudioFormat, sink: PcmSink) -> None:
        pyaudio = self._load()
        # PortAudio lists devices once, when it is initialised: a new one at each start sees what was plugged in since.
        self._audio = pyaudio.PyAudio()
        index = None if self._device is None else _find_input(self._audio, self._device)
        receiver = _Receiver(
            self._delivery, fmt, overflow=pyaudio.paInputOverflow, carry_on=pyaudio.paContinue, now=self._now
        )
        self._receiver = receiver
        self._delivery.open(sink)
        self._stream = self._audio.open(
            rate=fmt.sample_rate,
            channels=fmt.channels,
            format=pyaudio.paInt16,
            input=True,
            input_device_index=index,
            frames_per_buffer=fmt.sample_rate * BLOCK_MS // 1000,
            stream_callback=receiver.take,
        )

    def _stop(self) -> None:
        # Closed first: what PortAudio still hands over while it drains is of after the stop.
        self._delivery.close()
        self._let_go()

    def _let_go(self) -> None:
        """Close stream and PortAudio, if they still answer."""
        stream, self._stream = self._stream, None
        audio, self._audio = self._audio, None
        if self._lost is not None:
            return

        def halt() -> None:
            try:
                if stream is not None:
                    stream.close()
            finally:
                if audio is not None:
                    audio.terminate()

        if stream is None and audio is None:
            return
        try:
            call_bounded("microphone-stop", halt, STOP_TIMEOUT_S)
        except DriverError as error:
            self._lost = f"microphone: {error}"


class _Receiver:
    """PortAudio's callback: copies a block, dates it, hands it over. Runs on PortAudio's thread."""

    def __init__(
        self,
        delivery: Delivery[PcmBlock],
        fmt: AudioFormat,
        *,
        overflow: int,
        carry_on: int,
        now: Callable[[], int],
    ) -> None:
        self._delivery = delivery
        self._sample_rate = fmt.sample_rate
        self._overflow = overflow
        self._carry_on = carry_on
        self._now = now
        self._clock = StreamClock()
        self.overflows = 0

    def take(self, data: bytes | None, frames: int, time_info: Mapping[str, float], status: int) -> tuple[None, int]:
        """Take one block. An exception here would abort the stream, so none may leave."""
        now_ns = self._now()
        overflowed = bool(status & self._overflow)
        self.overflows += overflowed
        if data is not None:
            capture_ns = self._capture_ns(frames, time_info, now_ns)
            self._delivery.give(PcmBlock(bytes(data), capture_ns, overflowed))
        return None, self._carry_on

    def _capture_ns(self, frames: int, time_info: Mapping[str, float], now_ns: int) -> int:
        """Date a block's first sample.

        PortAudio says by the sound card's driver's clock (not always the monotonic one) what time it is, and when the
        first sample reached the converter. Some drivers leave one or both at zero: then the block is taken to have
        ended now. Later it cannot have ended either way; the first blocks of some drivers claim so.
        """
        block_ns = frames * 1_000_000_000 // self._sample_rate
        heard_s = time_info.get("input_buffer_adc_time", 0.0)
        current_s = time_info.get("current_time", 0.0)
        delay_ns = round((current_s - heard_s) * 1e9)
        if heard_s <= 0 or current_s <= 0 or not 0 <= delay_ns <= LONGEST_DELAY_NS:
            return now_ns - block_ns
        return min(self._clock.to_monotonic_ns(round(current_s * 1e9), now_ns) - delay_ns, now_ns - block_ns)


def _find_input(audio: Any, device: str) -> int:
    """Find the input whose name contains `device`, case ignored.

    Raises:
        DriverError: there is none.
    """
    names: list[str] = []
    for index in range(audio.get_device_count()):
        info = audio.get_device_info_by_index(index)
        if info["maxInputChannels"] > 0:
            names.append(str(info["name"]))
            if device.lower() in names[-1].lower():
                return index
    present = ", ".join(names) or "none at all"
    raise DriverError(f"microphone: no input is called {device!r}; present: {present}")
