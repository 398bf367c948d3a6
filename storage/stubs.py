"""Segments that are gone and left a signed stub: do the stubs fit together, and with what is there? No I/O.

The rules (docs/FORMAT.md, "Verifying a store"):

1. What is stated about a segment is the same wherever it is stated; otherwise *not authentic*.
2. A segment that is gone and stated is *destroyed*. It is linked on both sides like one that is there: its `previous`
   is the end of the segment before, and its `last` is what the segment after names.
3. A segment that is there all the same must end as stated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from storage.chain import genesis
from storage.destruction import Destroyed, Destruction
from storage.findings import Finding
from storage.layout import Header
from storage.particulars import Previous
from storage.segment_report import SegmentReport, Status
from storage.verdict import Verdict


@dataclass(frozen=True, slots=True)
class DestroyedSegment:
    """A segment that is gone, and the chunk that first says so."""

    destruction: Destruction
    stated: Header

    @property
    def number(self) -> int:
        """Its number."""
        return self.destruction.what.segment


def collect(chain: Sequence[SegmentReport], findings: list[Finding]) -> dict[int, DestroyedSegment]:
    """Return what the sound chunks of a chain state, by number; what contradicts itself becomes a finding."""
    found: dict[int, DestroyedSegment] = {}
    for report in chain:
        for stated in report.destructions:
            what = stated.destruction.what
            first = found.setdefault(what.segment, DestroyedSegment(stated.destruction, stated.header))
            if first.destruction.what != what:
                number = stated.header.place.segment
                text = (
                    f"segments {first.stated.place.segment} and {number} state different things about "
                    f"segment {what.segment}, which was destroyed"
                )
                findings.append(Finding(Verdict.NOT_AUTHENTIC, text, what.segment))
    return found


def compare_present(chain: Sequence[SegmentReport], stubs: Mapping[int, DestroyedSegment]) -> Iterable[Finding]:
    """Check segments that are there although their destruction is on record."""
    for report in chain:
        end = end_of(report)
        stub = stubs.get(end.segment)
        if stub is None:
            continue
        last = stub.destruction.what.last
        if last == end or report.status is Status.BROKEN:
            text = (
                f"segment {end.segment} is there, although segment {stub.stated.place.segment} states its destruction"
            )
            yield Finding(Verdict.AUTHENTIC, text, end.segment)
        elif last.chunks > end.chunks and report.status is Status.CUT:
            lost = last.chunks - end.chunks
            yield Finding(
                Verdict.MISSING_PARTS, f"the last {lost} chunks of segment {end.segment} are missing", end.segment
            )
        else:
            text = f"segment {end.segment} does not end as segment {stub.stated.place.segment} states"
            yield Finding(Verdict.NOT_AUTHENTIC, text, end.segment)


@dataclass(frozen=True, slots=True)
class Hole:
    """What is not there between two segments, or before the first."""

    missing: tuple[tuple[int, int], ...]
    destroyed: tuple[DestroyedSegment, ...]
    findings: tuple[Finding, ...]


def look_into(
    before: SegmentReport | None,
    after: SegmentReport,
    first: int,
    stubs: Mapping[int, DestroyedSegment],
    identity: bytes,
) -> Hole:
    """Judge the segments `first` to the one before `after`, none of which is there.

    `before` is the one before `first`, if that is there; the first of all follows the genesis of `identity`.
    """
    last_number = end_of(after).segment - 1
    known: Previous | None = None
    cut = False
    if before is not None and before.status is not Status.BROKEN:
        known, cut = end_of(before), before.status is Status.CUT
    elif first == 1:
        known = Previous(0, 0, genesis(identity))
    stated = sorted(number for number in stubs if first <= number <= last_number)
    missing: list[tuple[int, int]] = []
    findings: list[Finding] = []
    at = first
    for number in stated:
        if number > at:
            missing.append((at, number - 1))
            known = None
        what = stubs[number].destruction.what
        findings += _follows(known, what, cut=cut)
        known, cut, at = what.last, False, number + 1
    if at <= last_number:
        missing.append((at, last_number))
    elif known is not None and _opening_previous(after) != known:
        text = f"segment {last_number + 1} does not follow segment {last_number}, which was destroyed"
        findings.append(Finding(Verdict.NOT_AUTHENTIC, text, last_number + 1, link=True))
    return Hole(tuple(missing), tuple(stubs[number] for number in stated), tuple(findings))


def _follows(known: Previous | None, what: Destroyed, *, cut: bool) -> Iterable[Finding]:
    if known is None or known == what.previous:
        return
    if cut and what.previous.chunks > known.chunks:
        lost = what.previous.chunks - known.chunks
        text = (
            f"the last {lost} chunks of segment {known.segment} are missing: "
            f"the stub of segment {what.segment} knows of them"
        )
        yield Finding(Verdict.MISSING_PARTS, text, known.segment)
        return
    text = f"segment {what.segment}, which was destroyed, does not follow segment {known.segment} as it stands here"
    yield Finding(Verdict.NOT_AUTHENTIC, text, what.segment)


def end_of(report: SegmentReport) -> Previous:
    """Return what the next opening names, if this segment is all there."""
    assert report.first is not None  # noqa: S101 - only sound openings are in a chain
    assert report.tip is not None  # noqa: S101 - the same
    return Previous(report.first.place.segment, report.sound_chunks, report.tip)


def _opening_previous(report: SegmentReport) -> Previous:
    assert report.opening is not None  # noqa: S101 - only sound openings are in a chain
    return report.opening.previous
