"""The errors that capture raises."""

from __future__ import annotations


class CaptureError(Exception):
    """Capture cannot begin or go on. The text says what happened, where, and what to do."""


class BitstreamError(CaptureError):
    """A coded picture is not the H.264 that a camera must deliver."""
