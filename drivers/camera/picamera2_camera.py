"""The Raspberry Pi camera, through picamera2 (libcamera).

Up to the Pi 4 and Zero 2 W picamera2's `H264Encoder` is the hardware encoder; on a Pi 5 it is libx264. Both run here
through the same few calls. picamera2 is imported when the camera is first started, so that this module can be
imported anywhere.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from drivers.bounded import call_bounded
from drivers.camera.protocol import AccessUnit, AccessUnitSink, VideoFormat
from drivers.delivery import Delivery
from drivers.errors import DriverError, DriverUnavailableError
from drivers.stream_clock import StreamClock

FIRST_PICTURE_NS = 5_000_000_000
STALL_NS = 1_500_000_000
STOP_TIMEOUT_S = 5.0
BUFFERS = 8
"""picamera2's default of six is known to drop frames when the encoder is late for a moment."""


@dataclass(frozen=True, slots=True)
class Picamera2Parts:
    """The four classes of picamera2 that this driver stands on."""

    open_camera: Callable[[int], Any]
    """Makes a `Picamera2` for the camera of that number."""
    encoder: Callable[..., Any]
    """`H264Encoder`"""
    output: type[Any]
    """`Output`, the base class of what an encoder writes to."""
    preview: type[Any]
    """`NullPreview`, the event loop without a display."""


def load_picamera2() -> Picamera2Parts:
    """Import picamera2.

    Raises:
        DriverUnavailableError: picamera2 or libcamera is not installed.
    """
    try:
        from picamera2 import Picamera2
        from picamera2.encoders import H264Encoder
        from picamera2.outputs import Output
        from picamera2.previews import NullPreview
    except ImportError as error:
        raise DriverUnavailableError(
            f"camera: picamera2 cannot be imported ({error}); install the system package python3-libcamera and this "
            "project's extra 'device', in a virtual environment that sees system packages"
        ) from error
    return Picamera2Parts(without_leak(Picamera2), H264Encoder, Output, NullPreview)


def without_leak(base: type[Any]) -> type[Any]:
    """Make a `Picamera2` that gives its pipe back when the camera cannot be opened.

    picamera2 0.3 keeps both ends open then: a recorder that tries a missing camera again and again would run out of
    descriptors.
    """

    class Opened(base):  # type: ignore[misc]
        def __init__(self, camera_number: int) -> None:
            try:
                super().__init__(camera_number)
            except BaseException:
                if hasattr(self, "notifymeread"):
                    self.notifymeread.close()
                    os.close(self.notifyme_w)
                raise

    return Opened


