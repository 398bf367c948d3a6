"""Which segments there are, by their first 104 bytes: enough to decide what is to be destroyed, and quick."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from storage.errors import FormatError, StoreFailedError
from storage.inventory import SEGMENTS, segment_name, segment_number
from storage.layout import HEADER_BYTES, Kind, parse_header


@dataclass(frozen=True, slots=True)
class IndexedSegment:
    """What a segment's opening header says."""

    number: int
    recording: bytes
    """Zeros for a journal."""
    boot: bytes
    monotonic_ns: int

    @property
    def is_media(self) -> bool:
        """Whether it is part of a recording."""
        return any(self.recording)


class SegmentIndex:
    """Reads each file's header once. For one thread."""

    def __init__(self, root: Path, device: bytes) -> None:
        """`device` is the 16-byte device id; what is of another device is left out and told."""
        self._folder = root / SEGMENTS
        self._device = device
        self._known: dict[int, IndexedSegment | None] = {}

    def refresh(self, below: int) -> list[IndexedSegment]:
        """Return the segments with numbers below `below`, in order.

        Raises:
            StoreFailedError: the store cannot be listed or read.
        """
        try:
            numbers = {number for path in self._folder.iterdir() if (number := segment_number(path)) is not None}
            self._known = {number: item for number, item in self._known.items() if number in numbers}
            for number in sorted(numbers - self._known.keys()):
                if number < below:
                    self._known[number] = self._read(number)
        except OSError as error:
            raise StoreFailedError(f"cannot list {self._folder}: {error.strerror}") from error
        return [item for number, item in sorted(self._known.items()) if item is not None and number < below]

    @property
    def strange(self) -> list[int]:
        """Numbers of files that are no segment of this device: never destroyed by age."""
        return sorted(number for number, item in self._known.items() if item is None)

    def _read(self, number: int) -> IndexedSegment | None:
        with (self._folder / segment_name(number)).open("rb") as file:
            data = file.read(HEADER_BYTES)
        try:
            header = parse_header(data)
        except FormatError:
            return None
        place = header.place
        if place.device != self._device or place.segment != number or header.kind != Kind.OPENING:
            return None
        return IndexedSegment(number, place.recording, place.boot, header.stamp.monotonic_ns)
