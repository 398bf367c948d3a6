"""What is to be destroyed because it is too old. No I/O; docs/RETENTION.md has the rules with their reasons.

1. A recording's age is that of its first segment that is there. At the limit all its segments go, the last first: a
   power cut in between leaves the beginning, which is still too old.
2. A recording that is under way stays, and so does everything from `open_segment` on.
3. Journals do not go by age: they hold no footage, and they carry the stubs of what was destroyed.
4. What is not a sound segment of this device is never destroyed by age.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from storage.segment_index import IndexedSegment


@dataclass(frozen=True, slots=True)
class Due:
    """A segment that is to be destroyed for its age."""

    number: int
    age_ns: int


def due(
    segments: Sequence[IndexedSegment], age_ns: Callable[[IndexedSegment], int], limit_ns: int, *, under_way: bytes
) -> Iterable[Due]:
    """Yield what is too old, whole recordings at a time, the oldest first.

    Args:
        segments: All that are closed, in order of number.
        age_ns: The least age of one.
        limit_ns: From this age on it is too old.
        under_way: The id of the recording that is being made; zeros if none is.
    """
    recordings: dict[bytes, list[IndexedSegment]] = {}
    for segment in segments:
        if segment.is_media and segment.recording != under_way:
            recordings.setdefault(segment.recording, []).append(segment)
    for parts in recordings.values():
        age = age_ns(parts[0])
        if age >= limit_ns:
            yield from (Due(part.number, age) for part in reversed(parts))
