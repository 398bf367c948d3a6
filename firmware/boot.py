"""Which run of the monotonic clock this is."""

from __future__ import annotations

import secrets
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> bytes:
    """Return the 16 bytes that name this run of the monotonic clock: the kernel's boot id."""
    try:
        return bytes.fromhex(_BOOT_ID.read_text("ascii").strip().replace("-", ""))
    except (OSError, ValueError):
        return secrets.token_bytes(16)
