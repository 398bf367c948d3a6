"""The recorder: journal, recording, journal; what ends a recording, and what is on record about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from capture.chunk import CmafChunk
from capture.chunk import Gap as CaptureGap
from capture.errors import CaptureError
from drivers.errors import DriverError
from drivers.indicator.protocol import LightState
from firmware.recorder import News, RecorderTimes, Report
from storage.events import Event
from storage.layout import ClockSource, Flags, Kind, Light
from storage.particulars import Gap
from storage.verdict import Verdict
from tests.firmware.kit import PATIENCE_S, SECOND, THIRD, Bench, FakeCapture, chunk, footage
from tests.storage.kit import INIT

T0 = 1000 * SECOND


def recorded(bench: Bench, chunks: list[CmafChunk], reason: str = "stop") -> None:
    """Start, feed, wait until all is durable, stop."""
    capture = bench.captures[0]
    bench.recorder.begin()
    bench.recorder.start()
    capture.feed(*chunks)
    bench.watched.until_durable(Kind.MEDIA, len(chunks))
    bench.recorder.stop(reason)
    bench.watched.until_news(News.ENDED)


def test_journal_recording_journal(tmp_path: Path) -> None:
    with Bench(tmp_path, [FakeCapture()]) as bench:
        recorded(bench, footage(T0, 2))
        bench.finish()
        assert [item.summary for item in bench.written()] == [
            ("journal", 0, "recording"),
            ("media", 0, "stop"),
            ("journal", 0, "power-off"),
        ]
        assert bench.verified().verdict is Verdict.AUTHENTIC
        assert [report.news for report in bench.watched.reports] == [News.STARTED, News.ENDED]
        assert {report.recording for report in bench.watched.reports} == {bench.written()[1].recording}
        assert bench.captures[0].closed.is_set()


def test_media_is_kept_as_it_was_captured(tmp_path: Path) -> None:
    bodies = [bytes([number]) * 100 for number in range(3)]
    chunks = [
        CmafChunk(bodies[0], T0, THIRD, True, 10, (), audio_live=True, video_live=True),
        CmafChunk(bodies[1], T0 + THIRD, THIRD, False, 10, (), audio_live=True, video_live=True),
        CmafChunk(bodies[2], T0 + 2 * THIRD, THIRD + 1, True, 10, (), audio_live=False, video_live=True),
    ]
    with Bench(tmp_path, [FakeCapture()]) as bench:
        recorded(bench, chunks)
        bench.finish()
        media = bench.written()[1]
        assert media.entries[0].body == INIT
        assert [entry.body for entry in media.footage] == bodies
        assert [entry.flags for entry in media.footage] == [Flags.KEY | Flags.SOUND, Flags.SOUND, Flags.KEY]
        assert [(entry.stamp.monotonic_ns, entry.stamp.duration_ns) for entry in media.footage] == [
            (item.start_ns, item.duration_ns) for item in chunks
        ]
        offset_ns = bench.clock.read().utc_ns - bench.clock.monotonic_ns()
        assert {entry.stamp.utc_ns - entry.stamp.monotonic_ns for entry in media.entries} == {offset_ns}
        assert {entry.stamp.clock_source for entry in media.entries} == {ClockSource.NTP}


def test_each_chunk_attests_the_light_of_its_own_time(tmp_path: Path) -> None:
    with Bench(tmp_path, [FakeCapture()]) as bench:
        bench.witness.saw(LightState(T0 + THIRD + 5, True, False))
        bench.witness.saw(LightState(T0 + 2 * THIRD, True, True))
        recorded(bench, footage(T0, 1))
        bench.finish()
        assert [entry.stamp.sensed for entry in bench.written()[1].footage] == [Light.LIT, Light.PARTLY, Light.LIT]


def test_segments_rotate_on_key_pictures_within_their_length(tmp_path: Path) -> None:
    times = RecorderTimes(segment_ns=7 * SECOND // 2)
    with Bench(tmp_path, [FakeCapture()], times) as bench:
        recorded(bench, footage(T0, 10))
        bench.finish()
        parts = [item for item in bench.written() if item.media]
        assert [item.part for item in parts] == list(range(len(parts)))
        assert len({item.recording for item in parts}) == 1
        assert [item.reason for item in parts] == ["rotation"] * (len(parts) - 1) + ["stop"]
        for item in parts:
            assert item.footage[0].flags & Flags.KEY
            assert item.entries[0].body == INIT
            first, last = item.footage[0].stamp, item.footage[-1].stamp
            assert last.monotonic_ns + last.duration_ns - first.monotonic_ns <= 7 * SECOND // 2
        assert sum(len(item.footage) for item in parts) == 30
        assert len(parts) <= 4, "segments are not cut shorter than a key interval below their length"
        report = bench.verified()
        assert report.verdict is Verdict.AUTHENTIC
        assert report.recordings[0].missing_parts == ()


def test_without_key_pictures_segments_still_keep_within_their_length(tmp_path: Path) -> None:
    times = RecorderTimes(segment_ns=2 * SECOND)
    chunks = [chunk(T0 + number * THIRD, key=number == 0) for number in range(20)]
    with Bench(tmp_path, [FakeCapture()], times) as bench:
        recorded(bench, chunks)
        bench.finish()
        parts = [item for item in bench.written() if item.media]
        assert sum(len(item.footage) for item in parts) == 20
        assert max(len(item.footage) for item in parts) == 6
        assert bench.verified().verdict is Verdict.AUTHENTIC


def test_a_stop_keeps_every_chunk_that_was_captured(tmp_path: Path) -> None:
    tail = footage(T0 + SECOND, 3)
    with Bench(tmp_path, [FakeCapture(tail=tail)]) as bench:
        recorded(bench, footage(T0, 1))
        bench.finish()
        starts = [entry.stamp.monotonic_ns for entry in bench.written()[1].footage]
        assert starts == [item.start_ns for item in (*footage(T0, 1), *tail)]


def test_two_recordings_are_two(tmp_path: Path) -> None:
    with Bench(tmp_path, [FakeCapture(), FakeCapture()]) as bench:
        recorded(bench, footage(T0, 1))
        bench.recorder.start()
        bench.captures[1].feed(*footage(T0 + 5 * SECOND, 1))
        bench.watched.until_news(News.STARTED, 2)
        bench.recorder.stop("light")
        assert bench.watched.until_news(News.ENDED, 2).text == "light"
        bench.finish()
        assert [item.summary for item in bench.written()][1:] == [
            ("media", 0, "stop"),
            ("journal", 0, "recording"),
            ("media", 0, "light"),
            ("journal", 0, "power-off"),
        ]
        assert len({item.recording for item in bench.written() if item.media}) == 2
        assert bench.verified().verdict is Verdict.AUTHENTIC


def test_events_are_sealed_with_their_times(tmp_path: Path) -> None:
    with Bench(tmp_path, [FakeCapture()]) as bench:
        bench.recorder.note("boot", last_run="new", torn_bytes=0, cut_recording=None)
        bench.clock.advance(7)
        bench.recorder.note("light", commanded=True)
        bench.recorder.begin()
        bench.watched.until_durable(Kind.EVENTS)
        bench.recorder.start()
        bench.captures[0].feed(chunk(T0, key=True))
        bench.watched.until_news(News.STARTED)
        bench.clock.advance(3)
        bench.recorder.note("marker")
        bench.captures[0].feed(chunk(T0 + THIRD))
        bench.watched.until_durable(Kind.EVENTS, 2)
        bench.finish()
        journal, media, _last = bench.written()
        assert journal.events == [
            Event(T0, "boot", {"last_run": "new", "torn_bytes": 0, "cut_recording": None}),
            Event(T0 + 7, "light", {"commanded": True}),
        ]
        assert media.events == [Event(T0 + 10, "marker", {})]
        assert bench.verified().verdict is Verdict.AUTHENTIC
        flash = b"".join(path.read_bytes() for path in bench.enrolled.flash.rglob("*.seg"))
        assert b"marker" not in flash


def test_a_note_just_before_the_end_is_on_record(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        bench.recorder.begin()
        bench.recorder.note("last")
        bench.finish()
        assert [event.name for event in bench.written()[0].events] == ["last"]


def test_nothing_happened_is_on_record(tmp_path: Path) -> None:
    with Bench(tmp_path, times=RecorderTimes(heartbeat_ns=5_000_000)) as bench:
        bench.recorder.begin()
        bench.watched.until_durable(Kind.HEARTBEAT, 3)
        bench.finish()
        assert bench.written()[0].kinds.count(Kind.HEARTBEAT) >= 3
        assert bench.verified().verdict is Verdict.AUTHENTIC


def test_gaps_reach_the_headers(tmp_path: Path) -> None:
    lost = CaptureGap("video", T0, 2 * THIRD, 20, "overflow")
    early = CaptureGap("audio", -5, THIRD, 16, "start")
    pending = CaptureGap("video", T0 + SECOND, SECOND, 30, "stall")
    with Bench(tmp_path, [FakeCapture(pending_gaps=(pending,))]) as bench:
        recorded(bench, [chunk(T0, key=True), chunk(T0 + THIRD, gaps=(lost, early))])
        bench.finish()
        media = bench.written()[1]
        assert media.footage[0].gaps == ()
        assert media.footage[1].gaps == (
            Gap("video", T0, 2 * THIRD, 20, "overflow"),
            Gap("audio", 0, THIRD, 16, "start"),
        )
        assert media.entries[-1].gaps == (Gap("video", T0 + SECOND, SECOND, 30, "stall"),)
        assert [gap.cause for gap in bench.verified().recordings[0].media.gaps] == ["overflow", "start", "stall"]


def test_too_many_events_are_counted(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        for number in range(600):
            bench.recorder.note("button", number=number)
        bench.recorder.begin()
        bench.watched.until_durable(Kind.EVENTS)
        bench.finish()
        events = bench.written()[0].events
        assert [event.details["number"] for event in events[:-1]] == list(range(600 - 512, 600))
        assert events[-1] == Event(T0, "events-dropped", {"count": 600 - 512})


@pytest.mark.parametrize("error", [CaptureError("the camera is silent"), DriverError("the camera came loose")])
def test_a_camera_that_fails_ends_the_recording_and_no_more(tmp_path: Path, error: Exception) -> None:
    pending = CaptureGap("video", T0 + SECOND, SECOND, 30, "fault")
    with Bench(tmp_path, [FakeCapture(pending_gaps=(pending,)), FakeCapture()]) as bench:
        bench.recorder.begin()
        bench.recorder.start()
        bench.captures[0].feed(*footage(T0, 1), error)
        assert bench.watched.until_news(News.ENDED).text == "camera"
        bench.recorder.start()
        bench.captures[1].feed(*footage(T0 + 9 * SECOND, 1))
        bench.watched.until_news(News.STARTED, 2)
        bench.finish()
        written = bench.written()
        assert [item.reason for item in written] == ["recording", "camera", "recording", "power-off", "power-off"]
        assert len(written[1].footage) == 3
        assert written[1].entries[-1].gaps == (Gap("video", T0 + SECOND, SECOND, 30, "fault"),)
        assert [(event.name, event.details["text"]) for event in written[1].events] == [("camera", str(error))]
        assert bench.verified().verdict is Verdict.AUTHENTIC


def test_a_camera_that_does_not_start_leaves_no_recording(tmp_path: Path) -> None:
    with Bench(tmp_path, [FakeCapture(refuses=CaptureError("no camera"))]) as bench:
        bench.recorder.begin()
        bench.recorder.start()
        report = bench.watched.until_news(News.ENDED)
        assert report.text == "camera"
        bench.finish()
        (journal,) = bench.written()
        assert journal.reason == "power-off"
        assert [(event.name, event.details["text"]) for event in journal.events] == [("camera", "no camera")]
        assert bench.captures[0].closed.is_set()
        assert not bench.watched.all(News.STARTED)


def test_a_stop_before_the_first_picture_leaves_no_recording(tmp_path: Path) -> None:
    with Bench(tmp_path, [FakeCapture()]) as bench:
        bench.recorder.begin()
        bench.recorder.start()
        assert bench.captures[0].started.wait(PATIENCE_S)
        bench.recorder.stop()
        assert bench.watched.until_news(News.ENDED).text == "stop"
        bench.finish()
        assert [item.summary for item in bench.written()] == [("journal", 0, "power-off")]


def test_a_camera_that_does_not_stop_does_not_keep_the_recording_open(tmp_path: Path) -> None:
    with Bench(tmp_path, [FakeCapture(never_stops=True)]) as bench:
        bench.recorder.begin()
        bench.recorder.start()
        bench.captures[0].feed(*footage(T0, 1))
        bench.watched.until_news(News.STARTED)
        bench.recorder.stop()
        assert bench.captures[0].stopping.wait(PATIENCE_S)
        bench.clock.advance(6 * SECOND)
        assert bench.watched.until_news(News.ENDED).text == "stop"
        bench.finish()
        media = bench.written()[1]
        assert (media.reason, len(media.footage)) == ("stop", 3)
        assert [event.name for event in media.events] == ["camera"]


def test_a_stop_behind_a_start_in_the_queue_is_not_lost(tmp_path: Path) -> None:
    with Bench(tmp_path, [FakeCapture()]) as bench:
        bench.recorder.start()
        bench.recorder.stop()
        bench.recorder.begin()
        assert bench.watched.until_news(News.ENDED).text == "stop"
        bench.finish()


def test_a_stop_while_nothing_is_recorded_does_nothing(tmp_path: Path) -> None:
    with Bench(tmp_path, [FakeCapture()]) as bench:
        bench.recorder.stop()
        recorded(bench, footage(T0, 1))
        bench.finish()
        assert len(bench.written()[1].footage) == 3


def test_shut_down_while_idle(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        bench.recorder.begin()
        assert bench.recorder.offer("technician", act="status")
        bench.finish()
        assert not bench.recorder.alive
        assert not bench.recorder.offer("technician", act="too late"), (
            "who offered it must know that it is in no segment"
        )
        assert [event.details["act"] for event in bench.written()[0].events if event.name == "technician"] == ["status"]
        assert [item.summary for item in bench.written()] == [("journal", 0, "power-off")]
        assert bench.verified().verdict is Verdict.AUTHENTIC


def test_shut_down_in_the_middle_of_a_recording(tmp_path: Path) -> None:
    with Bench(tmp_path, [FakeCapture(tail=footage(T0 + SECOND, 1))]) as bench:
        bench.recorder.begin()
        bench.recorder.start()
        bench.captures[0].feed(*footage(T0, 1))
        bench.watched.until_news(News.STARTED)
        bench.finish()
        assert [item.summary for item in bench.written()] == [
            ("journal", 0, "recording"),
            ("media", 0, "power-off"),
            ("journal", 0, "power-off"),
        ]
        assert len(bench.written()[1].footage) == 6
        assert bench.verified().verdict is Verdict.AUTHENTIC


def test_shut_down_that_overtakes_the_start(tmp_path: Path) -> None:
    with Bench(tmp_path, [FakeCapture()]) as bench:
        bench.recorder.start()
        bench.recorder.begin()
        bench.finish()
        assert bench.written()[-1].reason == "power-off"
        assert bench.verified().verdict is Verdict.AUTHENTIC


def test_the_next_run_goes_on_with_the_chain(tmp_path: Path) -> None:
    with Bench(tmp_path, [FakeCapture()]) as bench:
        recorded(bench, footage(T0, 1))
        bench.finish()
        assert bench.enrolled.open().recovery.how == "power-off"


def test_only_what_is_durable_is_told(tmp_path: Path) -> None:
    with Bench(tmp_path, [FakeCapture()]) as bench:
        assert bench.recorder.progress.media_ns == 0
        recorded(bench, footage(T0, 1))
        bench.finish()
        assert [report.news for report in bench.watched.reports] == [News.STARTED, News.ENDED]
        progress = bench.recorder.progress
        last = bench.verified().segments[-1]
        assert last.tip is not None
        assert progress.chain == last.tip.chain
        assert (progress.segment, progress.chunk) == (3, last.sound_chunks - 1)


def test_reports_name_their_recording(tmp_path: Path) -> None:
    with Bench(tmp_path, [FakeCapture()]) as bench:
        recorded(bench, footage(T0, 1))
        bench.finish()
        recording = bench.written()[1].recording
        assert bench.watched.reports == [
            Report(News.STARTED, "", recording),
            Report(News.ENDED, "stop", recording),
        ]
