"""A timeline as text for a person: when (UTC), how long, what, and the details."""

from __future__ import annotations

from collections.abc import Iterator

from station.event_digest import PrivateSpan
from station.moments import Moment, utc
from station.tiling import What
from station.timeline_model import Entry, Measure, Span, Timeline
from storage.events import Detail, Event

_TIME = 24
_DURATION = 13
_WHAT = 10
_NOT_VERIFIED = "not verified: "
_MAX_DETAIL = 300


def as_text(timeline: Timeline) -> Iterator[str]:
    """Yield the timeline line by line, and what it adds up to."""
    for line in timeline.lines:
        yield _span(line) if isinstance(line, Span) else _entry(line)
    yield from _totals(timeline)
    yield from _opened(timeline)


def duration(time_ns: int | None) -> str:
    """Return hours, minutes and seconds, or a question mark."""
    if time_ns is None:
        return "?"
    tenths = (time_ns + 50_000_000) // 100_000_000
    return f"{tenths // 36_000}:{tenths // 600 % 60:02}:{tenths // 10 % 60:02}.{tenths % 10}"


def shown(text: str) -> str:
    """Return text with whatever is not printable escaped, cut where it is very long: it comes from the evidence."""
    return _printable(text[:_MAX_DETAIL]) + ("..." if len(text) > _MAX_DETAIL else "")


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def event_text(event: Event) -> str:
    """Return an event's name and details, whatever they are."""
    return " ".join([shown(event.name), *(f"{shown(key)}={_value(value)}" for key, value in event.details.items())])


def _value(value: Detail) -> str:
    if isinstance(value, str):
        return f'"{shown(value)}"'
    return {True: "yes", False: "no", None: "none"}[value] if value is None or isinstance(value, bool) else str(value)


def _line(at: Moment | None, how_long: str, what: str, detail: str, verified: bool) -> str:
    time = utc(at.utc_ns) if at else "?"
    text = _printable(detail if verified else _NOT_VERIFIED + detail)
    return f"{time:<{_TIME}}  {how_long:>{_DURATION}}  {what:<{_WHAT}}  {text}".rstrip()


def _span(span: Span) -> str:
    parts = []
    if span.what is What.RECORDING and span.recording is not None:
        parts.append(span.recording.hex())
    if span.segments is not None:
        first, last = span.segments
        parts.append(f"segment {first}" if first == last else f"segments {first} to {last}")
    coverage = span.coverage
    if coverage.chunks:
        if coverage.announced:
            parts.append(f"light on for {coverage.lit / coverage.announced:.1%}")
        if coverage.sensed:
            parts[-1] += f" (sensed {coverage.sensed / coverage.announced:.1%})"
        if coverage.held:
            parts.append(f"{coverage.held} chunks of a pre-event buffer")
        parts.append(f"sound for {coverage.sound / coverage.chunks:.1%}")
    if span.detail:
        parts.append(span.detail)
    how_long = "" if span.end is None else duration(span.duration_ns)
    if span.measure is Measure.WALL:
        how_long = "~" + how_long
    return _line(span.start, how_long, span.what.value, ", ".join(parts), span.verified)


def _entry(entry: Entry) -> str:
    detail = event_text(entry.event) if entry.event else entry.detail
    return _line(entry.at, "", entry.kind.value, detail, entry.verified)


def _totals(timeline: Timeline) -> Iterator[str]:
    bound_s = timeline.bound_ns / 1e9
    yield f"Total, where the device counts as on between two chunks at most {bound_s:g} s apart:"
    for what in (What.READY, What.RECORDING, What.OFF, What.UNPOWERED):
        yield f"  {what.value:<{_WHAT}} {duration(timeline.total_ns(what)):>{_DURATION}}"
    parts = {what: timeline.total_ns(what) for what in (What.GAP, What.MISSING, What.UNKNOWN)}
    rest = timeline.not_verified_ns
    told = [f"{what.value} {duration(time_ns)}" for what, time_ns in parts.items() if time_ns]
    told += [f"not verified {duration(rest)}"] if rest else []
    because = f"  ({', '.join(told)})" if told else ""
    yield f"  {What.UNKNOWN.value:<{_WHAT}} {duration(sum(parts.values()) + rest):>{_DURATION}}{because}"
    if timeline.unmeasured:
        yield f"  and {timeline.unmeasured} of unknown length, or without an end"


def _opened(timeline: Timeline) -> Iterator[str]:
    if not timeline.opened:
        if timeline.sealed_chunks:
            yield f"{timeline.sealed_chunks} chunks of events are sealed to the unit: --key opens them"
        return
    count = sum(entry.event is not None for entry in timeline.entries)
    yield f"{count} events in {timeline.sealed_chunks} chunks"
    for item in timeline.private:
        yield _private(item)
    for purpose in timeline.purposes:
        mark = "" if purpose.verified else _NOT_VERIFIED
        yield f"Purpose of {purpose.recording.hex()}: {mark}{shown(purpose.purpose or 'unclassified')}"


def _private(item: PrivateSpan) -> str:
    mark = "" if item.verified else _NOT_VERIFIED
    about = f" of recording {item.recording.hex()}" if item.recording else ""
    ended = {"wearer": "", "recording": ", until the recording ended", "run": ", not ended by the wearer"}[
        item.ended_by
    ]
    times = f"{utc(item.start.utc_ns)} to {utc(item.end.utc_ns)}"
    return f"Private premises{about}: {mark}{times}, {duration(item.duration_ns)}{ended}"
