"""What a chunk says in the clear beyond its fixed header: opening, closing and gaps (docs/FORMAT.md, "Particulars")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from storage import cbor
from storage.chain import Tip
from storage.envelope import Cipher, Envelope, Kem
from storage.errors import FormatError
from storage.fields import as_bytes, as_int, as_list, as_map, as_text, expect_keys
from storage.keypath import Certificate
from storage.layout import CHAIN_BYTES, MAX_CHUNKS, MAX_SEGMENT, SIGNATURE_BYTES

MAX_ENVELOPES = 32
MAX_GAPS = 256
_NS = 2**63 - 1

CLOSING_REASONS = frozenset(
    {"rotation", "stop", "recording", "power-off", "low-power", "full", "fault", "camera", "light"}
)
_OPENING_KEYS = frozenset({"v", "type", "part", "profile", "cipher", "path", "previous", "envelopes"})


@dataclass(frozen=True, slots=True)
class Previous:
    """The last chunk of the segment before, as the recorder knew it when it opened this one."""

    segment: int
    chunks: int
    tip: Tip


@dataclass(frozen=True, slots=True)
class Opening:
    """The particulars of an opening chunk."""

    media: bool
    part: int
    profile: str
    cipher: Cipher
    path: tuple[Certificate, ...]
    previous: Previous
    envelopes: tuple[Envelope, ...]

    def encode(self) -> bytes:
        """Return the deterministic CBOR of this opening."""
        return cbor.encode(
            {
                "v": 1,
                "type": "media" if self.media else "journal",
                "part": self.part,
                "profile": self.profile,
                "cipher": self.cipher.value,
                "path": [[step.position, step.public, step.signature] for step in self.path],
                "previous": previous_fields(self.previous),
                "envelopes": [
                    {"kem": envelope.kem.value, "recipient": envelope.recipient, "sealed": envelope.sealed}
                    for envelope in self.envelopes
                ],
            }
        )


@dataclass(frozen=True, slots=True)
class Gap:
    """Media that was lost and is on record as such. Times are monotonic nanoseconds."""

    track: str
    start_ns: int
    duration_ns: int
    lost_units: int
    cause: str


def parse_opening(data: bytes | memoryview) -> Opening:
    """Parse an opening's particulars.

    Raises:
        FormatError: not the map that docs/FORMAT.md describes.
    """
    fields = cbor.decode_map(data, "the opening")
    expect_keys(fields, "the opening", _OPENING_KEYS)
    if fields["v"] != 1 or isinstance(fields["v"], bool):
        raise FormatError(f"opening version {fields['v']!r} is unknown to this program, which reads version 1")
    if fields["type"] not in ("media", "journal"):
        raise FormatError("the opening's type is neither media nor journal")
    try:
        cipher = Cipher(fields["cipher"])
    except ValueError as error:
        raise FormatError("the opening names an unknown cipher") from error
    return Opening(
        media=fields["type"] == "media",
        part=as_int(fields["part"], "part", MAX_SEGMENT),
        profile=as_text(fields["profile"], "profile", 40),
        cipher=cipher,
        path=tuple(_certificate(step) for step in as_list(fields["path"], "path", 32)),
        previous=parse_previous(as_map(fields["previous"], "previous"), "previous"),
        envelopes=tuple(
            _envelope(as_map(item, "envelope")) for item in as_list(fields["envelopes"], "envelopes", MAX_ENVELOPES)
        ),
    )


def _certificate(step: object) -> Certificate:
    items = as_list(step, "a step of the key path", 3)
    if len(items) != 3:
        raise FormatError("a step of the key path is not [position, key, signature]")
    return Certificate(
        as_int(items[0], "position", MAX_SEGMENT),
        as_bytes(items[1], "key", 32),
        as_bytes(items[2], "signature", SIGNATURE_BYTES),
    )


def previous_fields(previous: Previous) -> dict[str, Any]:
    """Return the map that stands for the end of a segment."""
    return {
        "segment": previous.segment,
        "chunks": previous.chunks,
        "chain": previous.tip.chain,
        "signature": previous.tip.signature,
    }


def parse_previous(fields: dict[str, Any], what: str) -> Previous:
    """Parse that map; `what` is what errors call it.

    Raises:
        FormatError: not the map that docs/FORMAT.md describes.
    """
    expect_keys(fields, what, frozenset({"segment", "chunks", "chain", "signature"}))
    return Previous(
        as_int(fields["segment"], f"{what} segment", MAX_SEGMENT),
        as_int(fields["chunks"], f"{what} chunks", MAX_CHUNKS),
        Tip(
            as_bytes(fields["chain"], f"{what} chain", CHAIN_BYTES),
            as_bytes(fields["signature"], f"{what} signature", SIGNATURE_BYTES),
        ),
    )


def _envelope(fields: dict[str, Any]) -> Envelope:
    expect_keys(fields, "an envelope", frozenset({"kem", "recipient", "sealed"}))
    try:
        kem = Kem(fields["kem"])
    except ValueError as error:
        raise FormatError("an envelope names an unknown KEM") from error
    return Envelope(
        kem,
        as_bytes(fields["recipient"], "recipient", 16),
        as_bytes(fields["sealed"], "sealed key", kem.sealed_bytes),
    )


def encode_closing(reason: str, gaps: tuple[Gap, ...] = ()) -> bytes:
    """Return a closing chunk's particulars; `gaps` are those that no media chunk carries."""
    if reason not in CLOSING_REASONS:
        raise FormatError(f"{reason!r} is not a reason for closing a segment")
    return cbor.encode({"reason": reason} | ({"gaps": _gap_items(gaps)} if gaps else {}))


