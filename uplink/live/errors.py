"""What can be wrong with live view. None of it ever reaches the recorder."""

from __future__ import annotations


class LiveError(Exception):
    """Live view cannot be, for a reason given in one line."""


class LinkError(LiveError):
    """The link to the broker cannot be made, or broke: it is tried again."""
