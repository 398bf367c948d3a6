"""What can go wrong while an image is made."""

from __future__ import annotations


class ImageError(Exception):
    """One line: what, where, what to do. No output was left, and it may be tried again."""
