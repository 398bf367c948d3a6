"""A timeline as JSON (docs/VERIFY.md, "getuige-timeline/1")."""

from __future__ import annotations

from typing import Any

from station.moments import Moment, utc
from station.outline import Coverage
from station.tiling import What
from station.timeline_model import Entry, Span, Timeline
from storage.verify import StoreReport

SCHEMA = "getuige-timeline/1"


def as_json(report: StoreReport, timeline: Timeline) -> dict[str, Any]:
    """Return the timeline as JSON-ready data. Times are UTC in ISO 8601, durations in seconds."""
    return {
        "schema": SCHEMA,
        "verdict": report.verdict.value,
        "exit_status": report.verdict.exit_status,
        "scope": report.scope.value,
        "device": report.device.hex(),
        "ready_within_s": timeline.bound_ns / 1e9,
        "boots": [boot.hex() for boot in timeline.boots],
        "timeline": [_span(line) if isinstance(line, Span) else _entry(line) for line in timeline.lines],
        "totals_s": {what.value: timeline.total_ns(what) / 1e9 for what in What}
        | {"not verified": timeline.not_verified_ns / 1e9},
        "unmeasured_spans": timeline.unmeasured,
        "sealed_event_chunks": timeline.sealed_chunks,
        "opened": _opened(timeline) if timeline.opened else None,
        "findings": [
            {"verdict": item.verdict.value, "segment": item.segment, "text": item.text} for item in report.findings
        ],
    }


def _opened(timeline: Timeline) -> dict[str, Any]:
    return {
        "private_premises": [
            {
                "start": _moment(item.start),
                "end": _moment(item.end),
                "duration_s": item.duration_ns / 1e9,
                "recording": item.recording.hex() if item.recording else None,
                "ended_by": item.ended_by,
                "verified": item.verified,
            }
            for item in timeline.private
        ],
        "purposes": [
            {"recording": item.recording.hex(), "purpose": item.purpose, "verified": item.verified}
            for item in timeline.purposes
        ],
    }


def _moment(moment: Moment | None) -> dict[str, Any] | None:
    if moment is None:
        return None
    return {"utc": utc(moment.utc_ns), "boot": moment.run, "monotonic_ns": moment.monotonic_ns}


def _span(span: Span) -> dict[str, Any]:
    return {
        "span": span.what.value,
        "start": _moment(span.start),
        "end": _moment(span.end),
        "duration_s": None if span.duration_ns is None else span.duration_ns / 1e9,
        "measured_by": None if span.duration_ns is None else span.measure.value,
        "segments": list(span.segments) if span.segments else None,
        "recording": span.recording.hex() if span.recording else None,
        "media": _coverage(span.coverage) if span.coverage.chunks else None,
        "detail": span.detail,
        "verified": span.verified,
    }


def _coverage(coverage: Coverage) -> dict[str, int]:
    return {
        "chunks": coverage.chunks,
        "lit_chunks": coverage.lit,
        "sensed_lit_chunks": coverage.sensed,
        "sound_chunks": coverage.sound,
        "pre_event_chunks": coverage.held,
    }


def _entry(entry: Entry) -> dict[str, Any]:
    event = entry.event
    return {
        "entry": entry.kind.value,
        "at": _moment(entry.at),
        "segment": entry.segment,
        "detail": entry.detail,
        "event": {"name": event.name, "details": dict(event.details)} if event else None,
        "verified": entry.verified,
    }