def parse_closing(data: bytes | memoryview) -> tuple[str, tuple[Gap, ...]]:
    """Return the reason that a closing chunk gives, and the gaps before it.

    Raises:
        FormatError: not the map that docs/FORMAT.md describes.
    """
    fields = cbor.decode_map(data, "the closing")
    expect_keys(fields, "the closing", frozenset({"reason"}), frozenset({"gaps"}))
    reason = as_text(fields["reason"], "reason", 20)
    if reason not in CLOSING_REASONS:
        raise FormatError("the closing gives an unknown reason")
    return reason, _gaps(fields["gaps"]) if "gaps" in fields else ()


def encode_gaps(gaps: tuple[Gap, ...]) -> bytes:
    """Return the particulars of a media chunk: nothing at all where there are no gaps."""
    return cbor.encode({"gaps": _gap_items(gaps)}) if gaps else b""


def parse_gaps(data: bytes | memoryview) -> tuple[Gap, ...]:
    """Parse the particulars of a media chunk.

    Raises:
        FormatError: not the map that docs/FORMAT.md describes.
    """
    if not len(data):
        return ()
    fields = cbor.decode_map(data, "the gaps")
    expect_keys(fields, "the gaps", frozenset({"gaps"}))
    return _gaps(fields["gaps"])


def _gap_items(gaps: tuple[Gap, ...]) -> list[list[str | int]]:
    """Return gaps for encoding. More than fit are told as one: nothing lost goes unsaid."""
    kept = gaps
    if len(gaps) > MAX_GAPS:
        kept, rest = gaps[: MAX_GAPS - 1], gaps[MAX_GAPS - 1 :]
        end_ns = max(gap.start_ns + gap.duration_ns for gap in rest)
        start_ns = min(gap.start_ns for gap in rest)
        kept += (Gap(rest[0].track, start_ns, end_ns - start_ns, sum(gap.lost_units for gap in rest), "many"),)
    return [[gap.track, gap.start_ns, gap.duration_ns, gap.lost_units, gap.cause] for gap in kept]


def _gaps(value: object) -> tuple[Gap, ...]:
    return tuple(_gap(item) for item in as_list(value, "gaps", MAX_GAPS))


def _gap(item: object) -> Gap:
    items = as_list(item, "a gap", 5)
    if len(items) != 5:
        raise FormatError("a gap is not [track, start, duration, lost, cause]")
    if items[0] not in ("video", "audio"):
        raise FormatError("a gap's track is neither video nor audio")
    return Gap(
        items[0],
        as_int(items[1], "gap start", _NS),
        as_int(items[2], "gap duration", _NS),
        as_int(items[3], "gap lost units", _NS),
        as_text(items[4], "gap cause", 40),
    )
