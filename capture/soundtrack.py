"""From blocks of PCM to AAC frames that each stand at their true time on the monotonic clock.

What is missing is filled with digital silence, so that players keep time, and is on record as a gap. Jitter in the
times of blocks is no gap: only a displacement that lasts counts.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from capture.aac import FRAME_SAMPLES, AacEncoder
from capture.chunk import AUDIO, LOST, OVERFLOW, START, TIMESTAMP, Gap, note_gap
from capture.limits import Limits
from capture.soundclock import SoundClock
from drivers.microphone.protocol import AudioFormat, PcmBlock

_SECOND_NS = 1_000_000_000
_SUSPECTS = 5
"""So many blocks in a row must be displaced before the track jumps."""


@dataclass(frozen=True, slots=True)
class AacFrame:
    """One AAC frame; times in ticks of the sample rate, counted from the monotonic clock's zero."""

    data: bytes
    time: int
    duration: int


class Soundtrack:
    """Takes blocks, gives AAC frames (`frames`) and gaps (`gaps`), which the owner empties. Not for several threads."""

    def __init__(self, fmt: AudioFormat, encoder: AacEncoder, limits: Limits) -> None:
        self._rate = fmt.sample_rate
        self._unit_bytes = 2 * fmt.channels
        self._frame_bytes = FRAME_SAMPLES * self._unit_bytes
        self._encoder = encoder
        self._jump = self.ticks(limits.audio_jump_ns)
        self._longest_fill = self.ticks(limits.audio_fill_ns)
        self._clock = SoundClock()
        self._position: int | None = None
        self._pcm = bytearray()
        self._times: deque[tuple[int, int]] = deque()
        self._suspects: list[tuple[PcmBlock, int]] = []
        # Set when silence stands where the microphone was: the next block is put exactly where it belongs.
        self._resync: str | None = None
        self.frames: list[AacFrame] = []
        self.gaps: list[Gap] = []

    def ticks(self, time_ns: int) -> int:
        """A time or duration in nanoseconds as ticks of the sample rate, rounded to the nearest."""
        return (time_ns * self._rate + _SECOND_NS // 2) // _SECOND_NS

    def begin(self, origin_ns: int) -> None:
        """The first picture was taken at `origin_ns`: sound that begins later is missing until then."""
        if self._position is None:
            self._position = self.ticks(origin_ns)
            self._resync = START
        # What is missing from before the recording is missed by nobody.
        ended_ns = [gap.start_ns + gap.duration_ns for gap in self.gaps]
        self.gaps = [gap for gap, end_ns in zip(self.gaps, ended_ns, strict=True) if end_ns > origin_ns]

    @property
    def end_ns(self) -> int | None:
        """Until when there is sound, or silence in its place; None before the first."""
        if self._position is None:
            return None
        samples = self._next() + sum(self._samples(held) for held, _ in self._suspects)
        return samples * _SECOND_NS // self._rate

    def add(self, block: PcmBlock, cause: str | None = None) -> None:
        """Take in a block; `cause` says that blocks were lost before it, and why."""
        if self._position is None:
            self._position = self.ticks(block.capture_ns)
        cause = cause or (OVERFLOW if block.overflowed else None)
        if cause is not None or self._resync is not None:
            self._trust_suspects()
            self._place(block, cause)
            return
        error = self.ticks(block.capture_ns) - self._next() - sum(self._samples(held) for held, _ in self._suspects)
        if abs(error) <= self._jump:
            self._trust_suspects()
            self._clock.observe(error)
            self._append(block.data)
            return
        self._suspects.append((block, error))
        if len(self._suspects) == _SUSPECTS:
            self._jump_to_suspects()

    def fill_to(self, time_ns: int, cause: str) -> None:
        """Stand silence in for a dead microphone, up to `time_ns`."""
        self._trust_suspects()
        if self._position is None:
            return
        self._miss(self.ticks(time_ns) - self._next(), cause)
        self._resync = cause

    def finish(self) -> None:
        """Encode what is left, its last frame filled up with silence. Nothing may be added afterwards."""
        self._trust_suspects()
        if self._pcm:
            self._append(bytes(-len(self._pcm) % self._frame_bytes))
        self._keep(self._encoder.flush())

    def _next(self) -> int:
        """Where the next sample will stand."""
        if self._position is None:
            raise AssertionError("no sample yet")
        return self._position + len(self._pcm) // self._unit_bytes

    def _samples(self, block: PcmBlock) -> int:
        return len(block.data) // self._unit_bytes

    def _place(self, block: PcmBlock, cause: str | None) -> None:
        """Put a block exactly where its time says: after silence, or without what is already filled."""
        error = self.ticks(block.capture_ns) - self._next()
        resync, self._resync = self._resync, None
        data = block.data
        if error > 0:
            reason = cause or resync or LOST
            self._miss(error, reason, on_record=reason != START or error > self._jump)
        elif error == 0:
            if cause is not None:
                self._note(self._next(), 0, cause)
        elif resync is not None:
            # Silence, already on record, stands where the head of this block belongs.
            data = data[-error * self._unit_bytes :]
            if not data:
                self._resync = resync
                return
        else:
            self._note(self._next(), 0, cause or LOST)
        self._clock.reset()
        self._append(data)

    def _trust_suspects(self) -> None:
        """The displaced blocks were jitter: their samples follow on what came before."""
        suspects, self._suspects = self._suspects, []
        for block, _ in suspects:
            self._append(block.data)

    def _jump_to_suspects(self) -> None:
        """The displacement lasts: jump by its smallest, since blocks come late but never early."""
        suspects, self._suspects = self._suspects, []
        error = min((error for _, error in suspects), key=abs)
        drop = 0
        if error > 0:
            self._miss(error, LOST)
        else:
            drop = -error
            self._note(self._next(), drop, TIMESTAMP)
        self._clock.reset()
        for block, _ in suspects:
            cut = min(drop, self._samples(block))
            drop -= cut
            self._append(block.data[cut * self._unit_bytes :])
        if drop:
            self._resync = TIMESTAMP

    def _miss(self, ticks: int, cause: str, *, on_record: bool = True) -> None:
        """Put `ticks` of silence, or a hole where that would be too long."""
        if ticks <= 0:
            return
        if on_record:
            self._note(self._next(), ticks, cause)
        if ticks <= self._longest_fill:
            self._append(bytes(ticks * self._unit_bytes))
            return
        fill = -len(self._pcm) % self._frame_bytes
        self._append(bytes(fill))
        if self._position is not None:
            self._position += ticks - fill // self._unit_bytes

    def _note(self, start: int, ticks: int, cause: str) -> None:
        start_ns, end_ns = (at * _SECOND_NS // self._rate for at in (start, start + ticks))
        note_gap(self.gaps, Gap(AUDIO, start_ns, end_ns - start_ns, ticks, cause))

    def _append(self, data: bytes) -> None:
        self._pcm += data
        whole = len(self._pcm) // self._frame_bytes
        if not whole or self._position is None:
            return
        for _ in range(whole):
            duration = FRAME_SAMPLES + self._clock.slew()
            self._times.append((self._position, duration))
            self._position += duration
        size = whole * self._frame_bytes
        pcm = bytes(memoryview(self._pcm)[:size])
        del self._pcm[:size]
        self._keep(self._encoder.encode(pcm))

    def _keep(self, packets: list[tuple[int, bytes]]) -> None:
        for number, data in packets:
            if number < 0:
                # The priming frame decodes to nothing heard, but decoders need it before the first.
                self.frames.append(AacFrame(data, self._times[0][0] - FRAME_SAMPLES, FRAME_SAMPLES))
            elif self._times:
                self.frames.append(AacFrame(data, *self._times.popleft()))
