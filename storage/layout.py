"""The fixed part of a chunk record: constants, and packing and parsing of the header (docs/FORMAT.md, "Chunk")."""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag
from typing import NamedTuple

from storage.errors import ForeignError, FormatError

MAGIC = b"GTG1"
HEADER_BYTES = 104
SIGNATURE_BYTES = 64
TAG_BYTES = 16
CHAIN_BYTES = 32
MAX_PARTICULARS_BYTES = 65_535
MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_CHUNKS = 65_536
MAX_SEGMENT = 2**32 - 1
UNKNOWN_UNCERTAINTY_MS = 0xFFFF_FFFF

_HEADER = struct.Struct(">4sBBHIIQ16s16s16sQQqIBBBB")
assert _HEADER.size == HEADER_BYTES  # noqa: S101 - a layout that does not match the specification must not import


class Kind(IntEnum):
    """What a chunk is."""

    OPENING = 1
    MEDIA = 2
    EVENTS = 3
    CLOSING = 4
    HEARTBEAT = 5
    DESTRUCTION = 6


class Flags(IntFlag):
    """What the header says about a media chunk in the clear."""

    KEY = 1
    """The chunk begins with a key picture (IDR)."""
    SOUND = 2
    """The microphone was live for the whole of the chunk."""
    PRE_EVENT = 4
    """The chunk was held in memory before the recording was started: the light did not say *recording* then."""
    KNOWN = 7


class ClockSource(IntEnum):
    """What last set the wall clock."""

    NONE = 0
    RTC = 1
    NTP = 2
    GNSS = 3
    DOCK = 4


class Light(IntEnum):
    """The recording light over the whole duration of a chunk."""

    DARK = 0
    LIT = 1
    PARTLY = 2
    UNSENSED = 255
    """Sensed state only: the board has no sense line."""


# Tables of plain look-ups: a verifier parses a header for every third of a second of footage.
_KINDS = frozenset(map(int, Kind))
_UNKNOWN_FLAGS = 0xFF & ~int(Flags.KNOWN)
_SOURCES = {int(source): source for source in ClockSource}
_SENSED = {int(light): light for light in Light}
_COMMANDED = {number: light for number, light in _SENSED.items() if light is not Light.UNSENSED}


class Stamp(NamedTuple):
    """When a chunk begins, how long it lasts, how good the clock is, and what the light did meanwhile."""

    monotonic_ns: int
    utc_ns: int
    duration_ns: int = 0
    clock_source: ClockSource = ClockSource.NONE
    clock_uncertainty_ms: int = UNKNOWN_UNCERTAINTY_MS
    commanded: Light = Light.DARK
    sensed: Light = Light.UNSENSED


class Place(NamedTuple):
    """Where a segment stands: whose it is, its number, its recording (zeros in a journal) and the boot."""

    device: bytes
    segment: int
    recording: bytes
    boot: bytes


class Header(NamedTuple):
    """The fixed header of one chunk, parsed."""

    kind: int
    flags: int
    particulars_bytes: int
    body_bytes: int
    chunk: int
    place: Place
    stamp: Stamp

    @property
    def record_bytes(self) -> int:
        """Length of the whole record: header, particulars, body and signature."""
        return HEADER_BYTES + self.particulars_bytes + self.body_bytes + SIGNATURE_BYTES


def pack_header(
    kind: Kind, flags: int, particulars_bytes: int, body_bytes: int, chunk: int, place: Place, stamp: Stamp
) -> bytes:
    """Return the 104 bytes of a header.

    Raises:
        FormatError: a field does not fit the format.
    """
    if particulars_bytes > MAX_PARTICULARS_BYTES or body_bytes > MAX_BODY_BYTES or chunk >= MAX_CHUNKS:
        raise FormatError(f"chunk {chunk} of segment {place.segment} is larger than the format allows")
    try:
        return _HEADER.pack(
            MAGIC,
            kind,
            flags,
            particulars_bytes,
            body_bytes,
            chunk,
            place.segment,
            place.device,
            place.recording,
            place.boot,
            stamp.monotonic_ns,
            stamp.duration_ns,
            stamp.utc_ns,
            stamp.clock_uncertainty_ms,
            stamp.clock_source,
            stamp.commanded,
            stamp.sensed,
            0,
        )
    except struct.error as error:
        raise FormatError(f"header of chunk {chunk} of segment {place.segment}: {error}") from error


def parse_header(data: bytes | memoryview) -> Header:
    """Parse 104 bytes into a header, refusing every value that the format does not define.

    Raises:
        FormatError: wrong magic, unknown version or kind, a length or value out of range.
    """
    if len(data) < HEADER_BYTES:
        raise FormatError(f"header of {len(data)} bytes is shorter than {HEADER_BYTES}")
    (magic, kind, flags, particulars_bytes, body_bytes, chunk, segment, device, recording, boot,
     monotonic_ns, duration_ns, utc_ns, uncertainty_ms, source, commanded, sensed, reserved) = (
        _HEADER.unpack_from(data)
    )  # fmt: skip
    if magic != MAGIC:
        if magic[:3] == MAGIC[:3]:
            raise FormatError(f"format version {magic[3:]!r} is unknown to this program, which reads version 1")
        raise ForeignError("no chunk begins here (wrong magic)")
    if kind not in _KINDS:
        raise FormatError(f"unknown chunk kind {kind}")
    if flags & _UNKNOWN_FLAGS:
        raise FormatError(f"undefined flag bits in {flags:#04x}")
    if not TAG_BYTES <= body_bytes <= MAX_BODY_BYTES:
        raise FormatError(f"body length {body_bytes} is outside {TAG_BYTES} to {MAX_BODY_BYTES}")
    if chunk >= MAX_CHUNKS:
        raise FormatError(f"chunk number {chunk} is beyond {MAX_CHUNKS - 1}")
    if not 1 <= segment <= MAX_SEGMENT:
        raise FormatError(f"segment number {segment} is outside 1 to {MAX_SEGMENT}")
    clock_source, light, sense = _SOURCES.get(source), _COMMANDED.get(commanded), _SENSED.get(sensed)
    if clock_source is None or light is None or sense is None or reserved:
        raise FormatError("undefined value in the clock or light fields")
    place = Place(device, segment, recording, boot)
    stamp = Stamp(monotonic_ns, utc_ns, duration_ns, clock_source, uncertainty_ms, light, sense)
    return Header(kind, flags, particulars_bytes, body_bytes, chunk, place, stamp)
