"""The recorder on a medium that is full, slow or broken."""

from __future__ import annotations

import errno
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from firmware.recorder import News, RecorderTimes
from storage import flash
from storage.durable import write_all
from storage.errors import StoreFailedError
from storage.layout import Kind
from storage.verdict import Verdict
from tests.firmware.kit import PATIENCE_S, SECOND, THIRD, Bench, FakeCapture, chunk, footage
from tests.storage.kit import INIT

T0 = 1000 * SECOND


class Medium:
    """Stands between the store and its files."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.error = 0
        self.failed = threading.Event()
        self.arrived = threading.Event()
        self.gate = threading.Event()
        self.gate.set()
        monkeypatch.setattr(flash, "write_all", self.write_all)

    def write_all(self, fd: int, buffers: Sequence[bytes | memoryview]) -> int:
        if not self.gate.is_set():
            self.arrived.set()
            assert self.gate.wait(PATIENCE_S)
        if self.error:
            self.failed.set()
            raise OSError(self.error, "as the test wants it")
        return write_all(fd, buffers)


def test_a_full_store_ends_the_recording_as_full(tmp_path: Path) -> None:
    with Bench(tmp_path, [FakeCapture(), FakeCapture()]) as bench:
        bench.recorder.begin()
        bench.recorder.start()
        bench.captures[0].feed(*footage(T0, 1))
        bench.watched.until_durable(Kind.MEDIA, 3)
        bench.store.room_bytes = 10
        bench.captures[0].feed(chunk(T0 + SECOND, key=True))
        assert bench.watched.until_news(News.ENDED).text == "full"
        bench.finish()
        media = bench.written()[1]
        assert (media.reason, len(media.footage)) == ("full", 3)
        assert [event.name for event in media.events] == ["full"]
        assert bench.captures[0].closed.is_set()
        assert bench.verified().verdict is Verdict.AUTHENTIC


def test_a_store_that_is_full_at_a_rotation_ends_the_recording_as_full(tmp_path: Path) -> None:
    with Bench(tmp_path, [FakeCapture()], RecorderTimes(segment_ns=2 * SECOND)) as bench:
        bench.recorder.begin()
        bench.recorder.start()
        bench.captures[0].feed(*footage(T0, 1))
        bench.watched.until_durable(Kind.MEDIA, 3)
        bench.store.room_bytes = 10
        bench.captures[0].feed(chunk(T0 + 2 * SECOND - THIRD, key=True))
        assert bench.watched.until_news(News.ENDED).text == "full"
        bench.finish()
        assert [item.summary for item in bench.written()] == [
            ("journal", 0, "recording"),
            ("media", 0, "full"),
            ("journal", 0, "power-off"),
        ]
        assert bench.verified().verdict is Verdict.AUTHENTIC


def test_a_store_that_is_full_before_the_recording_leaves_the_journal_open(tmp_path: Path) -> None:
    with Bench(tmp_path, [FakeCapture(), FakeCapture()]) as bench:
        bench.store.room_bytes = len(INIT)
        bench.recorder.begin()
        bench.recorder.start()
        bench.captures[0].feed(chunk(T0, key=True))
        assert bench.watched.until_news(News.ENDED).text == "full"
        bench.store.room_bytes = 1 << 30
        bench.recorder.start()
        bench.captures[1].feed(chunk(T0, key=True))
        bench.watched.until_news(News.STARTED)
        bench.finish()
        assert [item.reason for item in bench.written()] == ["recording", "power-off", "power-off"]
        assert "full" in [event.name for event in bench.written()[0].events]


def test_room_that_vanishes_between_two_segments_is_no_disaster(tmp_path: Path) -> None:
    """The room is there when the rotation is decided on, and gone when the next segment is to open."""
    with Bench(tmp_path, [FakeCapture()], RecorderTimes(segment_ns=2 * SECOND)) as bench:
        bench.recorder.begin()
        bench.recorder.start()
        bench.captures[0].feed(*footage(T0, 1))
        bench.watched.until_durable(Kind.MEDIA, 3)
        bench.store.room_bytes = len(INIT) + 100
        bench.store.shrinks_after = 1
        bench.captures[0].feed(chunk(T0 + 2 * SECOND - THIRD, key=True, size=100))
        assert bench.watched.until_news(News.ENDED).text == "full"
        bench.finish()
        assert [item.reason for item in bench.written()] == ["recording", "rotation", "power-off"]
        assert bench.verified().verdict is Verdict.MISSING_PARTS


@pytest.mark.parametrize("recording", [False, True])
def test_a_medium_that_fails_is_reported_and_ends_the_recorder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recording: bool
) -> None:
    medium = Medium(monkeypatch)
    with Bench(tmp_path, [FakeCapture()], RecorderTimes(heartbeat_ns=5_000_000)) as bench:
        bench.recorder.begin()
        bench.watched.until_durable(Kind.OPENING)
        if recording:
            bench.recorder.start()
            bench.captures[0].feed(*footage(T0, 1))
            bench.watched.until_news(News.STARTED)
        medium.error = errno.EIO
        bench.captures[0].feed(chunk(T0 + SECOND, key=True))
        if recording:
            assert medium.failed.wait(PATIENCE_S)
            with pytest.raises(StoreFailedError):
                bench.store._flash.barrier()
            bench.captures[0].feed(chunk(T0 + SECOND + THIRD))
        report = bench.watched.until_news(News.FAILED)
        assert "refused a write" in report.text
        assert "\n" not in report.text
        assert bench.recorder.shut_down(PATIENCE_S)
        assert not bench.recorder.alive
        assert bench.captures[0].closed.is_set() == recording
        bench.store.close()
        assert bench.verified().verdict is Verdict.MISSING_PARTS


def test_progress_follows_what_is_durable_and_not_what_is_queued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    medium = Medium(monkeypatch)
    with Bench(tmp_path, [FakeCapture()]) as bench:
        bench.recorder.begin()
        bench.recorder.start()
        bench.captures[0].feed(chunk(T0, key=True))
        bench.watched.until_news(News.STARTED)
        bench.watched.until_durable(Kind.MEDIA)
        before = bench.recorder.progress
        medium.gate.clear()
        bench.captures[0].feed(chunk(T0 + THIRD), chunk(T0 + 2 * THIRD))
        assert medium.arrived.wait(PATIENCE_S)
        assert bench.store.queued_bytes > 0
        assert bench.recorder.progress == before
        medium.gate.set()
        bench.watched.until_durable(Kind.MEDIA, 3)
        after = bench.recorder.progress
        assert (before.media_ns, after.media_ns) == (THIRD, 3 * THIRD)
        assert after.chunk == before.chunk + 2
        bench.finish()


def test_started_is_told_only_when_the_first_chunk_is_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    medium = Medium(monkeypatch)
    with Bench(tmp_path, [FakeCapture()]) as bench:
        bench.recorder.begin()
        bench.watched.until_durable(Kind.OPENING)
        medium.gate.clear()
        bench.recorder.start()
        bench.captures[0].feed(chunk(T0, key=True))
        assert medium.arrived.wait(PATIENCE_S)
        assert bench.watched.reports == []
        medium.gate.set()
        bench.watched.until_news(News.STARTED)
        assert bench.recorder.progress.media_ns == THIRD
        bench.finish()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_bug_is_reported_before_it_ends_the_thread(tmp_path: Path) -> None:
    with Bench(tmp_path, []) as bench:  # no capture can be made: `next` raises
        bench.recorder.begin()
        bench.recorder.start()
        assert "the recorder failed: " in bench.watched.until_news(News.FAILED).text
        assert bench.recorder.shut_down(PATIENCE_S)
