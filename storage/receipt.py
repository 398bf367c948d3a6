"""A station's receipt: its signed word that it holds a segment, whole and durable (docs/FORMAT.md, "Receipts"). No I/O.

The device destroys a segment before its time on such a receipt and on nothing else. A receipt says which file it means
to the last bit, so that one for another device, another segment or another content destroys nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from storage import cbor
from storage.destruction import Destroyed
from storage.errors import FormatError, ReceiptError
from storage.fields import as_bytes, as_int, as_map, expect_keys
from storage.layout import MAX_SEGMENT, SIGNATURE_BYTES
from storage.particulars import Previous, parse_previous, previous_fields
from storage.signer import Signer

MAX_RECEIPT_BYTES = 4096
_CONTEXT = b"getuige/1 receipt\0"
_KEYS = frozenset({"v", "device", "segment", "last", "bytes", "digest", "held", "station"})
_NUMBER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a station confirms."""

    device: bytes
    """16-byte device id."""
    segment: int
    last: Previous
    """Its count of chunks, last chain value and last signature."""
    size_bytes: int
    digest: bytes
    """SHA-256 of the file."""
    held_utc_ns: int
    """When the station's copy was verified and durable, by the station's clock."""

    def sign(self, station: Signer) -> bytes:
        """Return the receipt as it is sent: CBOR and 64 bytes of signature."""
        body = cbor.encode(
            {
                "v": 1,
                "device": self.device,
                "segment": self.segment,
                "last": previous_fields(self.last),
                "bytes": self.size_bytes,
                "digest": self.digest,
                "held": self.held_utc_ns,
                "station": station.public,
            }
        )
        return body + station.sign(_CONTEXT + body)

    def confirms(self, device: bytes, what: Destroyed) -> str:
        """Return why this receipt is not for that segment of that device; an empty text if it is."""
        if self.device != device:
            return f"it is for device {self.device.hex()}"
        for name, mine, theirs in (
            ("segment", self.segment, what.segment),
            ("chain", self.last, what.last),
            ("length", self.size_bytes, what.size_bytes),
            ("content", self.digest, what.digest),
        ):
            if mine != theirs:
                return f"it is for another {name}: what the station holds is not what this device has"
        return ""


def parse_receipt(data: bytes, trusted: Collection[bytes]) -> Receipt:
    """Check and parse a receipt; `trusted` are the raw public keys of stations that the unit's policy names.

    Raises:
        ReceiptError: malformed, by a station that is not trusted, or not signed by it.
    """
    if not SIGNATURE_BYTES < len(data) <= MAX_RECEIPT_BYTES:
        raise ReceiptError(f"the receipt is refused: it has {len(data)} bytes")
    body, signature = data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:]
    try:
        receipt, station = _parse(body)
    except FormatError as error:
        raise ReceiptError(f"the receipt is refused: {error}") from None
    if station not in trusted:
        raise ReceiptError(f"the receipt is refused: the policy names no station with the key {station.hex()}")
    try:
        Ed25519PublicKey.from_public_bytes(station).verify(signature, _CONTEXT + body)
    except (InvalidSignature, ValueError):
        raise ReceiptError("the receipt is refused: it is not signed by that station, or was changed") from None
    return receipt


def _parse(body: bytes) -> tuple[Receipt, bytes]:
    fields = cbor.decode_map(body, "the receipt")
    expect_keys(fields, "the receipt", _KEYS)
    if fields["v"] != 1 or isinstance(fields["v"], bool):
        raise FormatError("its version is unknown")
    segment = as_int(fields["segment"], "segment", MAX_SEGMENT)
    receipt = Receipt(
        as_bytes(fields["device"], "device", 16),
        segment,
        parse_previous(as_map(fields["last"], "last"), "last"),
        as_int(fields["bytes"], "bytes", _NUMBER),
        as_bytes(fields["digest"], "digest", 32),
        as_int(fields["held"], "held", _NUMBER),
    )
    if receipt.last.segment != segment:
        raise FormatError("its chain is of another segment")
    return receipt, as_bytes(fields["station"], "station", 32)


def receipt_digest(data: bytes) -> bytes:
    """Return the SHA-256 by which a destruction names its receipt."""
    return hashlib.sha256(data).digest()