class Picamera2Camera:
    """A camera on libcamera, encoded by picamera2. Implements `drivers.camera.protocol.Camera`."""

    def __init__(
        self,
        *,
        camera_number: int = 0,
        keep_open: bool = True,
        load: Callable[[], Picamera2Parts] = load_picamera2,
        stall_ns: int = STALL_NS,
        now: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """`keep_open`: whether a stopped camera stays open, which starts it sooner; not where it loses its power then.

        The kernel sets a lens up when it is opened, and writes its position only where that changes: one that was
        without power meanwhile would stay where it fell.
        """
        self._camera_number = camera_number
        self._keep_open = keep_open
        self._load = load
        self._now = now
        self._delivery: Delivery[AccessUnit] = Delivery(
            "camera", "picture", first_ns=FIRST_PICTURE_NS, stall_ns=stall_ns, now=now
        )
        self._lock = threading.Lock()  # start, stop and close, one at a time
        self._parts: Picamera2Parts | None = None
        self._camera: Any = None
        self._preview: Any = None
        self._encoder: Any = None
        self._format: VideoFormat | None = None
        self._lost: str | None = None
        self._closed = False

    @property
    def name(self) -> str:
        """``picamera2``."""
        return "picamera2"

    def start(self, fmt: VideoFormat, sink: AccessUnitSink) -> None:
        """Begin to encode; see the protocol.

        Raises:
            DriverUnavailableError: picamera2 is not installed.
            DriverError: the camera is absent, busy, closed, running already, or cannot do this format.
        """
        with self._lock:
            if self._closed:
                raise DriverError("camera: it was closed; make a new one")
            if self._lost is not None:
                raise DriverError(self._lost)
            if self._encoder is not None:
                raise DriverError("camera: it is running already; stop it first")
            try:
                self._start(fmt, sink)
            except Exception as error:
                self._stop()  # the encoder may run already, though the camera does not
                self._let_go()
                if isinstance(error, DriverError):
                    raise
                raise DriverError(
                    f"camera: libcamera would not start it ({type(error).__name__}: {error}); check the ribbon cable, "
                    "and that no other program has the camera open (rpicam-hello --list-cameras)"
                ) from error

    def stop(self) -> None:
        """Stop encoding; what the encoder still holds is delivered first. Idempotent; see the protocol."""
        with self._lock:
            self._stop()

    def fault(self) -> str | None:
        """One line saying why no pictures come, or None."""
        return self._lost or self._delivery.fault()

    def close(self) -> None:
        """Stop, and give the camera back. Idempotent."""
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

    def _start(self, fmt: VideoFormat, sink: AccessUnitSink) -> None:
        if self._parts is None:
            self._parts = self._load()
        if self._camera is None:
            self._camera = self._parts.open_camera(self._camera_number)
        if self._format != fmt:
            self._configure(fmt)
        encoder = self._parts.encoder(
            bitrate=fmt.bitrate_bps, repeat=True, iperiod=fmt.key_interval, framerate=fmt.frame_rate
        )
        if self._preview is None:
            self._preview = _event_loop(self._parts.preview, self._delivery.fail)
        self._delivery.open(sink)
        receiver = _Receiver(encoder, self._delivery, self._now)
        # The encoder first, so that the first frame of the camera is the first picture.
        self._camera.start_encoder(encoder, _output(self._parts.output, receiver.take))
        self._encoder = encoder
        self._camera.start(show_preview=self._preview)

    def _configure(self, fmt: VideoFormat) -> None:
        frame_us = round(1_000_000 / fmt.frame_rate)
        configuration = self._camera.create_video_configuration(
            main={"size": (fmt.width, fmt.height), "format": "YUV420"},
            controls={"FrameDurationLimits": (frame_us, frame_us)},
            buffer_count=BUFFERS,
            display=None,
        )
        self._format = None
        self._camera.configure(configuration)
        width, height = self._camera.camera_configuration()["main"]["size"]
        if (width, height) != (fmt.width, fmt.height):  # libcamera adjusts silently
            raise DriverError(
                f"camera: it cannot do {fmt.width}x{fmt.height}, only {width}x{height}; choose another profile"
            )
        self._format = fmt

    def _stop(self) -> None:
        if self._encoder is None:
            self._delivery.close()
            return
        camera, encoder, failed = self._camera, self._encoder, self._delivery.fault()
        self._encoder = None

        def halt() -> None:
            camera.stop()
            camera.stop_encoder(encoder)

        try:
            call_bounded("camera-stop", halt, STOP_TIMEOUT_S)
        except DriverError as error:
            self._lost = f"camera: {error}"
        finally:
            self._delivery.close()
        if failed is not None or not self._keep_open:  # the next start begins with a newly opened camera
            self._let_go()

    def _let_go(self) -> None:
        """Close the `Picamera2`, if it still answers."""
        camera, self._camera, self._preview, self._format = self._camera, None, None, None
        self._encoder = None
        if camera is None or self._lost is not None:
            return
        try:
            call_bounded("camera-close", camera.close, STOP_TIMEOUT_S)
        except DriverError as error:
            self._lost = f"camera: {error}"


class _Receiver:
    """Takes coded pictures from the encoder, dates them, and hands them over."""

    def __init__(self, encoder: Any, delivery: Delivery[AccessUnit], now: Callable[[], int]) -> None:
        self._encoder = encoder
        self._delivery = delivery
        self._now = now
        self._clock = StreamClock()
        self._begun = False

    def take(self, data: bytes, key: bool, since_first_us: int) -> None:
        """Run on the encoder's thread: copy, hand over, return."""
        if not (self._begun or key):
            return  # nothing can be decoded before the first key picture
        self._begun = True
        # picamera2 counts from its first frame's SensorTimestamp, which it keeps, in microseconds.
        sensor_ns = (self._encoder.firsttimestamp + since_first_us) * 1000
        capture_ns = self._clock.to_monotonic_ns(sensor_ns, self._now())
        self._delivery.give(AccessUnit(bytes(data), capture_ns, bool(key)))


def _output(base: type[Any], take: Callable[[bytes, bool, int], None]) -> Any:
    """Make an output for picamera2's encoder; its base class is known at run time only."""

    class HandOver(base):  # type: ignore[misc]
        """Passes coded pictures on. Runs on the encoder's thread, which delays the camera if it is kept waiting."""

        def outputframe(self, frame: bytes, keyframe: bool = True, timestamp: int = 0, *_: object) -> None:
            take(frame, keyframe, timestamp)  # what follows is a PyAV packet, and whether it is sound: it never is

    return HandOver()


def _event_loop(base: type[Any], fail: Callable[[str], None]) -> Any:
    """Make picamera2's event loop without a display; its base class is known at run time only."""

    class WatchedLoop(base):  # type: ignore[misc]
        """Keeps the loop alive when an encoder raises in it: the loop is also what stops the camera."""

        def start(self, picam2: Any) -> None:
            super().start(picam2)
            self.thread.name = "camera-loop"

        def handle_request(self, picam2: Any) -> None:
            try:
                picam2.process_requests(self)
            except Exception as error:  # noqa: BLE001 - reported as the camera's fault
                fail(f"the encoder failed ({type(error).__name__}: {error}); restart it")

    return WatchedLoop()
