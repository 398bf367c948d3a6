"""The real picamera2 on libcamera's *virtual* pipeline: what a machine that is not a Pi lacks is put in its place.

Four things are, and nothing else: buffers (memfd instead of the DMA heap), the choice of encoder (the software one,
as on a Pi 5), the list of a sensor's raw modes (a virtual camera has none), and the pace (the virtual pipeline
completes a request as soon as it is queued).
"""

from __future__ import annotations

import collections
import mmap
import os
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from PIL import Image

from drivers.camera.picamera2_camera import Picamera2Parts, without_leak
from tests.rig import numbered

WIDTH, HEIGHT = 640, 480
SMALL_WIDTH, SMALL_HEIGHT = 320, 240

_YAML = """%YAML 1.1
---
"Numbered":
  supported_formats:
  - {{width: {width}, height: {height}, frame_rates: [1, 120]}}
  - {{width: {small_width}, height: {small_height}, frame_rates: [1, 120]}}
  frames:
    path: "{frames}"
  location: "CameraLocationFront"
  model: "Numbered pictures"
"""


@dataclass
class VirtualPipeline:
    """The cameras that were opened, newest last, so that a test can reach the pace of the one at work."""

    opened: list[PacedCamera] = field(default_factory=list)

    @classmethod
    def declare(cls, declaration: Path) -> VirtualPipeline:
        """Draw the pictures and write libcamera's declaration of the virtual camera."""
        frames = Path(tempfile.mkdtemp(prefix="frames-"))
        for number in range(numbered.COUNT):
            Image.fromarray(numbered.draw(number, WIDTH, HEIGHT)).convert("RGB").save(
                frames / f"{number}.jpg", quality=90
            )
        declaration.write_text(
            _YAML.format(width=WIDTH, height=HEIGHT, small_width=SMALL_WIDTH, small_height=SMALL_HEIGHT, frames=frames),
            encoding="utf-8",
        )
        return cls()

    def load(self) -> Picamera2Parts:
        """Import picamera2, with the substitutions; hand this to the driver."""
        sys.modules.setdefault("pykms", mock.MagicMock())  # only the preview on a screen needs it
        import picamera2.picamera2 as module
        from picamera2 import Picamera2
        from picamera2.encoders import LibavH264Encoder
        from picamera2.outputs import Output
        from picamera2.previews import NullPreview

        module.DmaAllocator = _memfd_allocator()

        class Virtual(without_leak(Picamera2)):  # type: ignore[misc]
            def _get_raw_modes(self) -> list[dict[str, Any]]:
                formats = self.camera.generate_configuration([module.VIEWFINDER]).at(0).formats
                return [
                    {"format": str(pixels), "size": (size.width, size.height)}
                    for pixels in formats.pixel_formats
                    for size in formats.sizes(pixels)
                ]

        def open_camera(number: int) -> Any:
            camera = Virtual(number)
            camera.camera = paced = PacedCamera(camera.camera)
            self.opened.append(paced)
            return camera

        return Picamera2Parts(open_camera, LibavH264Encoder, Output, NullPreview)


class PacedCamera:
    """A libcamera camera with the pace of a sensor: one free buffer is filled each frame period.

    As with a sensor, a period in which no buffer is free is a picture lost; `starved` counts them.
    """

    def __init__(self, camera: Any, frame_rate: int = 30) -> None:
        self._camera = camera
        self._period_s = 1 / frame_rate
        self._free: collections.deque[Any] = collections.deque()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.running = threading.Event()
        """Clear it, and the sensor falls silent."""
        self.running.set()
        self.taken_ns: list[int] = []
        """When each picture was taken, by the monotonic clock."""
        self.starved = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._camera, name)

    def queue_request(self, request: Any) -> None:
        self._free.append(request)

    def start(self, *arguments: Any) -> Any:
        self.taken_ns, self.starved = [], 0
        self._stop.clear()
        self.running.set()
        result = self._camera.start(*arguments)
        self._thread = threading.Thread(target=self._run, name="virtual-sensor", daemon=True)
        self._thread.start()
        return result

    def stop(self) -> Any:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._free.clear()
        return self._camera.stop()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due += self._period_s
            if not self.running.is_set():
                continue
            try:
                request = self._free.popleft()
            except IndexError:
                self.starved += 1
                continue
            self.taken_ns.append(time.monotonic_ns())
            self._camera.queue_request(request)


def _memfd_allocator() -> type[Any]:
    """Make picamera2's allocator on memfd; its base class is known only once picamera2 is imported."""
    import libcamera
    from picamera2.allocators.allocator import Allocator, Sync

    class Mapped(Sync):
        def __init__(self, allocator: Any, buffer: Any, write: bool) -> None:
            self._mapping = allocator.mappings[buffer]

        def __enter__(self) -> mmap.mmap:
            return self._mapping

        def __exit__(self, *error: object) -> None:
            """Leave it mapped: it is the buffer's for good."""

    class MemfdAllocator(Allocator):
        needs_sync = False

        def __init__(self) -> None:
            super().__init__()
            self.sync = Mapped
            self.mappings: dict[Any, mmap.mmap] = {}
            self._buffers: dict[Any, list[Any]] = {}
            self._descriptors: list[int] = []

        def allocate(self, configurations: Any, _use_case: object) -> None:
            self.close()
            for configuration in configurations:
                self._buffers[configuration.stream] = [
                    self._buffer(configuration) for _ in range(configuration.buffer_count)
                ]

        def _buffer(self, configuration: Any) -> Any:
            descriptor = os.memfd_create("frame")
            self._descriptors.append(descriptor)
            os.ftruncate(descriptor, configuration.frame_size)
            luma_bytes = configuration.stride * configuration.size.height
            planes = []
            for offset, length in ((0, luma_bytes), (luma_bytes, luma_bytes // 2)):  # NV12: luma, then both chromas
                plane = libcamera.FrameBuffer.Plane()
                plane.fd, plane.offset, plane.length = descriptor, offset, length
                planes.append(plane)
            buffer = libcamera.FrameBuffer(planes)
            self.mappings[buffer] = mmap.mmap(descriptor, configuration.frame_size)
            return buffer

        def buffers(self, stream: Any) -> list[Any]:
            return self._buffers[stream]

        def close(self) -> None:
            for mapping in self.mappings.values():
                try:
                    mapping.close()
                except BufferError:  # an array over it is alive still; its memory goes with the array
                    continue
            for descriptor in self._descriptors:
                os.close(descriptor)
            self.mappings, self._buffers, self._descriptors = {}, {}, []

    return MemfdAllocator
