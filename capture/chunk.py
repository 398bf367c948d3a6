"""What capture hands to whoever keeps it: chunks of media, and gaps for what is missing."""

from __future__ import annotations

from dataclasses import dataclass, replace

VIDEO = "video"
AUDIO = "audio"

LOST = "lost"
"""The driver delivered a hole: frames or samples vanished upstream."""
OVERFLOW = "overflow"
"""Nobody took the data in time: our queue or the sound card's was full."""
STALL = "stall"
"""The part fell silent and was started again."""
FAULT = "fault"
"""The part reported a fault and was started again."""
TIMESTAMP = "timestamp"
"""Times that ran backwards, stood still or lay in the future: the data could not be placed."""
NO_KEY = "no-key"
"""Pictures that cannot be decoded, because no key picture came before them."""
DAMAGED = "damaged"
"""A picture that is not a well-formed H.264 access unit."""
NO_SIGNAL = "no-signal"
"""The microphone is dead; digital silence stands in its place."""
START = "start"
"""The microphone began to deliver after the first picture."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that was not recorded."""

    track: str
    """``video`` or ``audio``."""
    start_ns: int
    duration_ns: int
    lost_units: int
    """Frames, or samples per channel; 0 where only the time is known."""
    cause: str
    """One of the short causes of this module."""


_TOUCHING_NS = 100_000


def note_gap(gaps: list[Gap], gap: Gap) -> None:
    """Put `gap` on the list; where it goes on from the track's last one, for the same cause, the two become one."""
    for index in range(len(gaps) - 1, -1, -1):
        last = gaps[index]
        if last.track != gap.track:
            continue
        end_ns = last.start_ns + last.duration_ns
        if last.cause == gap.cause and abs(gap.start_ns - end_ns) <= _TOUCHING_NS:
            duration_ns = gap.start_ns + gap.duration_ns - last.start_ns
            gaps[index] = replace(last, duration_ns=duration_ns, lost_units=last.lost_units + gap.lost_units)
            return
        break
    gaps.append(gap)


@dataclass(frozen=True, slots=True)
class CmafChunk:
    """One movie fragment (ISO/IEC 14496-12: moof and mdat), at most `Limits.longest_chunk_ns` of each track."""

    data: bytes
    start_ns: int
    """When its first picture was taken; without pictures, when its first sample was heard."""
    duration_ns: int
    """Of the pictures; without pictures, of the sound."""
    key: bool
    """It begins with an IDR picture."""
    frames: int
    gaps: tuple[Gap, ...]
    audio_live: bool
    """Sound from the microphone was arriving when the chunk was closed."""
    video_live: bool
    """Pictures from the camera were arriving when the chunk was closed."""
