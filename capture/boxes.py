"""Boxes of the ISO base media file format (ISO/IEC 14496-12, clause 4.2)."""

from __future__ import annotations

import struct

UNITY_MATRIX = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)


def box(kind: bytes, *contents: bytes) -> bytes:
    """A box of type `kind`."""
    body = b"".join(contents)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full_box(kind: bytes, version: int, flags: int, *contents: bytes) -> bytes:
    """A box with a version and flags."""
    return box(kind, struct.pack(">I", version << 24 | flags), *contents)


def descriptor(tag: int, *contents: bytes) -> bytes:
    """An MPEG-4 descriptor (ISO/IEC 14496-1, 8.3.3) of less than 128 bytes."""
    body = b"".join(contents)
    if len(body) > 0x7F:
        raise ValueError(f"descriptor 0x{tag:02x} of {len(body)} bytes: at most 127 fit")
    return bytes((tag, len(body))) + body
