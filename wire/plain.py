"""Plain values as text: JSON (RFC 8259) in one form alone, and typed access to what is in it.

The form: one object, keys sorted, no spaces, ASCII with escapes, whole numbers of at most 64 bits, no fractions, no key
twice. So a text and its values stand for one another, and either can be signed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from wire.errors import MessageError

_DEPTH = 8
_LEAST, _MOST = -(2**63), 2**63 - 1


def encode(value: Mapping[str, Any]) -> bytes:
    """Return an object's one text.

    Raises:
        MessageError: it holds what no text has.
    """
    _check(value, _DEPTH)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode("ascii")


def decode(text: bytes, what: str = "the message") -> dict[str, Any]:
    """Return the object of a text that `encode` would write.

    Raises:
        MessageError: anything else.
    """
    try:
        value = json.loads(text.decode("ascii"), parse_float=_refuse, parse_constant=_refuse, parse_int=_whole)
    except (ValueError, RecursionError):
        raise MessageError(f"{what} is not JSON of this protocol") from None
    if not isinstance(value, dict):
        raise MessageError(f"{what} is not a JSON object")
    if encode(value) != text:
        raise MessageError(f"{what} is not written as this protocol writes")
    return value


def expect(fields: Mapping[str, Any], what: str, required: str, optional: str = "") -> None:
    """Check that an object has all of `required` and nothing beyond `optional`, both names with spaces between.

    Raises:
        MessageError: it does not.
    """
    missing = set(required.split()) - fields.keys()
    unknown = fields.keys() - set(required.split()) - set(optional.split())
    if missing or unknown:
        raise MessageError(f"{what} {'lacks ' + ', '.join(sorted(missing)) if missing else 'has unknown fields'}")


def take_bytes(fields: Mapping[str, Any], key: str, length: int | None = None, most: int = 4096) -> bytes:
    """Return bytes, written in lower-case hexadecimal.

    Raises:
        MessageError: missing, malformed, or not of `length`, or longer than `most`.
    """
    value = fields.get(key)
    if isinstance(value, str) and len(value) <= 2 * most:
        try:
            data = bytes.fromhex(value)
        except ValueError:
            data = None
        if data is not None and data.hex() == value and length in (None, len(data)):
            return data
    raise MessageError(f"{key} is not {length if length is not None else f'up to {most}'} bytes in hexadecimal")


def take_int(fields: Mapping[str, Any], key: str, most: int = _MOST, least: int = 0) -> int:
    """Return a whole number.

    Raises:
        MessageError: missing, or not from `least` to `most`.
    """
    value = fields.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise MessageError(f"{key} is not a whole number from {least} to {most}")
    return value


def take_text(fields: Mapping[str, Any], key: str, most: int = 200) -> str:
    """Return a text of one printable line: it may reach a terminal.

    Raises:
        MessageError: missing, not printable, or longer than `most` characters.
    """
    value = fields.get(key)
    if not isinstance(value, str) or len(value) > most or not value.isprintable():
        raise MessageError(f"{key} is not a printable text of up to {most} characters")
    return value


def take_map(fields: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return an object within.

    Raises:
        MessageError: missing, or none.
    """
    value = fields.get(key)
    if not isinstance(value, dict):
        raise MessageError(f"{key} is not an object")
    return value


def printable(text: str, most: int = 400) -> str:
    """Return a text of the other end's for a terminal: one line, of bounded length, nothing that a terminal obeys."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)[:most]


def _check(value: object, depth: int) -> None:
    if depth < 0:
        raise MessageError("the message is nested too deep")
    match value:
        case None | bool():
            return
        case int():
            if not _LEAST <= value <= _MOST:
                raise MessageError("a number does not fit into 64 bits")
        case str():
            if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
                raise MessageError("a text is not Unicode")
        case Mapping():
            for key, item in value.items():
                if not isinstance(key, str):
                    raise MessageError("a key is not a text")
                _check(key, depth)
                _check(item, depth - 1)
        case list() | tuple():
            for item in value:
                _check(item, depth - 1)
        case _:
            raise MessageError(f"a message holds no {type(value).__name__}")


def _whole(text: str) -> int:
    if len(text) > 20:
        raise MessageError("a number does not fit into 64 bits")
    return int(text)


def _refuse(_text: str) -> NoReturn:
    raise MessageError("a message holds whole numbers alone")
