"""The errors that drivers raise. No other exception type leaves a driver's public methods."""

from __future__ import annotations


class DriverError(Exception):
    """A part did not do what it was told. The text says which part, what happened and what to do."""


class DriverUnavailableError(DriverError, RuntimeError):
    """The part, or the library that drives it, is not present on this machine."""
