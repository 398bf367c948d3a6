"""One segment as it arrives live: with holes, twice, late, or forged. The rules, with no I/O (docs/LIVE.md, "Checks").

A chunk is taken only with a good signature of the segment's key over the chain value that its own bytes and the value
before it lead to. Where the chunk before is known, that value must be the known one; after a loss, it is what the
message says, and the signature binds it: nobody can make up another value that leads to the signed one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from storage.chain import Tip, link, signed_bytes
from storage.check import SegmentCheck
from storage.errors import FormatError
from storage.layout import HEADER_BYTES, SIGNATURE_BYTES, TAG_BYTES, Header, Kind, parse_header
from storage.particulars import Opening, parse_closing, parse_gaps
from storage.preview import check_preview, parse_preview_head


class Arrival(Enum):
    """How a good record came."""

    NEXT = "next"
    """It follows on the newest one before."""
    AFTER_GAP = "after a gap"
    """What comes before it has not arrived."""
    LATE = "late"
    """Newer ones arrived before it: kept, not shown."""
    AGAIN = "again"
    """It is here already, bit for bit."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record that was checked; views into the payload."""

    header: Header
    head: memoryview
    body: memoryview
    arrival: Arrival


class LiveSegment:
    """The segment that an opening begins."""

    def __init__(self, identity: bytes, payload: bytes) -> None:
        """Check an opening against a device's identity (raw public key).

        Raises:
            FormatError: it is no sound opening of a media segment of that device.
        """
        header, head, body, signature = _take_apart(payload)
        check = SegmentCheck(identity)
        check.add(header, head, hashlib.sha256(body).digest(), signature, 0)
        if check.sound() != 1 or check.opening is None:
            raise FormatError("the opening is not signed by the segment's key")
        if not check.opening.media:
            raise FormatError("the opening is of a journal: journals do not go live")
        self.header = header
        self.opening: Opening = check.opening
        self.init_head, self.init_body = bytes(head), bytes(body)
        self.payload = payload
        self._key = Ed25519PublicKey.from_public_bytes(self.opening.path[-1].public)
        self._tips = {0: check.chunks[0].tip}
        self._before: dict[int, Tip] = {}
        self._previews: set[int] = set()
        self.highest = 0
        self.closed: str | None = None
        """Why, once its closing has arrived."""

    @property
    def number(self) -> int:
        """The segment's number."""
        return self.header.place.segment

    @property
    def last_tip(self) -> Tip:
        """Where the chain stands after the newest chunk that arrived."""
        return self._tips[self.highest]

    @property
    def missing(self) -> int:
        """How many chunks before the newest have not arrived."""
        return self.highest + 1 - len(self._tips)

    def take(self, payload: bytes, previous: Tip) -> Record:
        """Check a chunk; `previous` is where its message says that the chain stood before it.

        Raises:
            FormatError: it is not what this device sealed there.
        """
        header, head, body, signature = _take_apart(payload)
        number = header.chunk
        if header.place != self.header.place:
            raise FormatError(f"chunk {number} is of another segment, recording, boot or device")
        if not number or header.kind in (Kind.OPENING, Kind.DESTRUCTION):
            raise FormatError(f"chunk {number} is of a kind that does not belong there")
        if header.flags and header.kind != Kind.MEDIA:
            raise FormatError(f"chunk {number} has flags that only media chunks have")
        tip = Tip(link(previous, head, hashlib.sha256(body).digest()), signature)
        known = self._tips.get(number)
        if known is not None:
            if known != tip:
                raise FormatError(f"chunk {number} is here already, and is another")
            return Record(header, head, body, Arrival.AGAIN)
        self._check_neighbours(number, previous, tip)
        try:
            self._key.verify(signature, signed_bytes(tip.chain))
        except InvalidSignature:
            raise FormatError(f"chunk {number} does not match its signature, or what it is said to follow") from None
        reason = _check_particulars(header, head)
        if reason is not None:
            if number < self.highest:
                raise FormatError(f"chunk {number} closes the segment, and later ones are here")
            self.closed = reason
        return Record(header, head, body, self._keep(number, previous, tip))

    def take_preview(self, payload: bytes) -> Record:
        """Check a preview.

        Raises:
            FormatError: it is not what this device sealed there.
        """
        header = parse_preview_head(payload)
        _check_length(header, payload)
        view = memoryview(payload)
        head, body = view[:HEADER_BYTES], view[HEADER_BYTES:-SIGNATURE_BYTES]
        if header.place != self.header.place:
            raise FormatError(f"the preview of chunk {header.chunk} is of another segment, recording, boot or device")
        digest = hashlib.sha256(body).digest()
        history = self.opening.previous.tip.chain
        check_preview(self.opening.path[-1].public, history, head, digest, payload[-SIGNATURE_BYTES:])
        newest = max(self._previews, default=0)
        if header.chunk in self._previews:
            return Record(header, head, body, Arrival.AGAIN)
        self._previews.add(header.chunk)
        return Record(header, head, body, Arrival.NEXT if header.chunk > newest else Arrival.LATE)

    def _check_neighbours(self, number: int, previous: Tip, tip: Tip) -> None:
        before = self._tips.get(number - 1)
        if before is not None and before != previous:
            raise FormatError(f"chunk {number} does not follow on the chunk {number - 1} that is here")
        after = self._before.get(number + 1)
        if after is not None and after != tip:
            raise FormatError(f"the chunk {number + 1} that is here does not follow on chunk {number}")
        if self.closed is not None and number > self.highest:
            raise FormatError(f"chunk {number} follows the closing chunk")

    def _keep(self, number: int, previous: Tip, tip: Tip) -> Arrival:
        self._tips[number], self._before[number] = tip, previous
        if number < self.highest:
            return Arrival.LATE
        arrival = Arrival.NEXT if number == self.highest + 1 else Arrival.AFTER_GAP
        self.highest = number
        return arrival


def _take_apart(payload: bytes) -> tuple[Header, memoryview, memoryview, bytes]:
    header = parse_header(payload)
    _check_length(header, payload)
    view = memoryview(payload)
    start = HEADER_BYTES + header.particulars_bytes
    return header, view[:start], view[start:-SIGNATURE_BYTES], payload[-SIGNATURE_BYTES:]


def _check_length(header: Header, payload: bytes) -> None:
    if header.record_bytes != len(payload):
        raise FormatError(f"the message has {len(payload)} bytes, its record says {header.record_bytes}")


def _check_particulars(header: Header, head: memoryview) -> str | None:
    """Return why the segment closes, if it does."""
    particulars = head[HEADER_BYTES:]
    if header.kind != Kind.MEDIA and header.kind != Kind.EVENTS and header.body_bytes != TAG_BYTES:
        raise FormatError(f"chunk {header.chunk} has a body, which its kind does not have")
    if header.kind == Kind.CLOSING:
        return parse_closing(particulars)[0]
    if header.kind == Kind.MEDIA:
        parse_gaps(particulars)
    elif len(particulars):
        raise FormatError(f"chunk {header.chunk} has particulars that its kind does not have")
    return None
