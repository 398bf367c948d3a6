"""From the verifier's report to what a timeline is made from. No I/O."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from station.outline import Outline
from station.timeline_model import Story
from storage.chain import Tip
from storage.segment_report import SegmentReport, StatedDestruction, Status
from storage.verify import StoreReport


def stories(report: StoreReport, outlines: Mapping[Path, Outline]) -> tuple[Story, ...]:
    """Tell each segment of the chain; `outlines` has one for each file that could be read."""
    unlinked = {finding.segment for finding in report.findings if finding.link}
    forked = _forked(report)
    told: list[Story] = []
    gone = [item.number for item in report.destroyed]
    number_before = 0
    for item, after in itertools.zip_longest(report.chain, report.chain[1:]):
        if item.first is None:
            continue
        place = item.first.place
        told.append(
            Story(
                number=place.segment,
                boot=place.boot,
                recording=place.recording,
                status=item.status,
                reason=item.reason,
                outline=outlines[item.path],
                error=item.error,
                follows=place.segment not in unlinked,
                lost_chunks=_lost(item, after, unlinked),
                forked=place.segment in forked,
                destroyed_before=tuple(number for number in gone if number_before < number < place.segment),
                destructions=tuple(_stated(stated) for stated in item.destructions),
            )
        )
        number_before = place.segment
    return tuple(told)


def _forked(report: StoreReport) -> set[int]:
    """Return the numbers that are there more than once, and differ."""
    found: defaultdict[int, set[tuple[Tip | None, Status]]] = defaultdict(set)
    for item in report.segments:
        if item.first is not None:
            found[item.first.place.segment].add((item.tip, item.status))
    return {number for number, ends in found.items() if len(ends) > 1}


def _lost(item: SegmentReport, after: SegmentReport | None, unlinked: set[int | None]) -> int:
    """Return how many chunks of a segment that was cut the next one knows of."""
    if after is None or after.first is None or after.opening is None or item.first is None:
        return 0
    number = after.first.place.segment
    if number != item.first.place.segment + 1 or number in unlinked or item.status is not Status.CUT:
        return 0
    return max(0, after.opening.previous.chunks - item.sound_chunks)


def _stated(stated: StatedDestruction) -> tuple[int, str]:
    what, destruction = stated.destruction.what, stated.destruction
    whose = f"of recording {what.recording.hex()}" if any(what.recording) else "of the journal"
    text = f"segment {what.segment} {whose}: {destruction.reason.value} after {destruction.age_s / 86_400:.1f} days"
    return stated.header.stamp.monotonic_ns, text
