"""The verifier's answer as JSON (schema version 1) and as text for a person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from station.destroyed import destroyed_json, destroyed_text
from station.moments import utc
from storage.chain_rules import RecordingReport
from storage.inventory import shown
from storage.layout import Header
from storage.media_summary import MediaSummary
from storage.particulars import Gap
from storage.segment_report import SegmentReport
from storage.verify import StoreReport

SCHEMA = "getuige-verify/1"


def as_json(report: StoreReport) -> dict[str, Any]:
    """Return the whole report as JSON-ready data. Times are UTC in ISO 8601, durations in seconds."""
    return {
        "schema": SCHEMA,
        "verdict": report.verdict.value,
        "exit_status": report.verdict.exit_status,
        "scope": report.scope.value,
        "device": report.device.hex(),
        "recordings": [recording_as_json(item) for item in report.recordings],
        "segments": [_segment(item) for item in report.segments],
        "missing_segments": [list(item) for item in report.missing_segments],
        "destroyed": destroyed_json(report.destroyed),
        "findings": [
            {"verdict": item.verdict.value, "segment": item.segment, "text": item.text} for item in report.findings
        ],
    }


def recording_as_json(item: RecordingReport) -> dict[str, Any]:
    """Return one recording's part of the report."""
    media = item.media
    return {
        "id": item.id.hex(),
        "verdict": item.verdict.value,
        "status": item.status,
        "profile": item.profile,
        "started": utc(media.start_utc_ns) if media.chunks else None,
        "sound_until": utc(media.end_utc_ns) if media.chunks else None,
        "duration_s": media.duration_ns / 1e9,
        "chunks": media.chunks,
        "segments": [part.first.place.segment for part in item.segments if part.first],
        "missing_parts": [list(part) for part in item.missing_parts],
        "end_reason": item.reason,
        "indicator": _indicator(media),
        "sound": {"chunks": media.sound_chunks, "coverage": _share(media.sound_chunks, media.chunks)},
        "clock": _clock(item.segments[0].first),
        "pre_event": {"chunks": media.pre_event_chunks, "duration_s": media.pre_event_ns / 1e9},
        "gaps": [_gap(gap, media) for gap in media.gaps],
        "notes": list(item.notes),
    }


def as_text(report: StoreReport) -> Iterator[str]:
    """Yield the report line by line."""
    for item in report.recordings:
        yield from recording_text(item)
    if not report.recordings:
        yield "No recording."
    yield from destroyed_text(report.destroyed)
    told = {note for item in report.recordings for note in item.notes}
    for finding in report.findings:
        if finding.text not in told:
            yield f"Chain: {finding.text}"
    yield signed_text(report)
    yield f"Verdict: {report.verdict.value}"


def signed_text(report: StoreReport) -> str:
    """Return how much of what was given the device signed, and what was looked at."""
    count = sum(1 for item in report.segments if item.first)
    return f"Device {report.device.hex()}: {count} of {len(report.segments)} segments signed by it; {_scope(report)}"


def recording_text(item: RecordingReport) -> Iterator[str]:
    """Yield the lines about one recording."""
    media = item.media
    yield f"Recording {item.id.hex()}: {item.verdict.value} ({item.status})"
    if media.chunks:
        yield (
            f"  {utc(media.start_utc_ns)} to {utc(media.end_utc_ns)}, {media.duration_ns / 1e9:.1f} s, {item.profile}, "
            f"{media.chunks} chunks in {len(item.segments)} segments"
        )
        announced = media.announced_chunks
        sensed = f", sensed lit for {_share(media.sensed_chunks, announced):.1%}" if media.sensed_chunks else ""
        after = " after the pre-event buffer" if media.pre_event_chunks else ""
        yield f"  Recording light on for {_share(media.lit_chunks, announced):.1%} of chunks{after}{sensed}"
        if media.pre_event_chunks:
            yield (
                f"  Its first {media.pre_event_ns / 1e9:.1f} s ({media.pre_event_chunks} chunks) were held in memory "
                "before the recording was started"
            )
        yield f"  Sound in {_share(media.sound_chunks, media.chunks):.1%} of chunks"
    for gap in media.gaps[:20]:
        yield (
            f"  Gap: {gap.track} {gap.duration_ns / 1e9:.3f} s at {(gap.start_ns - media.start_ns) / 1e9:.3f} s, "
            f"{gap.lost_units} lost ({gap.cause})"
        )
    if len(media.gaps) > 20:
        yield f"  ... and {len(media.gaps) - 20} more gaps"
    if item.reason:
        yield f"  Ended: {item.reason}"
    for note in item.notes:
        yield f"  Note: {note}"


def _scope(report: StoreReport) -> str:
    return {
        "store": "the whole store was checked",
        "excerpt": "an excerpt: nothing is said about what came before its first or after its last segment",
        "segment": "one segment alone: nothing is said about the rest of its recording",
    }[report.scope.value]


def _segment(item: SegmentReport) -> dict[str, Any]:
    return {
        "file": shown(item.path),
        "status": item.status.value,
        "number": item.first.place.segment if item.first else None,
        "type": ("media" if item.opening.media else "journal") if item.opening else None,
        "chunks": item.sound_chunks,
        "sound_bytes": item.sound_bytes,
        "torn_bytes": item.torn_bytes,
        "reason": item.reason,
        "opened": utc(item.first.stamp.utc_ns) if item.first else None,
        "sound_until": utc(item.last.stamp.utc_ns + item.last.stamp.duration_ns) if item.last else None,
        "chain": item.tip.chain.hex() if item.tip else None,
        "error": item.error,
    }


def _indicator(media: MediaSummary) -> dict[str, Any]:
    return {
        "lit_chunks": media.lit_chunks,
        "dark_chunks": media.dark_chunks,
        "sensed_lit_chunks": media.sensed_chunks,
        "coverage": _share(media.lit_chunks, media.announced_chunks),
    }


def _clock(first: Header | None) -> dict[str, Any] | None:
    if first is None:
        return None
    unknown = first.stamp.clock_uncertainty_ms == 0xFFFF_FFFF
    return {
        "source": first.stamp.clock_source.name.lower(),
        "uncertainty_ms": None if unknown else first.stamp.clock_uncertainty_ms,
    }


def _gap(gap: Gap, media: MediaSummary) -> dict[str, Any]:
    return {
        "track": gap.track,
        "at_s": (gap.start_ns - media.start_ns) / 1e9,
        "duration_s": gap.duration_ns / 1e9,
        "lost": gap.lost_units,
        "cause": gap.cause,
    }


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
