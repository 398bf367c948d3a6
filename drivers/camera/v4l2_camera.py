"""A webcam (Video4Linux2), read and encoded through PyAV (FFmpeg): for laptops and benches, not for the street."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import av
from av.container import InputContainer

from drivers.camera.protocol import AccessUnit, AccessUnitSink, VideoFormat
from drivers.camera.x264 import X264Encoder
from drivers.delivery import Delivery
from drivers.errors import DriverError, DriverUnavailableError
from drivers.stream_clock import StreamClock

FIRST_PICTURE_NS = 5_000_000_000
STALL_NS = 1_500_000_000
STOP_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class VideoSource:
    """What FFmpeg opens: a device, or any other input that delivers pictures at the pace of the clock."""

    url: str
    container: str = "v4l2"
    """FFmpeg's name of the input format."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Further options of that input format."""


class V4l2Camera:
    """A camera read by FFmpeg and encoded by libx264. Implements `drivers.camera.protocol.Camera`.

    The kernel stamps a webcam's pictures with the monotonic clock, and those stamps are kept.
    """

    def __init__(
        self,
        source: VideoSource | str = "/dev/video0",
        *,
        stall_ns: int = STALL_NS,
        now: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Read the webcam of that device, or whatever else a `VideoSource` says."""
        self._source = VideoSource(source) if isinstance(source, str) else source
        self._now = now
        self._delivery: Delivery[AccessUnit] = Delivery(
            "camera", "picture", first_ns=FIRST_PICTURE_NS, stall_ns=stall_ns, now=now
        )
        self._lock = threading.Lock()  # start, stop and close, one at a time
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._lost: str | None = None
        self._closed = False

    @property
    def name(self) -> str:
        """``v4l2``."""
        return "v4l2"

    def start(self, fmt: VideoFormat, sink: AccessUnitSink) -> None:
        """Begin to encode; see the protocol.

        Raises:
            DriverUnavailableError: there is no such device, or FFmpeg cannot read its kind.
            DriverError: the camera is busy, closed, running already, or cannot do this format.
        """
        with self._lock:
            if self._closed:
                raise DriverError("camera: it was closed; make a new one")
            if self._lost is not None:
                raise DriverError(self._lost)
            if self._thread is not None:
                raise DriverError("camera: it is running already; stop it first")
            container = self._open(fmt)
            try:
                encoder = X264Encoder(fmt)
            except av.FFmpegError as error:
                container.close()
                raise DriverError(f"camera: libx264 cannot encode {fmt} ({error}); choose another profile") from error
            self._stopping.clear()
            self._delivery.open(sink)
            self._thread = threading.Thread(
                target=self._run, args=(container, encoder), name="camera-v4l2", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """Stop encoding. Idempotent; see the protocol."""
        with self._lock:
            self._stop()

    def fault(self) -> str | None:
        """One line saying why no pictures come, or None."""
        return self._lost or self._delivery.fault()

    def close(self) -> None:
        """Stop, and give the camera back. Idempotent."""
        with self._lock:
            self._stop()
            self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def _open(self, fmt: VideoFormat) -> InputContainer:
        source = self._source
        options = dict(source.options)
        if source.container == "v4l2":
            options = {"video_size": f"{fmt.width}x{fmt.height}", "framerate": str(fmt.frame_rate)} | options
        try:
            container = av.open(source.url, format=source.container, options=options)
        except FileNotFoundError as error:
            raise DriverUnavailableError(
                f"camera: there is no {source.url}; plug a webcam in, or name its device (v4l2-ctl --list-devices)"
            ) from error
        except ValueError as error:  # FFmpeg's EINVAL, and PyAV's answer to an unknown input format
            raise DriverError(
                f"camera: {source.url} cannot do {fmt.width}x{fmt.height} at {fmt.frame_rate}/s as {source.container} "
                f"({error}); choose another profile (v4l2-ctl --list-formats-ext)"
            ) from error
        except OSError as error:
            raise DriverError(
                f"camera: {source.url} cannot be opened ({error}); check that no other program has it open, and that "
                "this user is in the group 'video'"
            ) from error
        if not container.streams.video:
            container.close()
            raise DriverError(f"camera: {source.url} has no video; name another device")
        return container

    def _stop(self) -> None:
        thread, self._thread = self._thread, None
        self._stopping.set()
        if thread is not None:
            thread.join(STOP_TIMEOUT_S)
            if thread.is_alive():  # the kernel does not give a picture, and no signal reaches a thread that waits so
                self._lost = f"camera: {self._source.url} did not stop within {STOP_TIMEOUT_S:g} s; restart the process"
        self._delivery.close()

    def _run(self, container: InputContainer, encoder: X264Encoder) -> None:
        try:
            self._encode(container, encoder)
        except Exception as error:  # noqa: BLE001 - the thread ends, and says why
            self._delivery.fail(f"{self._source.url} failed ({type(error).__name__}: {error}); restart it")
        finally:
            container.close()

    def _encode(self, container: InputContainer, encoder: X264Encoder) -> None:
        clock = StreamClock()
        stream = container.streams.video[0]
        for picture in container.decode(stream):
            if self._stopping.is_set():
                break
            now_ns = self._now()
            capture_ns = now_ns
            if picture.pts is not None and picture.time_base is not None:
                capture_ns = clock.to_monotonic_ns(int(picture.pts * picture.time_base * 1_000_000_000), now_ns)
            for unit in encoder.encode(picture, capture_ns):
                self._delivery.give(unit)
        else:
            self._delivery.fail(f"{self._source.url} ended; plug it in again")
        for unit in encoder.flush():
            self._delivery.give(unit)
