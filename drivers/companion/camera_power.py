"""The camera's power behind the companion controller's interlock."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from drivers.companion.link import CompanionLink
from drivers.errors import DriverError


class CompanionCameraPower:
    """Power that only a lit light gives. Implements `drivers.camera_power.protocol.CameraPower`.

    Power that was lost (the light failed, the link was lost, the controller was reset) has to be asked for again.
    """

    def __init__(self, link: CompanionLink) -> None:
        """Stand on `link`, which stays the caller's to close."""
        self._link = link
        self._closed = False

    @property
    def name(self) -> str:
        """``companion``."""
        return "companion"

    @property
    def present(self) -> bool:
        """There is a switch."""
        return True

    @property
    def refusal(self) -> str | None:
        """Why the controller gave no power when it was last asked, or None."""
        return self._link.camera_refusal

    @property
    def cut(self) -> str | None:
        """Why the camera last lost its power (docs/COMPANION.md); none while it has it, None while the link is lost."""
        status = self._link.status
        return None if status is None else status.cut

    def enable(self, on: bool) -> None:
        """Ask for power, or let go of it; returns at once.

        Raises:
            DriverError: it was closed, or the link is lost and power was asked for.
        """
        if self._closed:
            raise DriverError("camera power: it was closed; make a new one")
        try:
            self._link.power_camera(on)
        except DriverError as error:
            raise DriverError(f"camera power: {error}") from error

    @property
    def powered(self) -> bool:
        """Whether the controller says that the camera has power; False while the link is lost."""
        status = self._link.status
        return status is not None and status.camera

    def close(self) -> None:
        """Let go of the power. Idempotent. With a lost link the controller takes it away."""
        if not self._closed:
            self._closed = True
            self._link.power_camera(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()
