"""What there is to offload: closed segments, with lengths and digests. Each file is hashed once a run."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from storage.errors import FormatError
from storage.inventory import SEGMENTS, segment_name, segment_number
from storage.layout import HEADER_BYTES, parse_header

_PAGE = 256
"""At most so many in one answer."""
_JOURNAL = bytes(16)


@dataclass(frozen=True, slots=True)
class Offered:
    """One closed segment."""

    number: int
    size_bytes: int
    digest: str
    """SHA-256 of the file, in hex."""
    recording: str
    """Its recording's id in hex; empty for a journal."""


class Catalogue:
    """The segments in `root`. Thread-safe."""

    def __init__(self, root: Path, open_segment: Callable[[], int | None]) -> None:
        """`open_segment` is the number of the one that is written now: it is not offered."""
        self._folder = root / SEGMENTS
        self._open_segment = open_segment
        self._digests: dict[tuple[int, int, int], tuple[str, str]] = {}
        self._lock = threading.Lock()

    def page(self, after: int) -> tuple[list[Offered], bool]:
        """Return the segments with higher numbers than `after`, in order, and whether there are more.

        Raises:
            OSError: the medium does not answer.
        """
        numbers = sorted(found for path in self._folder.iterdir() if (found := segment_number(path)) is not None)
        closed = self._open_segment()
        wanted = [number for number in numbers if number > after and (closed is None or number < closed)]
        offered = [item for number in wanted[:_PAGE] if (item := self._look(number)) is not None]
        return offered, len(wanted) > _PAGE

    def path(self, number: int) -> Path | None:
        """Return the file of a closed segment, or None."""
        closed = self._open_segment()
        path = self._folder / segment_name(number)
        return path if (closed is None or number < closed) and path.is_file() else None

    def _look(self, number: int) -> Offered | None:
        path = self._folder / segment_name(number)
        try:
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                key = (number, status.st_size, status.st_mtime_ns)
                with self._lock:
                    known = self._digests.get(key)
                if known is None:
                    known = (hashlib.file_digest(file, "sha256").hexdigest(), _recording(file.fileno()))
                    with self._lock:
                        self._digests[key] = known
        except FileNotFoundError:
            return None  # destroyed meanwhile
        return Offered(number, status.st_size, *known)


def _recording(fd: int) -> str:
    try:
        recording = parse_header(os.pread(fd, HEADER_BYTES, 0)).place.recording
    except FormatError:
        return ""  # the station says what is the matter with it
    return "" if recording == _JOURNAL else recording.hex()
