"""What can go wrong while flashing."""

from __future__ import annotations


class FlashError(Exception):
    """One line: what, where, what to do. The card may be written again."""
