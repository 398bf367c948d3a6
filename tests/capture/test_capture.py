"""The whole loop with drivers that deliver what they are told to, on a clock that moves only when told."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from itertools import pairwise

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.capture import Capture
from capture.chunk import AUDIO, DAMAGED, FAULT, NO_SIGNAL, OVERFLOW, STALL, TIMESTAMP, VIDEO, CmafChunk
from capture.errors import CaptureError
from capture.limits import Limits
from capture.profiles import PROFILES, Profile, profile_named
from drivers.camera.protocol import AccessUnit
from drivers.microphone.protocol import PcmBlock
from tests.capture.fakes import BLOCK, FRAME, MS, SECOND, SMALL, Clock, FakeCamera, FakeMicrophone, coded
from tests.capture.mp4 import Run, runs

PROFILE = Profile("test", SMALL)


class Stage:
    """A capture with its fakes."""

    def __init__(self, *, limits: Limits | None = None, sound: bool = True) -> None:
        self.clock = Clock()
        self.camera = FakeCamera()
        self.microphone = FakeMicrophone(present=sound)
        self.capture = Capture(PROFILE, self.camera, self.microphone, limits=limits, clock=self.clock)
        self.chunks: list[CmafChunk] = []

    def play(self, duration_ns: int, *, picture: bool = True, sound: bool = True, read: bool = True) -> None:
        """Let time pass in steps of 1/150 s; pictures and blocks come when they are due."""
        step = SECOND // 150
        for _ in range(duration_ns // step):
            before, self.clock.now_ns = self.clock.now_ns, self.clock.now_ns + step
            if picture and before // FRAME != self.clock.now_ns // FRAME:
                self.camera.deliver(self.clock.now_ns // FRAME * FRAME)
            if sound and before // BLOCK != self.clock.now_ns // BLOCK:
                self.microphone.deliver((self.clock.now_ns // BLOCK - 1) * BLOCK)
            if read:
                self.read()

    def read(self) -> None:
        while chunk := self.capture.read(0):
            self.chunks.append(chunk)

    def stop(self) -> None:
        self.capture.request_stop()
        while not self.capture.ended:
            chunk = self.capture.read(0)
            if chunk is None:
                # The watchdog threads end on the real clock.
                assert self.camera.stopped.wait(10)
                for thread in threading.enumerate():
                    if thread.name.startswith("capture-watch"):
                        thread.join(10)
            else:
                self.chunks.append(chunk)

    def gaps(self, track: str) -> list[tuple[int, int, str]]:
        """Duration in ms, lost units and cause."""
        return [
            (gap.duration_ns // MS, gap.lost_units, gap.cause)
            for chunk in self.chunks
            for gap in chunk.gaps
            if gap.track == track
        ]

    def movie(self) -> bytes:
        return self.capture.init_segment + b"".join(chunk.data for chunk in self.chunks)


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.capture.close()


def test_pictures_and_sound_become_chunks(stage: Stage) -> None:
    with pytest.raises(CaptureError, match="no key picture"):
        _ = stage.capture.init_segment
    stage.capture.start()
    stage.play(2 * SECOND)
    level = stage.capture.level_dbfs
    assert level is not None
    assert -96 <= level < 0
    stage.stop()
    assert not stage.capture.pending_gaps
    assert all(chunk.audio_live and chunk.video_live and not chunk.gaps for chunk in stage.chunks)
    assert [chunk.frames for chunk in stage.chunks[:5]] == [10] * 5
    with av.open(io.BytesIO(stage.movie()), "r") as container:
        assert len(list(container.decode(video=0))) == stage.capture.statistics.frames >= 59
    assert stage.capture.read(0) is None
    assert (stage.camera.stops, stage.microphone.stops) == (1, 1)


def test_the_stop_itself_makes_no_part_seem_dead(stage: Stage) -> None:
    stage.capture.start()
    stage.play(1200 * MS)
    stage.camera.hang = threading.Event()
    stage.capture.request_stop()
    assert stage.microphone.stopped.wait(10)
    stage.clock.now_ns += 50 * MS
    stage.read()
    stage.camera.hang.set()
    stage.stop()
    assert stage.chunks[-1].frames
    assert all(chunk.audio_live and chunk.video_live for chunk in stage.chunks)


def test_no_chunk_waits_and_read_keeps_its_time_out(stage: Stage) -> None:
    stage.capture.start()
    begin = time.monotonic()
    assert stage.capture.read(0) is None
    assert time.monotonic() - begin < 1
    stage.play(SECOND, sound=False)
    assert len(stage.chunks) >= 2


def test_a_camera_that_does_not_start_is_an_error(stage: Stage) -> None:
    stage.camera.refusals = 1
    with pytest.raises(CaptureError, match="the camera does not start: fake: refused"):
        stage.capture.start()
    assert stage.microphone.stops == 1
    assert stage.capture.ended
    with pytest.raises(CaptureError, match="started before"):
        stage.capture.start()


def test_a_camera_without_a_first_picture_is_an_error(stage: Stage) -> None:
    stage.capture.start()
    stage.clock.now_ns += 9 * SECOND
    assert stage.capture.read(0) is None
    stage.clock.now_ns += 2 * SECOND
    with pytest.raises(CaptureError, match="no picture from the camera within 10 s"):
        stage.capture.read(0)


def test_sound_does_not_hide_a_camera_without_pictures(stage: Stage) -> None:
    stage.capture.start()
    for _ in range(9):
        stage.play(SECOND, picture=False)
    with pytest.raises(CaptureError, match="no picture from the camera within 10 s"):
        stage.play(2 * SECOND, picture=False)


def test_a_microphone_that_goes_on_after_the_stop_is_not_waited_for(stage: Stage) -> None:
    stage.capture.start()
    stage.play(SECOND)
    stage.camera.hang = stage.microphone.hang = threading.Event()
    stage.capture.request_stop()
    stage.play(3 * SECOND)
    assert stage.capture.ended
    stage.camera.hang.set()


def test_what_was_lost_before_the_first_picture_is_no_gap(stage: Stage) -> None:
    stage.capture.start()
    stage.play(500 * MS, picture=False)
    stage.clock.now_ns += SECOND // 2
    stage.microphone.deliver(stage.clock.now_ns - BLOCK, overflowed=True)
    stage.play(SECOND)
    stage.stop()
    assert [gap for chunk in stage.chunks for gap in chunk.gaps] == []


def test_a_camera_that_delivers_rubbish_is_an_error_that_says_so(stage: Stage) -> None:
    stage.capture.start()
    assert stage.camera.sink is not None
    stage.camera.sink(AccessUnit(b"rubbish", stage.clock(), key=True))
    assert stage.capture.read(0) is None
    stage.clock.now_ns += 11 * SECOND
    with pytest.raises(CaptureError, match=r"Annex B|silent"):
        stage.capture.read(0)


@pytest.mark.parametrize("cause", [STALL, FAULT])
def test_a_camera_that_stops_is_started_again_and_the_gap_is_on_record(stage: Stage, cause: str) -> None:
    stage.capture.start()
    stage.play(SECOND)
    stage.camera.started.clear()
    if cause == FAULT:
        stage.camera.trouble = "unplugged"
    stage.play(1900 * MS, picture=False)
    if cause == STALL:
        assert stage.camera.starts == 1
        stage.play(200 * MS, picture=False)
    assert stage.camera.started.wait(10), "the watchdog did not start the camera again"
    assert stage.chunks[-1].frames == 0
    assert all(chunk.duration_ns <= 500 * MS for chunk in stage.chunks)
    stage.play(SECOND)
    stage.stop()
    ((duration_ms, lost, recorded),) = stage.gaps(VIDEO)
    assert recorded == cause
    assert abs(duration_ms - (2100 if cause == STALL else 1900)) < 50
    assert abs(lost - duration_ms * 30 / 1000) <= 1
    assert stage.gaps(AUDIO) == []
    assert stage.capture.statistics.camera_restarts == 1
    with av.open(io.BytesIO(stage.movie()), "r") as container:
        pictures = [frame.pts for frame in container.decode(video=0) if frame.pts is not None]
    holes = [after - before for before, after in pairwise(pictures) if after - before > 4500]
    assert [round(hole / 90) // 100 for hole in holes] == [21 if cause == STALL else 19]


def test_a_microphone_that_dies_is_replaced_by_silence_and_started_again(stage: Stage) -> None:
    stage.capture.start()
    stage.play(SECOND)
    stage.microphone.started.clear()
    stage.microphone.refusals = 2
    stage.play(3 * SECOND, sound=False)
    assert stage.capture.level_dbfs is None
    assert not stage.chunks[-1].audio_live
    assert stage.chunks[-1].video_live
    deadline = time.monotonic() + 10
    while not stage.microphone.started.wait(0.05):
        assert time.monotonic() < deadline, "the watchdog did not start the microphone again"
        stage.play(100 * MS, sound=False)
    dead_ns = stage.clock.now_ns
    stage.play(SECOND)
    assert stage.chunks[-1].audio_live
    stage.stop()
    gaps = [gap for chunk in stage.chunks for gap in chunk.gaps]
    assert {(gap.track, gap.cause) for gap in gaps} <= {(AUDIO, NO_SIGNAL), (AUDIO, STALL)}
    assert abs(sum(gap.duration_ns for gap in gaps) - (dead_ns - 1001 * SECOND)) < 40 * MS
    # Sound has no hole: what players count stays right.
    line = [run for chunk in stage.chunks for run in runs(chunk.data) if run.track == 2]
    assert all(after.time == before.end for before, after in pairwise(line))
    assert all(chunk.frames for chunk in stage.chunks[:-1])


def test_without_a_microphone_there_is_no_sound_track() -> None:
    stage = Stage(sound=False)
    with stage.capture:
        stage.capture.start()
        stage.play(SECOND, sound=False)
        stage.stop()
    assert stage.microphone.starts == 0
    assert {run.track for chunk in stage.chunks for run in runs(chunk.data)} == {1}
    assert not any(chunk.audio_live or chunk.gaps for chunk in stage.chunks)
    with av.open(io.BytesIO(stage.movie()), "r") as container:
        assert [stream.type for stream in container.streams] == ["video"]


def test_a_microphone_that_never_starts_leaves_silence_on_record(stage: Stage) -> None:
    stage.microphone.refusals = 1000
    stage.capture.start()
    stage.play(SECOND, sound=False)
    stage.stop()
    assert not any(chunk.audio_live for chunk in stage.chunks)
    assert {cause for _, _, cause in stage.gaps(AUDIO)} == {NO_SIGNAL}
    sound = [run for chunk in stage.chunks for run in runs(chunk.data) if run.track == 2]
    assert sound[0].time < 1024
    assert sound[-1].end > 0.9 * 48_000


def test_a_reader_that_sleeps_costs_bounded_memory_and_a_gap() -> None:
    stage = Stage(limits=Limits(video_queue_bytes=100_000, audio_queue_bytes=100_000))
    with stage.capture:
        stage.capture.start()
        stage.play(SECOND)
        stage.play(5 * SECOND, read=False)
        assert stage.capture.statistics.highest_queue_bytes <= 200_000
        stage.play(2 * SECOND)
        stage.stop()
    (gap,) = stage.gaps(VIDEO)
    assert gap[2] == OVERFLOW
    assert gap[1] == stage.capture.statistics.dropped_frames
    assert (AUDIO, OVERFLOW) in {(AUDIO, cause) for _, _, cause in stage.gaps(AUDIO)}
    assert stage.capture.statistics.dropped_blocks > 0
    assert all(chunk.duration_ns <= 500 * MS for chunk in stage.chunks)
    with av.open(io.BytesIO(stage.movie()), "r") as container:
        assert len(list(container.decode(video=0))) == stage.capture.statistics.frames


def test_a_damaged_picture_costs_a_gap_up_to_the_next_key_picture(stage: Stage) -> None:
    stage.capture.start()
    stage.play(500 * MS)
    assert stage.camera.sink is not None
    stage.clock.now_ns += FRAME
    stage.camera.sink(AccessUnit(b"rubbish", stage.clock(), key=False))
    stage.camera.number += 1
    stage.play(SECOND)
    stage.stop()
    ((_, lost, cause),) = stage.gaps(VIDEO)
    assert cause == DAMAGED
    assert lost == stage.capture.statistics.dropped_frames == 15


def test_pictures_that_are_damaged_up_to_the_stop_are_on_record(stage: Stage) -> None:
    stage.capture.start()
    stage.play(500 * MS)
    assert stage.camera.sink is not None
    for _ in range(3):
        stage.clock.now_ns += FRAME
        stage.camera.sink(AccessUnit(b"rubbish", stage.clock(), key=False))
    stage.read()
    stage.stop()
    assert [(lost, cause) for _, lost, cause in stage.gaps(VIDEO)] == [(3, DAMAGED)]


def test_a_camera_that_goes_on_delivering_rubbish_is_started_again(stage: Stage) -> None:
    stage.capture.start()
    stage.play(SECOND)
    assert stage.camera.sink is not None
    rubbish = stage.camera.sink
    stage.camera.started.clear()
    for number in range(66):
        stage.clock.now_ns += FRAME
        rubbish(AccessUnit(b"rubbish", stage.clock(), key=number % 30 == 0))
        stage.read()
    assert stage.camera.started.wait(10), "the watchdog took rubbish for pictures"
    assert "nothing usable" in str(stage.capture.statistics.camera_trouble)
    stage.play(SECOND)
    stage.stop()
    ((duration_ms, lost, _),) = stage.gaps(VIDEO)
    assert abs(duration_ms - 2200) < 50
    assert lost == 66


def test_a_reader_that_lags_makes_the_same_chunks_late() -> None:
    """Nothing is cut short, and no silence put, for what is in the queue already."""
    chunks = []
    for read in (True, False):
        stage = Stage()
        with stage.capture:
            stage.capture.start()
            stage.play(4 * SECOND, read=read)
            stage.play(1200 * MS, read=read, sound=False)
            stage.play(300 * MS, sound=False)
            stage.stop()
            chunks.append(stage.chunks)
    prompt, late = chunks
    assert [chunk.frames for chunk in late] == [chunk.frames for chunk in prompt]
    assert [chunk.frames for chunk in late[:16]] == [10] * 16
    for some in chunks:
        gaps = [gap for chunk in some for gap in chunk.gaps]
        assert {(gap.track, gap.cause) for gap in gaps} == {(AUDIO, NO_SIGNAL)}
        assert gaps[0].start_ns >= 1004 * SECOND - 2 * BLOCK, "sound that was delivered was replaced by silence"
        assert all(after.start_ns - before.start_ns >= before.duration_ns for before, after in pairwise(gaps))


def test_what_is_in_the_queue_at_the_stop_is_kept_however_late_the_reader_is(stage: Stage) -> None:
    stage.capture.start()
    stage.play(5 * SECOND, read=False)
    stage.capture.request_stop()
    assert stage.camera.stopped.wait(10)
    assert stage.microphone.stopped.wait(10)
    stage.clock.now_ns += 4 * SECOND
    stage.stop()
    assert sum(chunk.frames for chunk in stage.chunks) == stage.camera.number == 150
    assert stage.gaps(VIDEO) == stage.gaps(AUDIO) == []
    assert not stage.capture.pending_gaps


def test_a_dead_microphone_is_one_gap_a_chunk(stage: Stage) -> None:
    stage.capture.start()
    stage.play(SECOND)
    stage.microphone.refusals = 1000
    stage.play(4 * SECOND, sound=False)
    stage.stop()
    assert max(len(chunk.gaps) for chunk in stage.chunks) == 1
    assert abs(sum(duration for duration, _, _ in stage.gaps(AUDIO)) - 4000) < 50


@pytest.mark.parametrize("track", [VIDEO, AUDIO])
def test_a_part_that_fell_silent_just_before_the_stop_is_on_record(stage: Stage, track: str) -> None:
    stage.capture.start()
    stage.play(SECOND)
    stage.play(900 * MS, picture=track != VIDEO, sound=track != AUDIO)
    stage.stop()
    assert stage.gaps(AUDIO if track == VIDEO else VIDEO) == []
    ((duration_ms, _, cause),) = stage.gaps(track)
    assert abs(duration_ms - 900) < 40
    assert cause == (STALL if track == VIDEO else NO_SIGNAL)


def test_an_overflow_just_before_the_stop_is_on_record() -> None:
    stage = Stage(limits=Limits(video_queue_bytes=20_000))
    with stage.capture:
        stage.capture.start()
        stage.play(SECOND)
        stage.play(900 * MS, read=False)
        stage.capture.request_stop()
        stage.stop()
    dropped = stage.capture.statistics.dropped_frames
    assert dropped
    assert [(lost, cause) for _, lost, cause in stage.gaps(VIDEO)] == [(dropped, OVERFLOW)]


def test_one_wrong_time_does_not_cost_the_sound_that_follows(stage: Stage) -> None:
    stage.capture.start()
    stage.play(SECOND)
    assert stage.microphone.sink is not None
    stage.microphone.sink(PcmBlock(bytes(1920), stage.clock() + 3600 * SECOND, overflowed=True))
    stage.play(SECOND)
    stage.stop()
    assert stage.gaps(AUDIO) == [(0, 0, TIMESTAMP)]
    line = [run for chunk in stage.chunks for run in runs(chunk.data) if run.track == 2]
    assert all(after.time == before.end for before, after in pairwise(line))
    assert line[-1].end >= 1.9 * 48_000


def test_sound_lost_between_the_first_picture_and_its_coming_is_a_gap(stage: Stage) -> None:
    """An encoder may hand over the first picture long after it was taken."""
    stage.capture.start()
    assert stage.camera.sink is not None
    stage.play(SECOND + 10 * MS, picture=False)
    data, _ = coded()[0]
    taken_ns = stage.clock.now_ns // BLOCK * BLOCK
    stage.clock.now_ns = taken_ns + 100 * MS
    stage.microphone.deliver(stage.clock() - BLOCK, overflowed=True)
    stage.read()
    stage.camera.sink(AccessUnit(data, taken_ns, key=True))
    stage.play(SECOND)
    stage.stop()
    ((duration_ms, _, cause),) = [gap for gap in stage.gaps(AUDIO) if gap[2] == OVERFLOW]
    assert (duration_ms, cause) == (80, OVERFLOW)


def test_a_driver_that_fails_as_it_should_not_leaves_nothing_running(stage: Stage) -> None:
    def bug() -> None:
        raise KeyError("bug")

    stage.camera._start = bug  # type: ignore[method-assign]
    with pytest.raises(KeyError):
        stage.capture.start()
    assert (stage.camera.stops, stage.microphone.stops) == (1, 1)
    assert stage.capture.ended


_EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["both"] * 12 + ["picture", "block", "lost", "overflow", "backwards", "future", "nap", "long"]),
        st.integers(-15, 15),  # jitter of the picture's time, ms
        st.booleans(),  # whether the reader reads
    ),
    min_size=1,
    max_size=150,
)


@settings(max_examples=40, deadline=None)
@given(_EVENTS)
def test_whatever_drivers_do_chunks_stay_short_and_losses_are_on_record(events: list[tuple[str, int, bool]]) -> None:
    # Watchdogs run on the real clock: here they must have nothing to do.
    patient = Limits(camera_silence_ns=10**15, microphone_silence_ns=10**15, start_up_ns=10**15)
    stage = Stage(limits=patient)
    told = kept = 0
    with stage.capture:
        stage.capture.start()
        stage.play(100 * MS)
        missed = 0
        for what, jitter, read in events:
            stage.clock.now_ns += {"nap": 600, "long": 3000}.get(what, 34) * MS
            now = stage.clock()
            shift = {"backwards": -200 * MS, "future": 3 * SECOND}.get(what, jitter * MS)
            if what != "block":
                if what == "lost":
                    missed += 1
                else:
                    stage.camera.deliver(now - 20 * MS + shift)
            if what != "picture":
                at = now - 2 * BLOCK + (shift if what in ("backwards", "future") else 0)
                stage.microphone.deliver(at, overflowed=what == "overflow")
            if read:
                stage.read()
        # The last picture is a good one, and so ends every loss.
        stage.clock.now_ns += 5 * SECOND
        stage.camera.number = 0
        stage.camera.deliver(stage.clock())
        stage.microphone.deliver(stage.clock() - BLOCK)
        stage.stop()
    statistics = stage.capture.statistics
    kept = sum(chunk.frames for chunk in stage.chunks)
    assert kept == statistics.frames
    told = sum(lost for _, lost, _ in stage.gaps(VIDEO))
    assert told >= statistics.dropped_frames
    lines: dict[int, list[Run]] = {1: [], 2: []}
    for chunk in stage.chunks:
        assert 0 < chunk.duration_ns <= patient.longest_chunk_ns
        for run in runs(chunk.data):
            assert (run.end - run.time) * 2 <= (90_000 if run.track == 1 else 48_000) + 2
            lines[run.track].append(run)
    for line in lines.values():
        assert all(after.time >= before.end for before, after in pairwise(line))
    # Every moment without pictures is in a gap: what is left over is jitter.
    gaps = [gap for chunk in stage.chunks for gap in chunk.gaps if gap.track == VIDEO]
    for before, after in pairwise(lines[1]):
        hole_ns = (after.time - before.end) * SECOND // 90_000
        end_ns = stage.chunks[0].start_ns + after.time * SECOND // 90_000
        near = [gap for gap in gaps if abs(gap.start_ns + gap.duration_ns - end_ns) < 60 * MS]
        assert hole_ns < FRAME or sum(gap.duration_ns for gap in near) >= hole_ns - FRAME
    with av.open(io.BytesIO(stage.movie()), "r") as container:
        assert sum(1 for packet in container.demux(video=0) if packet.size) == kept


def test_late_deliveries_of_a_former_run_are_ignored(stage: Stage) -> None:
    stage.capture.start()
    stage.play(SECOND)
    former = stage.camera.sink
    assert former is not None
    stage.camera.started.clear()
    stage.play(2100 * MS, picture=False)
    assert stage.camera.started.wait(10)
    dropped = stage.capture.statistics.dropped_frames
    former(AccessUnit(coded()[0][0], stage.clock(), key=True))
    stage.play(SECOND)
    stage.stop()
    assert stage.capture.statistics.dropped_frames == dropped
    assert len(stage.gaps(VIDEO)) == 1


def test_a_driver_that_hangs_is_not_waited_for_for_ever(stage: Stage) -> None:
    stage.capture.start()
    stage.play(SECOND)
    stage.camera.hang = threading.Event()
    stage.capture.request_stop()
    assert stage.microphone.stopped.wait(10)
    stage.read()
    assert not stage.capture.ended
    stage.clock.now_ns += 3 * SECOND
    stage.read()
    assert stage.capture.ended
    assert sum(chunk.frames for chunk in stage.chunks) == stage.capture.statistics.frames
    stage.camera.hang.set()


def test_a_camera_that_is_dead_at_the_end_is_on_record(stage: Stage) -> None:
    stage.capture.start()
    stage.play(SECOND)
    stage.camera.refusals = 100
    stage.play(4 * SECOND, picture=False)
    stage.stop()
    gaps = [
        *stage.gaps(VIDEO),
        *((gap.duration_ns // MS, gap.lost_units, gap.cause) for gap in stage.capture.pending_gaps),
    ]
    ((duration_ms, lost, cause),) = gaps
    assert cause == STALL
    assert abs(duration_ms - 4000) < 100
    assert abs(lost - 120) <= 3


def test_closing_twice_and_before_the_start_is_harmless() -> None:
    stage = Stage()
    stage.capture.close()
    stage.capture.close()
    with pytest.raises(CaptureError, match="started before"):
        stage.capture.start()


def test_profiles() -> None:
    assert {name: (p.video.width, p.video.height, p.video.bitrate_bps) for name, p in PROFILES.items()} == {
        "1080p30": (1920, 1080, 8_000_000),
        "720p30": (1280, 720, 4_000_000),
        "480p30": (848, 480, 1_500_000),
    }
    assert all(p.video.key_interval == p.video.frame_rate == 30 for p in PROFILES.values())
    with pytest.raises(CaptureError, match="choose one of 1080p30, 720p30, 480p30"):
        profile_named("4k")
