"""Deterministic CBOR (RFC 8949, section 4.2.1), decoded strictly and in bounded time and memory.

Only integers, byte strings, text, arrays, maps, booleans and null exist in our formats; integers are unsigned but for
the details of events. Tags are refused before the library sees them: shared references could otherwise unfold into
exponential work.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cbor2

from storage.errors import FormatError

_MAX_DEPTH = 8
_SIMPLE = frozenset({20, 21, 22})


def encode(value: Mapping[str, Any] | list[Any]) -> bytes:
    """Encode a map or an array deterministically."""
    return cbor2.dumps(value, canonical=True)


def decode_map(data: bytes | memoryview, what: str) -> dict[str, Any]:
    """Decode one map with text keys, refusing whatever `encode` would not have written.

    Raises:
        FormatError: not CBOR, not deterministic, a type that the formats do not use, nested too deep.
    """
    value = _decode(bytes(data), what)
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise FormatError(f"{what} is not a CBOR map with text keys")
    return value


def decode_list(data: bytes | memoryview, what: str, *, signed: bool = False) -> list[Any]:
    """Decode one array; `signed` allows negative integers in it. Errors as in `decode_map`."""
    value = _decode(bytes(data), what, signed=signed)
    if not isinstance(value, list):
        raise FormatError(f"{what} is not a CBOR array")
    return value


def _decode(data: bytes, what: str, *, signed: bool = False) -> Any:
    _scan(data, what, signed=signed)
    try:
        value = cbor2.loads(
            data,
            max_depth=_MAX_DEPTH,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            strict_hashable_types=True,
        )
        same = cbor2.dumps(value, canonical=True) == data
    except (cbor2.CBORError, ValueError, OverflowError, TypeError, RecursionError) as error:
        raise FormatError(f"{what} is not CBOR: {error}") from error
    if not same:
        raise FormatError(f"{what} is not deterministic CBOR")
    return value


def _scan(data: bytes, what: str, *, signed: bool) -> None:
    """Step over every item head; without indefinite lengths they simply follow one another."""
    at = 0
    while at < len(data):
        major, info = data[at] >> 5, data[at] & 31
        at += 1
        if major == 7:
            if info not in _SIMPLE:
                raise FormatError(f"{what} holds a CBOR type that the format does not use")
            continue
        if major == 6 or info > 27:
            raise FormatError(f"{what} holds a CBOR tag or an indefinite length")
        if major == 1 and not signed:
            raise FormatError(f"{what} holds a negative integer, which the format does not use there")
        width = (1 << (info - 24)) if info >= 24 else 0
        argument = int.from_bytes(data[at : at + width], "big") if width else info
        at += width
        if major in (2, 3):
            at += argument
        elif major in (4, 5) and argument > len(data):
            raise FormatError(f"{what} declares more items than it has bytes")
    if at != len(data):
        raise FormatError(f"{what} is cut short")
