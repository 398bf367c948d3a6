"""The purposes that officers counted on the button: sealed events of the journal, read as it comes into custody."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from station.errors import StationError
from station.opener import KeyOpener, SegmentOpener
from storage.errors import FormatError
from storage.events import parse_events
from storage.layout import HEADER_BYTES, Kind
from storage.particulars import parse_opening
from storage.reader import SegmentReader

_LETTERS = frozenset("abcde")
Purposes = dict[str, str]
"""By recording id in hex; an empty text takes an earlier choice back."""


def purposes_in(path: Path, opener: KeyOpener) -> Purposes:
    """Return what a verified segment says about purposes; what does not open, or is no event, says nothing.

    Raises:
        OSError: the file cannot be read.
    """
    found: Purposes = {}
    segment: SegmentOpener | None = None
    own = ""
    try:
        with SegmentReader(path) as reader:
            for record in reader.records():
                header = record.header
                if segment is None:
                    segment = SegmentOpener(opener, header.place, parse_opening(record.head[HEADER_BYTES:]))
                    own = header.place.recording.hex() if any(header.place.recording) else ""
                elif header.kind == Kind.EVENTS:
                    room = memoryview(bytearray(len(record.body)))
                    found |= _of(bytes(segment.open_into(header.chunk, record.head, record.body, room)), own)
    except (FormatError, StationError):
        return found
    return found


def _of(plain: bytes, own: str) -> Purposes:
    found: Purposes = {}
    for event in parse_events(plain):
        if event.name == "purpose":
            letter, recording = event.details.get("purpose"), event.details.get("recording") or own
            if isinstance(recording, str) and recording and (letter is None or letter in _LETTERS):
                found[recording] = str(letter or "")
    return found


def reader_with(opener: KeyOpener) -> Callable[[Path], Purposes]:
    """Return what reads purposes with a key."""
    return lambda path: purposes_in(path, opener)
