"""The errors of the firmware room."""

from __future__ import annotations


class FirmwareError(Exception):
    """Root of all errors here. The text is one line: what, where, and what to do."""


class SettingsError(FirmwareError):
    """The settings file cannot be read, or says something that cannot be done."""


class EnrolError(FirmwareError):
    """The device cannot be enrolled."""
