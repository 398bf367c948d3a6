"""Cuts pictures and AAC frames into chunks. No threads, no clock of its own: times come in with what is handed over.

The rules:

1. Media time zero is the first picture's; sound from before is dropped.
2. A picture's duration is the next one's time less its own, so one picture is always held back. The last one, and one
   after which nothing came in time, gets its nominal duration.
3. A chunk is closed before a key picture, and before the first picture at or after `chunk_ns`.
4. No track of a chunk is longer than `longest_chunk_ns`: a picture that would be held longer gets its nominal duration,
   and the pictures' time line has a hole, which is on record.
5. Nothing waits longer than `longest_wait_ns`: then the chunk is closed with what there is, pictures or sound alone.
6. Sound goes into the chunk that is closed first after it came.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from capture.chunk import LOST, VIDEO, CmafChunk, Gap, note_gap
from capture.fmp4 import AUDIO_TRACK, VIDEO_TIMESCALE, VIDEO_TRACK, Pieces, Run, Sample, fragment
from capture.limits import Limits
from capture.soundtrack import AacFrame

_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Picture:
    """One coded picture, ready for the file."""

    pieces: Pieces
    size_bytes: int
    capture_ns: int
    key: bool
    lost: int = 0
    """Pictures known to have been dropped just before this one."""
    cause: str | None = None
    """Why, where known."""


@dataclass(frozen=True, slots=True)
class _Held:
    picture: Picture
    time: int
    came_ns: int


class Chunker:
    """Gives finished chunks in `chunks`, which the owner empties. Not for several threads."""

    def __init__(self, limits: Limits, frame_rate: int, sample_rate: int | None) -> None:
        """`sample_rate` is that of the sound track; None where there is none."""
        self._limits = limits
        self._frame_ns = _SECOND_NS // frame_rate
        self._sample_rate = sample_rate or 0
        self._longest_sound = self._limits.longest_chunk_ns * self._sample_rate // _SECOND_NS
        self._sequence = 0
        self._origin_ns: int | None = None
        self._sound_origin = 0
        self._held: _Held | None = None
        self._samples: list[Sample] = []
        self._begin_ns = 0
        self._begin_time = 0
        self._opened_ns = 0
        self._next_time = 0
        self._sound: deque[tuple[AacFrame, int]] = deque()
        """What waits, and when it came."""
        self._gaps: list[Gap] = []
        self.chunks: deque[CmafChunk] = deque()
        self.audio_live = False
        self.video_live = False
        self.frames = 0
        """Pictures taken in."""
        self.last_capture_ns = 0
        """When the last of them was taken."""

    @property
    def origin_ns(self) -> int | None:
        """Media time zero on the monotonic clock, once the first picture came."""
        return self._origin_ns

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Gaps that no chunk carries yet."""
        return tuple(self._gaps)

    def deadline_ns(self) -> int | None:
        """When `tick` must be called at the latest, or None while nothing waits."""
        if self._origin_ns is None:
            return None
        since = [self._sound[0][1]] if self._sound else []
        if self._held is not None:
            since.append(self._opened_ns)
        return min(since) + self._limits.longest_wait_ns if since else None

    def picture(self, picture: Picture, now_ns: int) -> None:
        """Take in a picture, later than the one before; the first is a key picture."""
        capture_ns = picture.capture_ns
        if self._origin_ns is None:
            self._origin_ns = capture_ns
            self._sound_origin = (capture_ns * self._sample_rate + _SECOND_NS // 2) // _SECOND_NS
            self._drop_early_sound()
        elapsed_ns = capture_ns - self._origin_ns
        time = max((elapsed_ns * VIDEO_TIMESCALE + _SECOND_NS // 2) // _SECOND_NS, self._next_time)
        if self._held is not None:
            if capture_ns - self._begin_ns > self._limits.longest_chunk_ns:
                self._cut_after_held(self._held)
            else:
                self._let_go(max(1, time - self._held.time))
                if picture.key or capture_ns - self._begin_ns >= self._limits.chunk_ns - self._frame_ns // 2:
                    self._cut(capture_ns)
        time = max(time, self._next_time)
        self._note_hole(picture)
        self._hold(_Held(picture, time, now_ns))
        self.frames += 1
        self.last_capture_ns = capture_ns

    def sound(self, frames: list[AacFrame], now_ns: int) -> None:
        """Take in AAC frames, in order."""
        self._sound.extend((frame, now_ns) for frame in frames)
        if self._origin_ns is None:
            # Nothing can be kept yet but the last chunk's worth: the first picture may be that old already.
            while len(self._sound) > 1 and self._sound[-1][0].time - self._sound[0][0].time > 2 * self._longest_sound:
                self._sound.popleft()
        else:
            self._drop_early_sound()

    def gap(self, gap: Gap) -> None:
        """Put a gap on record, with the next chunk."""
        note_gap(self._gaps, gap)

    def tick(self, now_ns: int) -> None:
        """Close what has waited long enough."""
        deadline_ns = self.deadline_ns()
        if deadline_ns is None:
            return
        held, late = self._held, now_ns >= deadline_ns
        if held is None:
            first, last = self._sound[0][0], self._sound[-1][0]
            length = last.time + last.duration - first.time
            if late or length * _SECOND_NS >= self._limits.chunk_ns * self._sample_rate:
                self._cut(0)
        elif late and self._samples:
            self._cut(held.picture.capture_ns)
            self._hold(held)
        elif late and now_ns - self._opened_ns < self._limits.longest_wait_ns:
            # Only the sound has waited too long: the held picture may still learn its duration.
            self._cut(0)
        elif late:
            self._cut_after_held(held)

    def finish(self) -> None:
        """Close everything."""
        if self._held is not None:
            self._cut_after_held(self._held)
        if self._origin_ns is not None:
            while self._sound:
                self._cut(0)

    def _cut_after_held(self, held: _Held) -> None:
        """Close the chunk with the held picture as its last, which gets its nominal duration."""
        left_ns = self._limits.longest_chunk_ns - (held.picture.capture_ns - self._begin_ns)
        duration_ns = min(self._frame_ns, left_ns)
        self._let_go(max(1, (duration_ns * VIDEO_TIMESCALE + _SECOND_NS // 2) // _SECOND_NS))
        self._cut(held.picture.capture_ns + duration_ns)

    def _hold(self, held: _Held) -> None:
        if not self._samples:
            self._begin_ns, self._begin_time, self._opened_ns = held.picture.capture_ns, held.time, held.came_ns
        self._held = held

    def _let_go(self, duration: int) -> None:
        """The held picture's duration is known: into the open chunk with it."""
        if self._held is None:
            raise AssertionError("no picture held")
        picture = self._held.picture
        self._samples.append(Sample(picture.pieces, picture.size_bytes, duration, picture.key))
        self._next_time = self._held.time + duration
        self._held = None

    def _note_hole(self, picture: Picture) -> None:
        if not self.frames:
            return
        hole_ns = picture.capture_ns - self.last_capture_ns - self._frame_ns
        if picture.cause is None and hole_ns <= self._frame_ns // 2:
            return
        missing = round(max(0, hole_ns) / self._frame_ns)
        start_ns = self.last_capture_ns + self._frame_ns
        lost = max(picture.lost, missing)
        self.gap(Gap(VIDEO, start_ns, max(0, hole_ns), lost, picture.cause or LOST))

    def _drop_early_sound(self) -> None:
        while self._sound and self._sound[0][0].time < self._sound_origin:
            self._sound.popleft()

    def _cut(self, end_ns: int) -> None:
        """Close the chunk: the pictures let go, which end at `end_ns`, and the sound there is."""
        runs: list[Run] = []
        sound = self._take_sound()
        if self._samples:
            start_ns, duration_ns = self._begin_ns, end_ns - self._begin_ns
            runs.append(Run(VIDEO_TRACK, self._begin_time, self._samples))
        elif sound:
            start_ns = sound[0].time * _SECOND_NS // self._sample_rate
            duration_ns = (sound[-1].time + sound[-1].duration) * _SECOND_NS // self._sample_rate - start_ns
        else:
            return
        if sound:
            samples = [Sample([frame.data], len(frame.data), frame.duration, key=True) for frame in sound]
            runs.append(Run(AUDIO_TRACK, sound[0].time - self._sound_origin, samples))
        self._sequence += 1
        self.chunks.append(
            CmafChunk(
                data=fragment(self._sequence, runs),
                start_ns=start_ns,
                duration_ns=duration_ns,
                key=bool(self._samples) and self._samples[0].key,
                frames=len(self._samples),
                gaps=tuple(self._gaps),
                audio_live=self.audio_live,
                video_live=self.video_live,
            )
        )
        self._samples = []
        self._gaps = []

    def _take_sound(self) -> list[AacFrame]:
        """The sound that came, as long as it is contiguous and fits one chunk."""
        taken: list[AacFrame] = []
        length = 0
        while self._sound:
            frame, _ = self._sound[0]
            length += frame.duration
            if length > self._longest_sound or (taken and taken[-1].time + taken[-1].duration != frame.time):
                break
            self._sound.popleft()
            taken.append(frame)
        return taken
