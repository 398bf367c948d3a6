"""Sound on the monotonic clock: drift, jitter, losses and silence."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest

from capture.aac import AacEncoder
from capture.chunk import LOST, NO_SIGNAL, OVERFLOW, START, TIMESTAMP
from capture.errors import CaptureError
from capture.limits import Limits
from capture.soundclock import SoundClock
from capture.soundtrack import Soundtrack
from drivers.microphone.protocol import AudioFormat, PcmBlock
from tests.capture.fakes import BLOCK, MS, SECOND

RATE = 48_000
START_NS = 3000 * SECOND
PCM = b"\x10\x00" * 960


@pytest.fixture
def track() -> Soundtrack:
    fmt = AudioFormat()
    return Soundtrack(fmt, AacEncoder(fmt, 64_000), Limits())


def _feed(track: Soundtrack, count: int, at_ns: int = START_NS, **more: bool) -> int:
    """`count` blocks from `at_ns` on; returns when the next would begin."""
    for number in range(count):
        track.add(PcmBlock(PCM, at_ns + number * BLOCK, **more))
    return at_ns + count * BLOCK


def _end(track: Soundtrack) -> int:
    """When the track ends, on the monotonic clock; checks that it is contiguous."""
    for before, after in pairwise(track.frames):
        assert before.time + before.duration == after.time
    return (track.frames[-1].time + track.frames[-1].duration) * SECOND // RATE


def test_frames_stand_where_their_samples_were_heard(track: Soundtrack) -> None:
    end = _feed(track, 100)
    track.finish()
    assert track.frames[0].time == START_NS * RATE // SECOND - 1024
    assert {frame.duration for frame in track.frames} == {1024}
    assert 0 <= _end(track) - end < 22 * MS
    assert track.gaps == []


def test_jitter_is_no_gap_and_moves_nothing_far() -> None:
    fmt = AudioFormat()
    track = Soundtrack(fmt, AacEncoder(fmt, 64_000), Limits())
    dice = random.Random(5)
    for number in range(1000):
        track.add(PcmBlock(PCM, START_NS + number * BLOCK + dice.randrange(-8 * MS, 8 * MS)))
    assert track.gaps == []
    assert {frame.duration for frame in track.frames} <= {1022, 1023, 1024, 1025, 1026}
    samples = 1024 * (len(track.frames) - 1)
    assert abs(_end(track) - START_NS - samples * SECOND // RATE) < 10 * MS


@pytest.mark.parametrize("drift_ppm", [-300, 200])
def test_drift_is_followed(track: Soundtrack, drift_ppm: int) -> None:
    dice = random.Random(6)
    step = BLOCK / (1 + drift_ppm / 1e6)
    worst = 0.0
    for number in range(1500):
        track.add(PcmBlock(PCM, START_NS + round(number * step) + dice.randrange(0, 4 * MS)))
        if number > 500:
            behind = (number + 1) * 960 - 1024 * (len(track.frames) - 1) - 1024
            true_end = START_NS + (number + 1) * step - behind * SECOND / RATE
            # The frame that is still in the encoder ends a frame later.
            worst = max(worst, abs(_end(track) + 1024 * SECOND // RATE - true_end))
    assert track.gaps == []
    assert worst < 5 * MS
    # Without the slew, 30 s at this drift would be 6 to 9 ms off by its end; the sum of slews must make up for it.
    slewed = sum(frame.duration - 1024 for frame in track.frames)
    assert -drift_ppm / 1e6 * 30 * RATE * 0.5 > slewed if drift_ppm > 0 else slewed > 0


def test_the_clock_settles_without_overshooting_far() -> None:
    clock = SoundClock()
    error = 4800.0
    lowest = error
    for _ in range(4000):
        clock.observe(round(error))
        error -= clock.slew()
        lowest = min(lowest, error)
    assert abs(error) < 10
    assert lowest > -1500


def test_one_late_block_is_jitter(track: Soundtrack) -> None:
    at = _feed(track, 50)
    track.add(PcmBlock(PCM, at + 150 * MS))
    track.add(PcmBlock(PCM, at + 155 * MS))
    end = _feed(track, 50, at + 2 * BLOCK)
    track.finish()
    assert track.gaps == []
    assert abs(_end(track) - end) < 30 * MS


def test_a_lasting_displacement_is_filled_and_on_record(track: Soundtrack) -> None:
    at = _feed(track, 50)
    end = _feed(track, 50, at + 500 * MS)
    track.finish()
    (gap,) = track.gaps
    assert (gap.start_ns, gap.duration_ns, gap.lost_units, gap.cause) == (at, 500 * MS, RATE // 2, LOST)
    assert 0 <= _end(track) - end < 25 * MS


def test_an_overflow_is_filled_at_once(track: Soundtrack) -> None:
    at = _feed(track, 50)
    track.add(PcmBlock(PCM, at + 3 * BLOCK, overflowed=True))
    assert [(gap.start_ns, gap.duration_ns, gap.lost_units, gap.cause) for gap in track.gaps] == [
        (at, 3 * BLOCK, 3 * 960, OVERFLOW)
    ]
    track.gaps.clear()
    track.add(PcmBlock(PCM, at + 4 * BLOCK, overflowed=True))
    assert [(gap.duration_ns, gap.lost_units, gap.cause) for gap in track.gaps] == [(0, 0, OVERFLOW)]


def test_times_that_run_backwards_cost_the_overlap(track: Soundtrack) -> None:
    at = _feed(track, 50)
    end = _feed(track, 50, at - 300 * MS)
    track.finish()
    (gap,) = track.gaps
    assert (gap.start_ns, gap.cause) == (at, TIMESTAMP)
    assert abs(gap.duration_ns - 300 * MS) < MS
    assert 0 <= _end(track) - end < 25 * MS


def test_a_dead_microphone_is_replaced_by_silence_until_it_is_back(track: Soundtrack) -> None:
    at = _feed(track, 50)
    for step in range(1, 31):
        track.fill_to(at + step * 33 * MS, NO_SIGNAL)
    (gap,) = track.gaps
    assert (gap.start_ns, gap.cause) == (at, NO_SIGNAL)
    assert abs(gap.duration_ns - 990 * MS) < MS
    # It comes back with blocks that overlap the silence: they are put exactly where they belong.
    end = _feed(track, 50, at + 970 * MS)
    track.finish()
    assert len(track.gaps) == 1
    assert 0 <= _end(track) - end < 22 * MS


def test_sound_that_begins_late_is_missing_from_the_start(track: Soundtrack) -> None:
    track.begin(START_NS)
    _feed(track, 10, START_NS + 250 * MS)
    (gap,) = track.gaps
    assert (gap.start_ns, gap.duration_ns, gap.cause) == (START_NS, 250 * MS, START)


def test_sound_from_before_the_start_is_cut_to_it(track: Soundtrack) -> None:
    track.begin(START_NS)
    end = _feed(track, 10, START_NS - 50 * MS)
    track.finish()
    assert track.frames[1].time == START_NS * RATE // SECOND
    assert 0 <= _end(track) - end < 22 * MS
    assert track.gaps == []


def test_a_very_long_hole_is_left_a_hole(track: Soundtrack) -> None:
    at = _feed(track, 50)
    before = len(track.frames)
    track.fill_to(at + 3600 * SECOND, NO_SIGNAL)
    track.finish()
    assert len(track.frames) - before < 5
    assert track.gaps[0].duration_ns == 3600 * SECOND


def test_an_hour_of_gap_keeps_the_time_of_what_follows(track: Soundtrack) -> None:
    at = _feed(track, 50)
    track.fill_to(at + 3600 * SECOND, NO_SIGNAL)
    end = _feed(track, 50, at + 3600 * SECOND)
    track.finish()
    last = track.frames[-1]
    assert 0 <= (last.time + last.duration) * SECOND // RATE - end < 22 * MS


def test_an_encoder_that_was_closed_leaves_no_thread_and_takes_nothing() -> None:
    tasks = len(list(Path("/proc/self/task").iterdir()))
    fmt = AudioFormat()
    encoders = [AacEncoder(fmt, 64_000) for _ in range(8)]
    assert len(list(Path("/proc/self/task").iterdir())) == tasks
    for encoder in encoders:
        encoder.encode(bytes(2 * 1024))
        encoder.close()
        encoder.close()
        with pytest.raises(CaptureError, match="it was closed"):
            encoder.flush()
