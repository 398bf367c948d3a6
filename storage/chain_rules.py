"""The rules between segments, with no I/O: who follows whom, what is missing, and what each recording amounts to.

The rules, for the sound segments in order of number:

1. A number appears once. The same file twice is said; two different ones are a fork: *not authentic*.
2. Segment 1 follows the genesis of the device's identity.
3. Where both n and n+1 are there, n+1's `previous` names n, and the chain value and signature of the last chunk that
   n has. If it names a later chunk, the chunks between are missing; anything else is *not authentic*.
4. Numbers that are not there are missing: before the first in a store, between the first and the last always; but
   those of which a later segment states the destruction are *destroyed* (`storage.stubs`).
5. A chain ends with a segment closed for power-off; otherwise what came after it is missing (in a store).
6. A recording has parts 0, 1, 2 ... and its last one is closed, for another reason than rotation.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from storage.chain import genesis
from storage.findings import Finding
from storage.inventory import Scope, segment_number, shown
from storage.media_summary import MediaSummary, merge
from storage.particulars import Opening
from storage.segment_report import SegmentReport, Status
from storage.stubs import DestroyedSegment, Hole, collect, compare_present, look_into
from storage.verdict import Verdict, worst

_ENDS = frozenset({"power-off", "low-power", "fault"})


@dataclass(frozen=True, slots=True)
class RecordingReport:
    """What a recording amounts to."""

    id: bytes
    verdict: Verdict
    status: str
    """``complete``, ``cut``, ``incomplete``, ``broken``, or ``part``: one of several, sound, taken alone."""
    profile: str
    segments: tuple[SegmentReport, ...]
    media: MediaSummary
    missing_parts: tuple[tuple[int, int], ...]
    """Ranges of part numbers, first and last, that are not there."""
    reason: str | None
    """Why it ended, from its last closing chunk."""
    sound_prefix: int
    """How many of `segments`, from the first, are parts 0, 1, 2 ... rightly linked; only the last may be unsound.

    A file alone is its own beginning, whatever its part."""
    notes: tuple[str, ...]
    """What is cut, missing or broken, and where, one line each."""


@dataclass(frozen=True, slots=True)
class Links:
    """The sound segments in order, and what was found between them."""

    scope: Scope
    chain: tuple[SegmentReport, ...]
    findings: tuple[Finding, ...]
    missing: tuple[tuple[int, int], ...]
    destroyed: tuple[DestroyedSegment, ...] = ()
    """Those that are gone and left a stub that fits, in order."""


def check_links(segments: Sequence[SegmentReport], scope: Scope, identity: bytes) -> Links:
    """Order the segments and check each against the one before."""
    findings: list[Finding] = []
    chain = _order(segments, scope, findings)
    stubs = collect(chain, findings)
    holes: list[Hole] = []
    if chain and scope is Scope.STORE and _number(chain[0]) > 1:
        holes.append(look_into(None, chain[0], 1, stubs, identity))
    elif chain and min(stubs, default=_number(chain[0])) < _number(chain[0]):
        # Nothing is said about what is missing before an excerpt.
        holes.append(replace(look_into(None, chain[0], min(stubs), stubs, identity), missing=()))
    for report in chain[:1]:
        previous = _opening(report).previous
        if _number(report) == 1 and (previous.segment or previous.chunks or previous.tip != genesis(identity)):
            findings.append(
                Finding(Verdict.NOT_AUTHENTIC, "segment 1 does not follow the device's genesis", 1, link=True)
            )
    for before, after in itertools.pairwise(chain):
        if _number(after) > _number(before) + 1:
            holes.append(look_into(before, after, _number(before) + 1, stubs, identity))
        else:
            findings.extend(_link(before, after))
    missing = [item for hole in holes for item in hole.missing]
    findings.extend(finding for hole in holes for finding in hole.findings)
    findings.extend(compare_present(chain, stubs))
    findings.extend(
        Finding(Verdict.MISSING_PARTS, f"{_range(first, last)} missing from the chain", first)
        for first, last in missing
    )
    if scope is Scope.STORE and chain:
        findings.extend(_end(chain[-1]))
    findings.extend(
        Finding(report.verdict, f"segment {_number(report)} ({shown(report.path)}): {report.error}", _number(report))
        for report in chain
        if report.error is not None
    )
    destroyed = tuple(item for hole in holes for item in hole.destroyed)
    return Links(scope, tuple(chain), tuple(findings), tuple(missing), destroyed)


def _order(segments: Sequence[SegmentReport], scope: Scope, findings: list[Finding]) -> list[SegmentReport]:
    by_number: dict[int, SegmentReport] = {}
    highest = max((_number(report) for report in segments if report.first), default=0)
    for report in segments:
        if report.first is None:
            named = segment_number(report.path) or 0
            # A recorder killed at once after creating a file leaves an opening that is not there yet.
            just_born = scope is Scope.STORE and report.status is Status.UNSIGNED and named == highest + 1
            verdict = Verdict.MISSING_PARTS if just_born and _begun(report) else report.verdict
            findings.append(Finding(verdict, f"{shown(report.path)}: {report.error}", named or None))
            continue
        number = _number(report)
        other = by_number.setdefault(number, report)
        if other is report:
            continue
        same = other.tip == report.tip and other.status == report.status
        findings.append(
            Finding(
                Verdict.AUTHENTIC if same else Verdict.NOT_AUTHENTIC,
                f"segment {number} is there twice, {'the same' if same else 'and differs'}: "
                f"{shown(other.path)} and {shown(report.path)}",
                number,
            )
        )
        if report.sound_chunks > other.sound_chunks:
            by_number[number] = report
    return [by_number[number] for number in sorted(by_number)]


def _begun(report: SegmentReport) -> bool:
    """Whether the file is an opening in the making: empty, or the start of a record."""
    return report.torn_bytes > 0 or report.error == "the file is empty"


def _link(before: SegmentReport, after: SegmentReport) -> Iterable[Finding]:
    number, previous = _number(after), _opening(after).previous
    if previous.segment == number - 1 and previous.chunks == before.sound_chunks and previous.tip == before.tip:
        return
    if before.status is Status.BROKEN:
        return  # it is reported as broken already, and its true end is not known
    if previous.segment == number - 1 and previous.chunks > before.sound_chunks and before.status is Status.CUT:
        lost = previous.chunks - before.sound_chunks
        text = f"the last {lost} chunks of segment {number - 1} are missing: segment {number} knows of them"
        yield Finding(Verdict.MISSING_PARTS, text, number - 1)
        return
    text = f"segment {number} does not follow segment {number - 1} as it stands here"
    yield Finding(Verdict.NOT_AUTHENTIC, text, number, link=True)


def _end(last: SegmentReport) -> Iterable[Finding]:
    if last.status is Status.CLOSED and last.reason not in _ENDS:
        number = _number(last)
        text = f"segment {number} was closed for {last.reason}, so another followed; it is missing"
        yield Finding(Verdict.MISSING_PARTS, text, number + 1)


def judge_recordings(links: Links) -> tuple[RecordingReport, ...]:
    """Group media segments by recording and judge each recording, in the order of the chain."""
    groups: dict[bytes, list[SegmentReport]] = {}
    for report in links.chain:
        if _opening(report).media and report.first is not None:
            groups.setdefault(report.first.place.recording, []).append(report)
    return tuple(_judge_recording(key, parts, links) for key, parts in groups.items())


def _judge_recording(key: bytes, parts: list[SegmentReport], links: Links) -> RecordingReport:
    numbers = {_number(part) for part in parts}
    notes = [
        finding.text
        for finding in links.findings
        if finding.segment in numbers and finding.verdict is not Verdict.AUTHENTIC
    ]
    verdict = worst(
        [part.verdict for part in parts] + [item.verdict for item in links.findings if item.segment in numbers]
    )
    last = parts[-1]
    missing: tuple[tuple[int, int], ...] = ()
    ended = last.status is Status.CLOSED and last.reason != "rotation"
    gone = sorted(item.destruction.what.part for item in links.destroyed if item.destruction.what.recording == key)
    if gone:
        notes.append(f"parts destroyed: {', '.join(map(str, gone[:20]))}{' ...' if len(gone) > 20 else ''}")
        verdict = worst([verdict, Verdict.MISSING_PARTS])
    if links.scope is not Scope.SEGMENT:
        missing = _holes({_opening(part).part for part in parts} | set(gone))
        if missing:
            ranges = [str(low) if low == high else f"{low} to {high}" for low, high in missing[:20]]
            notes.append(f"parts missing: {', '.join(ranges)}{' ...' if len(missing) > 20 else ''}")
        if last.status is Status.CLOSED and not ended:
            notes.append(f"the end is missing: part {_opening(last).part} says that another follows")
        disorder = list(_disorder(parts)) if verdict is Verdict.AUTHENTIC and not missing else []
        notes += disorder
        if missing or disorder or not ended:
            verdict = worst([verdict, Verdict.MISSING_PARTS])
    alone = links.scope is Scope.SEGMENT and bool(not ended or _opening(last).part)
    if alone:
        notes.append(f"this is part {_opening(last).part} of the recording, verified alone")
    return RecordingReport(
        id=key,
        verdict=verdict,
        status="part" if alone and verdict is Verdict.AUTHENTIC else _status(verdict, last),
        profile=_opening(parts[0]).profile,
        segments=tuple(parts),
        media=merge(part.media for part in parts),
        missing_parts=missing,
        reason=last.reason,
        sound_prefix=_sound_prefix(
            parts,
            {item.segment for item in links.findings if item.link},
            _opening(parts[0]).part if links.scope is Scope.SEGMENT else 0,
        ),
        notes=tuple(notes),
    )


def _holes(parts: set[int]) -> tuple[tuple[int, int], ...]:
    """Return the ranges that are missing below the highest part; the number of a part may be any."""
    steps = itertools.pairwise([-1, *sorted(parts)])
    return tuple((low + 1, high - 1) for low, high in steps if high > low + 1)


def _disorder(parts: Sequence[SegmentReport]) -> Iterable[str]:
    """Say where sound parts do not follow one another as those of one recording do."""
    for before, after in itertools.pairwise(parts):
        here, there = _opening(before).part, _opening(after).part
        if (there, _number(after)) != (here + 1, _number(before) + 1):
            yield f"part {there} (segment {_number(after)}) does not follow part {here} (segment {_number(before)})"
        elif before.reason != "rotation":
            yield f"part {there} follows part {here}, which was closed for {before.reason}"


def _sound_prefix(parts: Sequence[SegmentReport], unlinked: set[int | None], begins: int) -> int:
    for index, part in enumerate(parts):
        if _opening(part).part != begins + index or _number(part) in unlinked:
            return index
        if part.status is not Status.CLOSED:
            return index + 1
    return len(parts)


def _status(verdict: Verdict, last: SegmentReport) -> str:
    if verdict is Verdict.AUTHENTIC:
        return "complete"
    if verdict is Verdict.MISSING_PARTS:
        return "cut" if last.status is Status.CUT else "incomplete"
    return "broken"


def _number(report: SegmentReport) -> int:
    assert report.first is not None  # noqa: S101 - only sound openings are in a chain
    return report.first.place.segment


def _opening(report: SegmentReport) -> Opening:
    assert report.opening is not None  # noqa: S101 - only sound openings are in a chain
    return report.opening


def _range(first: int, last: int) -> str:
    return f"segment {first} is" if first == last else f"segments {first} to {last} are"
