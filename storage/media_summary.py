"""What the chunks of a segment say in the clear about its media: time, light, sound and gaps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from storage.check import CheckedChunk
from storage.layout import Flags, Kind, Light
from storage.particulars import Gap

_TOLERANCE_NS = 100_000_000
UNACCOUNTED = "unaccounted"


@dataclass(frozen=True, slots=True)
class MediaSummary:
    """Totals over media chunks; times in nanoseconds, `*_chunks` are counts."""

    chunks: int = 0
    duration_ns: int = 0
    start_ns: int = 0
    """Monotonic time of the first media chunk's beginning."""
    end_ns: int = 0
    """Monotonic time of the last media chunk's end."""
    start_utc_ns: int = 0
    end_utc_ns: int = 0
    lit_chunks: int = 0
    """Commanded on for the whole chunk, and not sensed dark."""
    sensed_chunks: int = 0
    """Sensed lit for the whole chunk."""
    dark_chunks: int = 0
    sound_chunks: int = 0
    pre_event_chunks: int = 0
    """Held in memory before the recording was started; the three counts of the light leave them out."""
    pre_event_ns: int = 0
    gaps: tuple[Gap, ...] = ()

    @property
    def announced_chunks(self) -> int:
        """Those that the recording light answers for: all but those of a pre-event buffer."""
        return self.chunks - self.pre_event_chunks


def summarise(chunks: Iterable[CheckedChunk]) -> MediaSummary:
    """Sum up the media chunks among `chunks`, all of one segment.

    Time between two chunks that no gap on record explains becomes a gap with the cause ``unaccounted``.
    """
    chunks = tuple(chunks)
    media = [chunk for chunk in chunks if chunk.header.kind == Kind.MEDIA]
    last_gaps = chunks[-1].gaps if chunks and chunks[-1].header.kind == Kind.CLOSING else ()
    if not media:
        return MediaSummary(gaps=last_gaps)
    first, last = media[0].header.stamp, media[-1].header.stamp
    lit = sensed = dark = sound = held = held_ns = 0
    gaps: list[Gap] = []
    expected_ns = first.monotonic_ns
    for chunk in media:
        stamp = chunk.header.stamp
        hole_ns = stamp.monotonic_ns - expected_ns
        recorded_ns = sum(gap.duration_ns for gap in chunk.gaps)
        if hole_ns > recorded_ns + _TOLERANCE_NS:
            gaps.append(Gap("video", expected_ns, hole_ns, 0, UNACCOUNTED))
        gaps.extend(chunk.gaps)
        expected_ns = stamp.monotonic_ns + stamp.duration_ns
        sound += bool(chunk.header.flags & Flags.SOUND)
        if chunk.header.flags & Flags.PRE_EVENT:
            held += 1
            held_ns += stamp.duration_ns
            continue
        is_lit = stamp.commanded == Light.LIT and stamp.sensed in (Light.LIT, Light.UNSENSED)
        lit += is_lit
        dark += not is_lit
        sensed += is_lit and stamp.sensed == Light.LIT
    gaps.extend(last_gaps)
    return MediaSummary(
        chunks=len(media),
        duration_ns=sum(chunk.header.stamp.duration_ns for chunk in media),
        start_ns=first.monotonic_ns,
        end_ns=last.monotonic_ns + last.duration_ns,
        start_utc_ns=first.utc_ns,
        end_utc_ns=last.utc_ns + last.duration_ns,
        lit_chunks=lit,
        sensed_chunks=sensed,
        dark_chunks=dark,
        sound_chunks=sound,
        pre_event_chunks=held,
        pre_event_ns=held_ns,
        gaps=tuple(gaps),
    )


def merge(parts: Iterable[MediaSummary]) -> MediaSummary:
    """Add up the summaries of a recording's segments, in order, and look at the time between them."""
    parts = tuple(parts)
    gaps: list[Gap] = []
    end_ns: int | None = None
    for part in parts:
        if part.chunks and end_ns is not None:
            hole_ns = part.start_ns - end_ns
            # Those that the closing before tells, and those that the first chunk does.
            told = [gap for gap in gaps if gap.start_ns + gap.duration_ns > end_ns]
            told += [gap for gap in part.gaps if gap.start_ns < part.start_ns]
            recorded_ns = sum(gap.duration_ns for gap in told)
            if hole_ns > recorded_ns + _TOLERANCE_NS:
                gaps.append(Gap("video", end_ns, hole_ns, 0, UNACCOUNTED))
        gaps.extend(part.gaps)
        end_ns = part.end_ns if part.chunks else end_ns
    some = [part for part in parts if part.chunks]
    if not some:
        return MediaSummary(gaps=tuple(gaps))
    return MediaSummary(
        chunks=sum(part.chunks for part in some),
        duration_ns=sum(part.duration_ns for part in some),
        start_ns=some[0].start_ns,
        end_ns=some[-1].end_ns,
        start_utc_ns=some[0].start_utc_ns,
        end_utc_ns=some[-1].end_utc_ns,
        lit_chunks=sum(part.lit_chunks for part in some),
        sensed_chunks=sum(part.sensed_chunks for part in some),
        dark_chunks=sum(part.dark_chunks for part in some),
        sound_chunks=sum(part.sound_chunks for part in some),
        pre_event_chunks=sum(part.pre_event_chunks for part in some),
        pre_event_ns=sum(part.pre_event_ns for part in some),
        gaps=tuple(gaps),
    )
