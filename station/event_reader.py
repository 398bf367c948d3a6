"""Opening the chunks of events in a verified chain: the only part of the timeline that needs a key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from station.errors import OpenError, StationError
from station.opener import KeyOpener, SegmentOpener
from station.outline import EventsChunk, Outline
from station.timeline_model import OpenedChunk
from storage.errors import FormatError
from storage.events import parse_events
from storage.layout import HEADER_BYTES, SIGNATURE_BYTES
from storage.reader import SegmentReader
from storage.segment_report import SegmentReport


def open_events(
    chain: Sequence[SegmentReport], outlines: Mapping[Path, Outline], opener: KeyOpener
) -> tuple[OpenedChunk, ...]:
    """Decrypt every chunk of events of the segments in `chain`, in order.

    Segments that were sealed to other keys only are told as such, if this key opens others.

    Raises:
        OpenError: the key opens none of them, or a file changed since it was verified.
        StationError: a file cannot be read any more.
    """
    opened: list[OpenedChunk] = []
    refused: list[OpenError] = []
    keys = 0
    for report in chain:
        found = outlines[report.path]
        if not found.events or report.first is None or report.opening is None:
            continue
        place = report.first.place
        try:
            segment = SegmentOpener(opener, place, report.opening)
        except OpenError as error:
            refused.append(error)
            opened += (_sealed(place.segment, chunk, str(error)) for chunk in found.events)
            continue
        keys += 1
        opened += _read(report.path, place.segment, found.events, segment)
    if refused and not keys:
        raise refused[0]
    return tuple(opened)


def _read(path: Path, number: int, chunks: Sequence[EventsChunk], segment: SegmentOpener) -> Iterator[OpenedChunk]:
    try:
        with SegmentReader(path) as reader:
            for chunk in chunks:
                header = chunk.header
                record = reader.at(chunk.offset, header.record_bytes)
                start = HEADER_BYTES + header.particulars_bytes
                body = record[start:-SIGNATURE_BYTES]
                room = memoryview(bytearray(header.body_bytes))
                plain = bytes(segment.open_into(header.chunk, record[:start], body, room))
                yield _parse(number, chunk, plain)
    except OSError as error:
        raise StationError(f"cannot read {path}: {error.strerror}") from None


def _parse(number: int, chunk: EventsChunk, plain: bytes) -> OpenedChunk:
    try:
        events = tuple(parse_events(plain))
    except FormatError as error:
        return _sealed(number, chunk, f"chunk {chunk.header.chunk} of segment {number}: {error}")
    return OpenedChunk(number, chunk.piece, chunk.header.stamp.monotonic_ns, events)


def _sealed(number: int, chunk: EventsChunk, why: str) -> OpenedChunk:
    return OpenedChunk(number, chunk.piece, chunk.header.stamp.monotonic_ns, error=why)
