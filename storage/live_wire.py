"""What goes over MQTT: topics, and what a message says beside a chunk (docs/LIVE.md, "Topics"). No I/O."""

from __future__ import annotations

import base64
import binascii
import re
from enum import Enum

from storage.chain import Tip
from storage.errors import FormatError
from storage.layout import CHAIN_BYTES, HEADER_BYTES, MAX_BODY_BYTES, MAX_PARTICULARS_BYTES, SIGNATURE_BYTES

ROOT = "getuige/1"
CHUNK_TYPE = "application/vnd.getuige.chunk"
PREVIEW_TYPE = "application/vnd.getuige.preview"
JSON_TYPE = "application/json"
PREVIOUS = "previous"
"""The user property that gives the chain value and the signature before a chunk."""
MAX_RECORD_BYTES = HEADER_BYTES + MAX_PARTICULARS_BYTES + MAX_BODY_BYTES + SIGNATURE_BYTES
MAX_PACKET_BYTES = MAX_RECORD_BYTES + 4096
"""Of a whole MQTT packet."""
MAX_JSON_BYTES = 4096

_DEVICE = re.compile(r"[0-9a-f]{32}")


class Channel(Enum):
    """The last level of a topic."""

    PRESENCE = "presence"
    HEALTH = "health"
    OPENING = "opening"
    CHUNK = "chunk"
    PREVIEW = "preview"
    ANSWER = "answer"
    ASK = "ask"
    """From a station to a device; all others go the other way."""


def topic(device: bytes, channel: Channel) -> str:
    """Return a device's topic."""
    return f"{ROOT}/{device.hex()}/{channel.value}"


def parse_topic(text: str) -> tuple[bytes, Channel]:
    """Return the device id and the channel of a topic.

    Raises:
        FormatError: it is none of ours.
    """
    parts = text.split("/")
    if len(parts) != 4 or f"{parts[0]}/{parts[1]}" != ROOT or not _DEVICE.fullmatch(parts[2]):
        raise FormatError(f"topic {text[:80]!r} is none of {ROOT}/DEVICE/CHANNEL")
    try:
        return bytes.fromhex(parts[2]), Channel(parts[3])
    except ValueError:
        raise FormatError(f"topic {text[:80]!r} ends in an unknown channel") from None


def encode_tip(tip: Tip) -> str:
    """Return the chain value and the signature before a chunk as text (base64, RFC 4648)."""
    return base64.b64encode(tip.chain + tip.signature).decode("ascii")


def decode_tip(text: str) -> Tip:
    """Return what `encode_tip` was given.

    Raises:
        FormatError: it is not that.
    """
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        raise FormatError("the property 'previous' is not base64") from None
    if len(data) != CHAIN_BYTES + SIGNATURE_BYTES:
        raise FormatError(f"the property 'previous' is of {len(data)} bytes, not of {CHAIN_BYTES + SIGNATURE_BYTES}")
    return Tip(data[:CHAIN_BYTES], data[CHAIN_BYTES:])
