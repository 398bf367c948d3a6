"""A camera without hardware: draws a moving scene with a time code and really encodes it, paced by the clock.

Frame `k` is taken at `epoch_ns + k / frame_rate`, so that a flash falls exactly on each whole second of the epoch; a
microphone given the same epoch beeps at that very instant. `k` is what the time code shows: it goes on over a restart.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import Self

import av
from av.video.codeccontext import VideoCodecContext

from drivers.camera.protocol import AccessUnit, AccessUnitSink, VideoFormat
from drivers.errors import DriverError, DriverUnavailableError

try:
    from drivers.camera.scene import Scene
except ModuleNotFoundError as error:
    raise DriverUnavailableError(
        f"camera synthetic: {error.name} is not installed here; install the dev extra or choose another camera"
    ) from error

_SECOND_NS = 1_000_000_000
_LATEST_NS = _SECOND_NS
"""A camera further behind than this has lost the frames it could not take."""
_STOP_S = 5.0
_BT709 = 1
_LIMITED_RANGE = 1


@dataclass(frozen=True, slots=True)
class CameraFault:
    """What goes wrong during one run, from `start` to `stop`. Frames are counted from the run's first."""

    stall_after: int | None = None
    """Deliver this many frames, then nothing more, and say nothing."""
    die_after: int | None = None
    """Deliver this many frames, then end with a fault."""
    lose: frozenset[int] = frozenset()
    """Frames that never reach the encoder."""
    refuse: bool = False
    """`start` raises."""


class SyntheticCamera:
    """A simulated camera that implements `drivers.camera.protocol.Camera` and encodes with x264.

    `faults[n]` is what goes wrong in the n-th run; runs beyond the last are clean. Owns the thread
    ``camera-synthetic`` while it runs.
    """

    def __init__(self, *, epoch_ns: int | None = None, faults: Sequence[CameraFault] = (), threads: int = 2) -> None:
        self._epoch_ns = time.monotonic_ns() if epoch_ns is None else epoch_ns
        self._faults = list(faults)
        self._threads = threads
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._fault: str | None = None
        self._closed = False

    @property
    def name(self) -> str:
        """The driver's name."""
        return "synthetic"

    def start(self, fmt: VideoFormat, sink: AccessUnitSink) -> None:
        """Begin to encode; the first access unit handed over is a key picture.

        Raises:
            DriverError: closed, already running, told to refuse, or x264 refuses the format.
        """
        if self._closed:
            raise DriverError("camera synthetic: closed; make a new one")
        if self._thread is not None:
            raise DriverError("camera synthetic: already running; stop it first")
        fault = self._faults.pop(0) if self._faults else CameraFault()
        if fault.refuse:
            raise DriverError("camera synthetic: refused to start, as this simulation was told to")
        self._fault = None
        self._stop.clear()
        run = _Run(fmt, sink, self._epoch_ns, fault, self._stop, self._threads)
        self._thread = threading.Thread(target=self._run, args=(run,), name="camera-synthetic", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop encoding. After it returns the sink is not called again. Idempotent; safe after a fault.

        Raises:
            DriverError: the thread did not end within 5 s.
        """
        self._stop.set()
        thread = self._thread
        if thread is not None:
            thread.join(_STOP_S)
            if thread.is_alive():
                raise DriverError(f"camera synthetic: did not stop within {_STOP_S:g} s; end the process")
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

    def _run(self, run: _Run) -> None:
        try:
            self._fault = run.until_stopped()
        except (av.FFmpegError, MemoryError) as error:
            self._fault = f"camera synthetic: the encoder failed: {error}"


class _Run:
    """One run of the camera, on its own thread."""

    def __init__(
        self,
        fmt: VideoFormat,
        sink: AccessUnitSink,
        epoch_ns: int,
        fault: CameraFault,
        stop: threading.Event,
        threads: int,
    ) -> None:
        self._fmt = fmt
        self._sink = sink
        self._epoch_ns = epoch_ns
        self._fault = fault
        self._stop = stop
        self._encoder = open_encoder(fmt, threads)
        self._scene = Scene(fmt.width, fmt.height, fmt.frame_rate)

    def until_stopped(self) -> str | None:
        """Encode until told to stop; returns the fault it ended with, if any."""
        fault = self._fault
        first = number = self._next_frame()
        while not self._stop.is_set():
            count = number - first
            if fault.die_after is not None and count >= fault.die_after:
                return "camera synthetic: died, as this simulation was told to"
            if fault.stall_after is not None and count >= fault.stall_after:
                self._stop.wait()
                return None
            capture_ns = self._capture_ns(number)
            wait_ns = capture_ns - time.monotonic_ns()
            if wait_ns > 0 and self._stop.wait(wait_ns / _SECOND_NS):
                return None
            if -wait_ns > _LATEST_NS:
                number = self._next_frame()
                continue
            if count not in fault.lose:
                self._encode(number, count, capture_ns)
            number += 1
        return None

    def _encode(self, number: int, count: int, capture_ns: int) -> None:
        picture = self._scene.draw(number)
        picture.pts = count
        picture.time_base = Fraction(1, self._fmt.frame_rate)
        for packet in self._encoder.encode(picture):
            self._sink(AccessUnit(bytes(packet), capture_ns, packet.is_keyframe))

    def _capture_ns(self, number: int) -> int:
        return self._epoch_ns + number * _SECOND_NS // self._fmt.frame_rate

    def _next_frame(self) -> int:
        """The number of the first frame still to come."""
        elapsed_ns = max(0, time.monotonic_ns() - self._epoch_ns)
        return elapsed_ns * self._fmt.frame_rate // _SECOND_NS + 1


def open_encoder(fmt: VideoFormat, threads: int = 1) -> VideoCodecContext:
    """Open x264 for a live stream: Annex B, parameter sets before each IDR picture, closed GOPs, no B-frames, BT.709.

    Raises:
        DriverError: x264 refuses the format.
    """
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height = fmt.width, fmt.height
    encoder.pix_fmt = "yuv420p"
    encoder.time_base = Fraction(1, fmt.frame_rate)
    encoder.framerate = Fraction(fmt.frame_rate)
    encoder.bit_rate = fmt.bitrate_bps
    encoder.thread_count = threads
    encoder.color_primaries = encoder.color_trc = encoder.colorspace = _BT709
    encoder.color_range = _LIMITED_RANGE
    kbps = fmt.bitrate_bps // 1000
    x264 = {
        "annexb": 1,
        "repeat-headers": 1,
        "bframes": 0,
        "open-gop": 0,
        "scenecut": 0,
        "keyint": fmt.key_interval,
        "min-keyint": fmt.key_interval,
        "vbv-maxrate": kbps,
        "vbv-bufsize": kbps,
    }
    encoder.options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "x264-params": ":".join(f"{key}={value}" for key, value in x264.items()),
    }
    try:
        encoder.open()
    except av.FFmpegError as error:
        raise DriverError(
            f"camera synthetic: x264 refuses {fmt.width}x{fmt.height} at {fmt.frame_rate}/s; choose an even size"
        ) from error
    return encoder
