"""The rules by which pictures and sound are cut into chunks."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from capture.chunk import LOST, OVERFLOW, TIMESTAMP, VIDEO, CmafChunk, Gap, note_gap
from capture.chunker import Chunker, Picture
from capture.limits import Limits
from capture.soundtrack import AacFrame
from tests.capture.fakes import FRAME, MS, SECOND
from tests.capture.mp4 import runs

ORIGIN = 7000 * SECOND
LIMITS = Limits()
RATE = 48_000


def _picture(number: int, capture_ns: int, key: bool, *, lost: int = 0, cause: str | None = None) -> Picture:
    data = number.to_bytes(4, "big")
    return Picture([data], len(data), capture_ns, key, lost, cause)


def _aac(number: int, origin_ns: int = ORIGIN) -> AacFrame:
    return AacFrame(b"A" + number.to_bytes(4, "big"), origin_ns * RATE // SECOND + 1024 * number, 1024)


def _numbers(chunks: list[CmafChunk], track: int) -> list[int]:
    found = [data for chunk in chunks for run in runs(chunk.data) if run.track == track for data in run.data]
    return [int.from_bytes(data[-4:], "big") for data in found]


def _steady(chunker: Chunker, count: int, first: int = 0) -> None:
    for number in range(first, first + count):
        at = ORIGIN + number * SECOND // 30
        chunker.picture(_picture(number, at, number % 30 == 0), at)


def test_steady_pictures_make_three_chunks_a_second() -> None:
    chunker = Chunker(LIMITS, 30, None)
    _steady(chunker, 61)
    chunks = list(chunker.chunks)
    assert [chunk.frames for chunk in chunks] == [10] * 6
    assert [chunk.key for chunk in chunks] == [True, False, False] * 2
    assert [chunk.start_ns + chunk.duration_ns for chunk in chunks[:-1]] == [chunk.start_ns for chunk in chunks[1:]]
    assert not any(chunk.gaps for chunk in chunks)
    chunker.finish()
    assert _numbers(list(chunker.chunks), 1) == list(range(61))


def test_a_key_picture_always_begins_a_chunk() -> None:
    chunker = Chunker(LIMITS, 30, None)
    for number in range(20):
        at = ORIGIN + number * FRAME
        chunker.picture(_picture(number, at, number in (0, 4, 5, 17)), at)
    chunker.finish()
    assert [(chunk.frames, chunk.key) for chunk in chunker.chunks] == [
        (4, True),
        (1, True),
        (10, True),
        (2, False),
        (3, True),
    ]


def test_a_lost_frame_is_a_gap_and_its_neighbour_lasts_longer() -> None:
    chunker = Chunker(LIMITS, 30, None)
    for number in (0, 1, 3, 4):
        at = ORIGIN + number * SECOND // 30
        chunker.picture(_picture(number, at, number == 0), at)
    chunker.finish()
    (chunk,) = chunker.chunks
    assert runs(chunk.data)[0].durations == [3000, 6000, 3000, 3000]
    (gap,) = chunk.gaps
    assert (gap.track, gap.lost_units, gap.cause) == (VIDEO, 1, LOST)
    assert abs(gap.start_ns - (ORIGIN + 2 * SECOND // 30)) <= 2
    assert abs(gap.duration_ns - FRAME) <= 2


def test_more_pictures_were_dropped_than_their_times_leave_room_for() -> None:
    chunker = Chunker(LIMITS, 30, None)
    _steady(chunker, 2)
    at = ORIGIN + 3 * FRAME
    chunker.picture(_picture(2, at, True, lost=4, cause=TIMESTAMP), at)
    chunker.finish()
    ((gap,),) = [chunk.gaps for chunk in chunker.chunks if chunk.gaps]
    assert (gap.lost_units, gap.cause) == (4, TIMESTAMP)


def test_a_long_hole_ends_the_chunk_and_carries_the_cause_of_the_queue() -> None:
    chunker = Chunker(LIMITS, 30, None)
    _steady(chunker, 5)
    back = ORIGIN + 3 * SECOND
    chunker.picture(_picture(5, back, True, lost=84, cause=OVERFLOW), back)
    chunker.finish()
    before, after = chunker.chunks
    assert before.frames == 5
    assert before.duration_ns < LIMITS.longest_chunk_ns
    assert before.gaps == ()
    assert after.start_ns == back
    assert runs(after.data)[0].time == 3 * 90_000
    (gap,) = after.gaps
    assert (gap.lost_units, gap.cause) == (85, OVERFLOW)
    assert gap.start_ns + gap.duration_ns == back


def test_when_pictures_stop_sound_goes_on_alone() -> None:
    chunker = Chunker(LIMITS, 30, RATE)
    chunker.video_live = chunker.audio_live = True
    _steady(chunker, 3)
    now = ORIGIN + 2 * FRAME
    seen: list[tuple[int, CmafChunk]] = []
    for number in range(140):
        now = max(now, ORIGIN + (number + 1) * 1024 * SECOND // RATE)
        chunker.sound([_aac(number)], now)
        chunker.tick(now)
        while chunker.chunks:
            seen.append((now, chunker.chunks.popleft()))
    assert [chunk.frames for _, chunk in seen[:3]] == [2, 1, 0]
    assert all(chunk.duration_ns <= LIMITS.longest_chunk_ns for _, chunk in seen)
    assert max(at - before for (before, _), (at, _) in pairwise(seen)) <= LIMITS.longest_chunk_ns
    # The late picture stands at its true time.
    late = ORIGIN + 3 * SECOND
    chunker.picture(_picture(3, late, True), late)
    chunker.finish()
    last = chunker.chunks[-1]
    assert next(run for run in runs(last.data) if run.track == 1).time == 270_000
    assert _numbers([chunk for _, chunk in seen] + list(chunker.chunks), 2) == list(range(140))


def test_sound_does_not_wait_for_a_picture_that_came_after_it() -> None:
    chunker = Chunker(LIMITS, 30, RATE)
    _steady(chunker, 1)
    chunker.tick(ORIGIN + LIMITS.longest_wait_ns)
    chunker.chunks.clear()
    came = ORIGIN + SECOND
    chunker.sound([_aac(50)], came)
    back = came + LIMITS.longest_wait_ns - 5 * MS
    chunker.picture(_picture(1, back, True), back)
    assert chunker.deadline_ns() == came + LIMITS.longest_wait_ns
    chunker.tick(came + LIMITS.longest_wait_ns)
    assert [_numbers(list(chunker.chunks), track) for track in (1, 2)] == [[], [50]]
    # The picture still learns its duration from the next one.
    chunker.picture(_picture(2, back + 40 * MS, False), back + 40 * MS)
    chunker.finish()
    assert runs(chunker.chunks[-1].data)[0].durations == [3600, 3000]


def test_when_sound_stops_pictures_go_on_alone() -> None:
    chunker = Chunker(LIMITS, 30, RATE)
    _steady(chunker, 31)
    assert [[run.track for run in runs(chunk.data)] for chunk in chunker.chunks] == [[1], [1], [1]]


def test_sound_from_before_the_first_picture_is_dropped_and_never_piles_up() -> None:
    chunker = Chunker(LIMITS, 30, RATE)
    for number in range(-5000, 40):
        chunker.sound([_aac(number + 5000, ORIGIN - 5000 * 1024 * SECOND // RATE)], ORIGIN)
    assert chunker.deadline_ns() is None
    _steady(chunker, 11)
    (chunk,) = chunker.chunks
    video, audio = runs(chunk.data)
    assert 0 <= audio.time < 1024
    assert len(audio.data) <= 24
    assert video.time == 0


def test_a_burst_of_sound_never_makes_a_chunk_too_long() -> None:
    chunker = Chunker(LIMITS, 30, RATE)
    chunker.sound([_aac(number) for number in range(100)], ORIGIN)
    _steady(chunker, 31)
    chunker.finish()
    assert (
        max(run.end - run.time for chunk in chunker.chunks for run in runs(chunk.data) if run.track == 2) <= RATE // 2
    )
    early = 31 * 3  # pictures came only after: more than a chunk's worth from before them may go
    assert _numbers(list(chunker.chunks), 2)[-1] == 99
    assert len(_numbers(list(chunker.chunks), 2)) >= 100 - early


_EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["picture"] * 8 + ["sound"] * 6 + ["tick", "jump"]),
        st.integers(-20, 25),  # jitter of the next picture's time, ms
        st.integers(0, 40),  # time that passes, ms
        st.booleans(),
    ),
    min_size=1,
    max_size=150,
)


@settings(max_examples=150, deadline=None)
@given(_EVENTS)
def test_whatever_comes_chunks_stay_short_and_nothing_is_lost(events: list[tuple[str, int, int, bool]]) -> None:
    chunker = Chunker(LIMITS, 30, RATE)
    now = ORIGIN
    last = ORIGIN - FRAME
    holes: list[tuple[int, int]] = []
    pictures = sounds = 0
    sound_time = 0
    for what, jitter, passes, key in events:
        now += passes * MS
        if what == "jump":
            now += 40 * abs(jitter) * MS
        if what in ("picture", "jump"):
            at = max(now + jitter * MS, last + 1000)
            if pictures and at - last > 3 * FRAME // 2:
                holes.append((last + FRAME, at))
            sound_time = sound_time or -(-at * RATE // SECOND)
            chunker.picture(_picture(pictures, at, key or not pictures), now)
            last = at
            pictures += 1
        elif what == "sound" and pictures:
            chunker.sound([AacFrame(b"A" + sounds.to_bytes(4, "big"), sound_time, 1024)], now)
            sound_time += 1024
            sounds += 1
        chunker.tick(now)
        deadline = chunker.deadline_ns()
        assert deadline is None or deadline > now - LIMITS.longest_wait_ns
    chunker.finish()
    chunks = list(chunker.chunks)

    assert _numbers(chunks, 1) == list(range(pictures))
    assert _numbers(chunks, 2) == list(range(sounds))
    assert sum(chunk.frames for chunk in chunks) == pictures
    for chunk in chunks:
        assert 0 < chunk.duration_ns <= LIMITS.longest_chunk_ns
        for run in runs(chunk.data):
            scale = 90_000 if run.track == 1 else RATE
            assert (run.end - run.time) * 2 <= scale + 2
            if run.track == 1:
                # Key pictures stand first only.
                assert 0x02000000 not in run.flags[1:]
                assert chunk.key == (run.flags[0] == 0x02000000)
    recorded = [(gap.start_ns, gap.start_ns + gap.duration_ns) for chunk in chunks for gap in chunk.gaps]
    assert recorded == holes
    for track in (1, 2):
        line = [run for chunk in chunks for run in runs(chunk.data) if run.track == track]
        for before, after in pairwise(line):
            assert after.time >= before.end
            # After a picture that was closed with its nominal duration, half a frame is jitter and not a gap.
            if after.time > before.end + (1500 if track == 1 else 0):
                assert track == 1
                end_ns = chunks[0].start_ns + after.time * SECOND // 90_000
                assert any(abs(end - end_ns) < 50 * MS for _, end in holes), "a hole in the time line without a gap"


def test_gaps_that_touch_become_one() -> None:
    gaps: list[Gap] = []
    note_gap(gaps, Gap("audio", 1000, 500_000, 24, "no-signal"))
    note_gap(gaps, Gap("video", 2000, 7, 1, "lost"))
    note_gap(gaps, Gap("audio", 501_001, 500_000, 24, "no-signal"))
    note_gap(gaps, Gap("audio", 1_001_001, 500_000, 24, "overflow"))
    note_gap(gaps, Gap("audio", 1_501_001, 500_000, 24, "no-signal"))
    note_gap(gaps, Gap("audio", 9_501_001, 500_000, 24, "no-signal"))
    assert gaps == [
        Gap("audio", 1000, 1_000_001, 48, "no-signal"),
        Gap("video", 2000, 7, 1, "lost"),
        Gap("audio", 1_001_001, 500_000, 24, "overflow"),
        Gap("audio", 1_501_001, 500_000, 24, "no-signal"),
        Gap("audio", 9_501_001, 500_000, 24, "no-signal"),
    ]


def test_gaps_handed_in_travel_with_the_next_chunk() -> None:
    chunker = Chunker(LIMITS, 30, None)
    gap = Gap("audio", 1, 2, 3, "no-signal")
    chunker.gap(gap)
    assert chunker.gaps == (gap,)
    _steady(chunker, 21)
    first, second = chunker.chunks
    assert [first.gaps, second.gaps, chunker.gaps] == [(gap,), (), ()]
