"""The rules that one segment must obey, with no I/O (docs/FORMAT.md, "Verifying a segment").

`SegmentCheck` is fed the records of a segment in order. The rules, in the order in which a record meets them:

1. The first chunk is an opening; no other is.
2. Every chunk has the opening's device, segment, recording and boot.
3. Chunks are numbered 0, 1, 2 ... without a hole.
4. Nothing follows a closing.
5. Particulars are what the kind of chunk allows.
6. The opening's key path leads from the device's identity to the segment's key.
7. Media chunks from a pre-event buffer come before all others.
8. The last signature is good for the chain value that all the records before it lead to. As that value covers every
   header, body digest and signature before it, one good signature vouches for the whole; where it fails, bisection
   finds the last one that is good.
"""

from __future__ import annotations

from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from storage.chain import Tip, link, signed_bytes
from storage.destruction import Destruction, parse_destruction
from storage.errors import FormatError, UnsignedError
from storage.keyfiles import device_id
from storage.keypath import check_path
from storage.layout import SIGNATURE_BYTES, TAG_BYTES, Flags, Header, Kind
from storage.particulars import Gap, Opening, parse_closing, parse_gaps, parse_opening

_NO_SIGNATURE = bytes(SIGNATURE_BYTES)
_MEDIA_KINDS = frozenset(map(int, Kind)) - {int(Kind.OPENING), int(Kind.DESTRUCTION)}
_BODILESS = frozenset({int(Kind.CLOSING), int(Kind.HEARTBEAT), int(Kind.DESTRUCTION)})
_JOURNAL_KINDS = frozenset(map(int, Kind)) - {int(Kind.OPENING), int(Kind.MEDIA)}


class CheckedChunk(NamedTuple):
    """A record that fits the rules so far; `tip` is what the records up to it lead to."""

    header: Header
    offset: int
    tip: Tip
    gaps: tuple[Gap, ...] = ()


class SegmentCheck:
    """Checks the records of one segment against the identity (raw public key) of one device."""

    def __init__(self, identity: bytes) -> None:
        self._identity = identity
        self._key: Ed25519PublicKey | None = None
        self._tip: Tip | None = None
        self.opening: Opening | None = None
        self.reason: str | None = None
        self.chunks: list[CheckedChunk] = []
        self.destructions: list[tuple[int, Destruction]] = []
        """With the number of the chunk that states it."""
        self._started = False
        """A media chunk was seen that no pre-event buffer held."""

    def add(self, header: Header, head: bytes | memoryview, body_digest: bytes, signature: bytes, offset: int) -> None:
        """Take the next record; `head` is its header and particulars, `offset` its place in the file.

        Raises:
            UnsignedError: the first record carries no signature.
            FormatError: the record breaks a rule.
        """
        gaps: tuple[Gap, ...] = ()
        if self._tip is None:
            previous = self._open(header, head, signature)
        else:
            previous = self._tip
            gaps = self._follow(header, head)
        self._tip = Tip(link(previous, head, body_digest), signature)
        self.chunks.append(CheckedChunk(header, offset, self._tip, gaps))

    def _open(self, header: Header, head: bytes | memoryview, signature: bytes) -> Tip:
        if header.kind != Kind.OPENING or header.chunk != 0:
            raise FormatError("the segment does not begin with its opening chunk")
        if signature == _NO_SIGNATURE:
            raise UnsignedError("the segment carries no signature")
        if header.place.device != device_id(self._identity):
            raise FormatError(f"the segment says that it is of device {header.place.device.hex()}")
        opening = parse_opening(head[-header.particulars_bytes :] if header.particulars_bytes else b"")
        if opening.media != any(header.place.recording):
            raise FormatError("the opening's type and the header's recording contradict each other")
        if not opening.media and header.body_bytes != TAG_BYTES:
            raise FormatError("the opening of a journal has a body")
        if header.flags:
            raise FormatError("the opening has flags that only media chunks have")
        if not opening.media and (opening.part or opening.profile):
            raise FormatError("the opening of a journal gives a part or a profile")
        if opening.previous.segment != header.place.segment - 1:
            raise FormatError(f"the opening names segment {opening.previous.segment} as the one before")
        check_path(self._identity, header.place.device, header.place.segment, opening.path)
        self._key = Ed25519PublicKey.from_public_bytes(opening.path[-1].public)
        self.opening = opening
        return opening.previous.tip

    def _follow(self, header: Header, head: bytes | memoryview) -> tuple[Gap, ...]:
        first = self.chunks[0].header
        number = len(self.chunks)
        if self.reason is not None:
            raise FormatError("a chunk follows the closing chunk")
        if header.place != first.place:
            raise FormatError(f"chunk {header.chunk} is of another segment, recording, boot or device")
        if header.chunk != number:
            raise FormatError(f"chunk {header.chunk} stands where chunk {number} should")
        if header.flags & Flags.PRE_EVENT and self._started:
            raise FormatError(f"chunk {number} is of a pre-event buffer and follows one that is not")
        self._started |= header.kind == Kind.MEDIA and not header.flags & Flags.PRE_EVENT
        allowed = _MEDIA_KINDS if any(first.place.recording) else _JOURNAL_KINDS
        if header.kind not in allowed:
            raise FormatError(f"chunk {number} is of a kind that does not belong there")
        if header.flags and header.kind != Kind.MEDIA:
            raise FormatError(f"chunk {number} has flags that only media chunks have")
        if header.kind in _BODILESS and header.body_bytes != TAG_BYTES:
            raise FormatError(f"chunk {number} has a body, which its kind does not have")
        length = header.particulars_bytes
        if header.kind == Kind.CLOSING:
            self.reason, gaps = parse_closing(head[-length:] if length else b"")
            return gaps
        if header.kind == Kind.DESTRUCTION:
            stated = parse_destruction(head[-length:] if length else b"", header.place.segment)
            self.destructions.append((number, stated))
            return ()
        if length:
            if header.kind != Kind.MEDIA:
                raise FormatError(f"chunk {number} has particulars that its kind does not have")
            return parse_gaps(head[-length:])
        return ()

    def sound(self) -> int:
        """Return how many of the chunks taken so far are vouched for by a good signature."""
        if not self.chunks or self._good(len(self.chunks) - 1):
            return len(self.chunks)
        low, high = 0, len(self.chunks) - 1  # chunks below `low` are vouched for; `high` is known bad
        while low < high:
            middle = (low + high) // 2
            if self._good(middle):
                low = middle + 1
            else:
                high = middle
        return low

    def _good(self, index: int) -> bool:
        assert self._key is not None  # noqa: S101 - a chunk was taken, so the opening was
        tip = self.chunks[index].tip
        try:
            self._key.verify(tip.signature, signed_bytes(tip.chain))
        except InvalidSignature:
            return False
        return True
