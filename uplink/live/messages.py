"""The JSON that goes beside the chunks: presence, health, asks and answers (docs/LIVE.md, "Messages"). No I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from storage.errors import FormatError
from storage.live_wire import MAX_JSON_BYTES

_ID = re.compile(r"[0-9a-f]{8,32}")
_NAME_CHARACTERS = 80

ONLINE = b'{"online":true}'
OFFLINE = b'{"online":false}'


@dataclass(frozen=True, slots=True)
class Ask:
    """A station asks for live view."""

    id: str
    """8 to 32 lower-case hexadecimal digits, by which the answer names it."""
    by: str
    """Who asks, for the record: printable, at most 80 characters."""


def parse_ask(payload: bytes) -> Ask:
    """Parse an ask.

    Raises:
        FormatError: it is none.
    """
    if len(payload) > MAX_JSON_BYTES:
        raise FormatError(f"the ask has {len(payload)} bytes, {MAX_JSON_BYTES} are allowed")
    try:
        data = json.loads(payload)
    except (ValueError, RecursionError):
        raise FormatError("the ask is not JSON") from None
    if not isinstance(data, dict) or data.keys() != {"id", "by"}:
        raise FormatError("the ask does not hold exactly 'id' and 'by'")
    found, by = data["id"], data["by"]
    if not isinstance(found, str) or not _ID.fullmatch(found):
        raise FormatError("the ask's id is not 8 to 32 lower-case hexadecimal digits")
    if not isinstance(by, str) or not 0 < len(by) <= _NAME_CHARACTERS or not by.isprintable():
        raise FormatError("the ask does not say who asks")
    return Ask(found, by)


def encode_answer(ask: str, answer: str) -> bytes:
    """Return the answer to an ask."""
    return json.dumps({"id": ask, "answer": answer}).encode()


def encode_health(health: Mapping[str, object]) -> bytes:
    """Return what a device says about itself."""
    return json.dumps(dict(health), separators=(",", ":")).encode()
