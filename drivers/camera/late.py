"""A camera before whose start something is to be done: power is awaited, or its sensor looked for once it has it."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from drivers.camera.protocol import AccessUnitSink, Camera, VideoFormat


class LateCamera:
    """Another camera, before each start of which something is done. Implements `drivers.camera.protocol.Camera`."""

    def __init__(self, camera: Camera, before: Callable[[], None]) -> None:
        """`before` raises `DriverError` where the camera cannot be started. Closing this closes the camera."""
        self._camera = camera
        self._before = before

    @property
    def name(self) -> str:
        """The camera's own name."""
        return self._camera.name

    def start(self, fmt: VideoFormat, sink: AccessUnitSink) -> None:
        """Do what comes before, and start the camera.

        Raises:
            DriverError: what comes before does not succeed; or the camera's own.
        """
        self._before()
        self._camera.start(fmt, sink)

    def stop(self) -> None:
        """Stop the camera."""
        self._camera.stop()

    def fault(self) -> str | None:
        """The camera's own."""
        return self._camera.fault()

    def close(self) -> None:
        """Close the camera. Idempotent."""
        self._camera.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()
