"""What can be wrong with offloading."""

from __future__ import annotations


class OffloadError(Exception):
    """The server cannot be, for a reason given in one line."""


class RefusedError(OffloadError):
    """What the station gave is refused; the text says why. It may be offered again where that helps."""
