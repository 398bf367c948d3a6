"""What the verifier says about segments that were destroyed on record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from station.moments import utc
from storage.stubs import DestroyedSegment

_DAY_S = 86_400
_FAR_S = _DAY_S
"""So much less time between the two wall clocks than the age that was reckoned is worth a word."""


def destroyed_json(items: Sequence[DestroyedSegment]) -> list[dict[str, Any]]:
    """Return JSON-ready data, a map for each."""
    return [
        {
            "segment": item.number,
            "recording": item.destruction.what.recording.hex() if any(item.destruction.what.recording) else None,
            "part": item.destruction.what.part,
            "opened": utc(item.destruction.what.opened_utc_ns),
            "bytes": item.destruction.what.size_bytes,
            "sha256": item.destruction.what.digest.hex(),
            "reason": item.destruction.reason.value,
            "age_s": item.destruction.age_s,
            "receipt": item.destruction.receipt.hex() if item.destruction.receipt else None,
            "stated_in": item.stated.place.segment,
            "stated_at": utc(item.stated.stamp.utc_ns),
            "clock_says_younger": _younger(item),
        }
        for item in items
    ]


def destroyed_text(items: Sequence[DestroyedSegment]) -> Iterator[str]:
    """Yield lines: one for what was destroyed of a recording for one reason, in one place of the chain."""
    for (recording, reason, stated_in), group in groupby(items, _key):
        found = list(group)
        first, last = found[0], found[-1]
        segments = f"segment {first.number}" if len(found) == 1 else f"segments {first.number} to {last.number}"
        whose = f"of recording {recording.hex()}" if any(recording) else "of the journal"
        size = sum(item.destruction.what.size_bytes for item in found)
        yield (
            f"Destroyed: {segments} {whose}, opened {utc(first.destruction.what.opened_utc_ns)}, {size} bytes; "
            f"{reason} after {first.destruction.age_s / _DAY_S:.1f} days; stated {utc(first.stated.stamp.utc_ns)} "
            f"in segment {stated_in}"
        )
        if any(_younger(item) for item in found):
            days = (first.stated.stamp.utc_ns - first.destruction.what.opened_utc_ns) / 1e9 / _DAY_S
            yield f"  Note: by the wall clock only {days:.1f} days passed; the device reckoned otherwise"


def _key(item: DestroyedSegment) -> tuple[bytes, str, int]:
    return item.destruction.what.recording, item.destruction.reason.value, item.stated.place.segment


def _younger(item: DestroyedSegment) -> bool:
    passed_s = (item.stated.stamp.utc_ns - item.destruction.what.opened_utc_ns) / 1e9
    return passed_s < item.destruction.age_s - _FAR_S
