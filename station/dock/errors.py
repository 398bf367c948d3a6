"""What can go wrong in a bay."""

from __future__ import annotations

from station.errors import StationError


class DeviceGoneError(StationError):
    """The device does not answer any more: pulled, or off. What arrived is kept; the next time goes on there."""


class DeviceLiesError(StationError):
    """What the device says cannot be: nothing of it is believed."""
