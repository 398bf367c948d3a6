"""Which handlers a device has. Another one is added here."""

from __future__ import annotations

from firmware.console.handler import Handler
from firmware.console.place import Place


def make_handlers(place: Place) -> list[Handler]:
    """Make all of them."""
    del place
    return []
