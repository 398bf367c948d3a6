"""Typed access to the fields of a decoded CBOR map; a wrong type is a `FormatError` that names the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from storage.errors import FormatError

_MAX_INT = 2**64 - 1


def expect_keys(
    data: Mapping[str, Any], what: str, required: frozenset[str], optional: frozenset[str] = frozenset()
) -> None:
    """Check that a map has all of `required`, and nothing beyond `optional`."""
    missing = required - data.keys()
    if missing:
        raise FormatError(f"{what} lacks {', '.join(sorted(missing))}")
    unknown = data.keys() - required - optional
    if unknown:
        raise FormatError(f"{what} has unknown fields")


def as_bytes(value: object, what: str, length: int | None = None, most: int = 65_535) -> bytes:
    """Return a byte string, of exactly `length` bytes where that is given."""
    if not isinstance(value, bytes) or (length is not None and len(value) != length) or len(value) > most:
        raise FormatError(f"{what} is not a byte string" + (f" of {length} bytes" if length is not None else ""))
    return value


def as_int(value: object, what: str, most: int = _MAX_INT) -> int:
    """Return an unsigned integer of at most `most`."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise FormatError(f"{what} is not an integer from 0 to {most}")
    return value


def as_text(value: object, what: str, most: int = 200) -> str:
    """Return a text of at most `most` characters, printable: it may reach a terminal."""
    if not isinstance(value, str) or len(value) > most or not value.isprintable():
        raise FormatError(f"{what} is not a short printable text")
    return value


def as_list(value: object, what: str, most: int) -> list[Any]:
    """Return an array of at most `most` items."""
    if not isinstance(value, list) or len(value) > most:
        raise FormatError(f"{what} is not an array of at most {most} items")
    return value


def as_map(value: object, what: str) -> dict[str, Any]:
    """Return a map with text keys."""
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise FormatError(f"{what} is not a map")
    return value
