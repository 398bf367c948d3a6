"""No camera. A recorder without pictures is no recorder: starting it is an error."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from drivers.camera.protocol import AccessUnitSink, VideoFormat
from drivers.errors import DriverUnavailableError


class DisabledCamera:
    """A camera that is not there. Implements `drivers.camera.protocol.Camera`."""

    @property
    def name(self) -> str:
        """``disabled``."""
        return "disabled"

    def start(self, fmt: VideoFormat, sink: AccessUnitSink) -> None:  # noqa: ARG002 - as the protocol names them
        """Refuse.

        Raises:
            DriverUnavailableError: always.
        """
        raise DriverUnavailableError("camera: it is disabled in the configuration; choose a camera driver there")

    def stop(self) -> None:
        """Do nothing: it never runs."""

    def fault(self) -> str | None:
        """None: it never runs, so it never stops by itself."""
        return None

    def close(self) -> None:
        """Do nothing: it holds nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()
