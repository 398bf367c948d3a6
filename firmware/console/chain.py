"""What stands in the clear in the headers of the newest segments: number, kind, time, light. Bodies stay sealed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from storage.errors import StorageError
from storage.inventory import SEGMENTS, SUFFIX, segment_number
from storage.layout import HEADER_BYTES, Kind, Light, parse_header
from storage.reader import SegmentReader

_JOURNAL = bytes(16)
_S = 1_000_000_000
_LIGHTS = {Light.DARK: "dark", Light.LIT: "lit", Light.PARTLY: "partly", Light.UNSENSED: ""}


def newest(flash: Path) -> Mapping[str, Any] | None:
    """Return the newest segment, and whether it is closed; None where there is none."""
    paths = _paths(flash, 1)
    if not paths:
        return None
    told = _opening(paths[0])
    return None if told is None else {**told, "closed": _closed(paths[0])}


def tail(flash: Path, most: int) -> list[Mapping[str, Any]]:
    """Return the newest segments in their order, by their first headers."""
    return [told for path in _paths(flash, most) if (told := _opening(path)) is not None]


def _paths(flash: Path, most: int) -> list[Path]:
    try:
        found = sorted(path for path in (flash / SEGMENTS).glob(f"*{SUFFIX}") if segment_number(path) is not None)
    except OSError:
        return []
    return found[-most:] if most else []


def _opening(path: Path) -> Mapping[str, Any] | None:
    """Return what the first header says; None where there is no whole one yet, or none any more."""
    try:
        with path.open("rb") as file:
            header = parse_header(file.read(HEADER_BYTES))
            size_bytes = path.stat().st_size
    except (OSError, StorageError):
        return None
    stamp = header.stamp
    return {
        "segment": header.place.segment,
        "kind": "destroyed" if header.kind == Kind.DESTRUCTION else _kind(header.place.recording),
        "utc_s": max(0, stamp.utc_ns // _S),
        "clock": stamp.clock_source.name.lower(),
        "light": _LIGHTS[stamp.commanded],
        "sensed": _LIGHTS[stamp.sensed],
        "bytes": size_bytes,
    }


def _kind(recording: bytes) -> str:
    return "journal" if recording == _JOURNAL else "recording"


def _closed(path: Path) -> bool:
    last: int | None = None
    try:
        with SegmentReader(path) as reader:
            for record in reader.records():
                last = record.header.kind
    except (OSError, StorageError):
        return False  # it is being written, or was cut
    return last in (Kind.CLOSING, Kind.DESTRUCTION)
