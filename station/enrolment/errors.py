"""What can go wrong while a device is enrolled."""

from __future__ import annotations

from station.errors import StationError


class EnrolmentRefusedError(StationError):
    """It is refused, by the device or by this station, and trying again changes nothing. One line: why, what to do."""


class EnrolmentUnfinishedError(StationError):
    """The cable was pulled, or the device is busy. Trying again goes on where it was."""
