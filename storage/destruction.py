"""The signed stub that a destroyed segment leaves in the chain (docs/FORMAT.md, "Destruction"). No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from storage import cbor
from storage.errors import FormatError
from storage.fields import as_bytes, as_int, as_map, expect_keys
from storage.layout import MAX_SEGMENT
from storage.particulars import Previous, parse_previous, previous_fields

_NUMBER = 2**63 - 1
_DIGEST_BYTES = 32
_KEYS = frozenset(
    {"segment", "recording", "part", "opened", "previous", "last", "bytes", "digest", "reason", "age", "receipt"}
)


class Reason(Enum):
    """Why a segment is destroyed."""

    RETENTION = "retention"
    """It is as old as the unit's policy lets it become."""
    RECEIPT = "receipt"
    """A station has confirmed, signed, that it holds it."""


@dataclass(frozen=True, slots=True)
class Destroyed:
    """What was destroyed: the same however often it is stated."""

    segment: int
    recording: bytes
    """Zeros for a journal."""
    part: int
    opened_utc_ns: int
    """The wall clock of its opening; 0 if that was before 1970."""
    previous: Previous
    """What its opening named as the segment before."""
    last: Previous
    """Its own number, count of chunks, last chain value and signature: what the next opening names."""
    size_bytes: int
    digest: bytes
    """SHA-256 of the file."""


@dataclass(frozen=True, slots=True)
class Destruction:
    """The particulars of a destruction chunk."""

    what: Destroyed
    reason: Reason
    age_s: int
    """How old it was, as the device had reckoned."""
    receipt: bytes | None = None
    """SHA-256 of the station's receipt; only where that is the reason."""

    def encode(self) -> bytes:
        """Return the deterministic CBOR of this statement."""
        what = self.what
        return cbor.encode(
            {
                "segment": what.segment,
                "recording": what.recording,
                "part": what.part,
                "opened": what.opened_utc_ns,
                "previous": previous_fields(what.previous),
                "last": previous_fields(what.last),
                "bytes": what.size_bytes,
                "digest": what.digest,
                "reason": self.reason.value,
                "age": self.age_s,
                "receipt": self.receipt,
            }
        )


def parse_destruction(data: bytes | memoryview, stated_in: int) -> Destruction:
    """Parse a destruction chunk's particulars; `stated_in` is the segment that it stands in.

    Raises:
        FormatError: not the map that docs/FORMAT.md describes.
    """
    fields = cbor.decode_map(data, "the destruction")
    expect_keys(fields, "the destruction", _KEYS)
    segment = as_int(fields["segment"], "segment", MAX_SEGMENT)
    what = Destroyed(
        segment=segment,
        recording=as_bytes(fields["recording"], "recording", 16),
        part=as_int(fields["part"], "part", MAX_SEGMENT),
        opened_utc_ns=as_int(fields["opened"], "opened", _NUMBER),
        previous=parse_previous(as_map(fields["previous"], "previous"), "previous"),
        last=parse_previous(as_map(fields["last"], "last"), "last"),
        size_bytes=as_int(fields["bytes"], "bytes", _NUMBER),
        digest=as_bytes(fields["digest"], "digest", _DIGEST_BYTES),
    )
    if not 1 <= segment < stated_in or what.last.segment != segment or what.previous.segment != segment - 1:
        raise FormatError("a destruction names segments that cannot be: its own, a later one, or not neighbours")
    if what.part and not any(what.recording):
        raise FormatError("a destruction gives a part of a journal")
    try:
        reason = Reason(fields["reason"])
    except ValueError as error:
        raise FormatError("a destruction gives an unknown reason") from error
    receipt = fields["receipt"]
    if (receipt is not None) is not (reason is Reason.RECEIPT):
        raise FormatError("a destruction has a receipt without that reason, or that reason without one")
    return Destruction(
        what,
        reason,
        as_int(fields["age"], "age", _NUMBER),
        None if receipt is None else as_bytes(receipt, "receipt", _DIGEST_BYTES),
    )
