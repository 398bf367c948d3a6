"""The errors of the station room."""

from __future__ import annotations


class StationError(Exception):
    """Root of all errors here. The text is one line: what, where, and what to do."""

    exit_status = 2
    """How the command line ends."""


class OpenError(StationError):
    """Sealed bytes cannot be opened: another unit's, or changed."""


class RefusedError(StationError):
    """What was asked for is refused because it does not verify."""
