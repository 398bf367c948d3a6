"""Evidence that is too old goes, on record, and only while nothing is recorded."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from drivers.clock.protocol import ClockReading, TimeSource
from firmware.cues import Note
from firmware.custodian import Custodian
from firmware.inputs import Trouble
from firmware.recorder import News, RecorderTimes
from firmware.states import State
from storage.chain import Tip
from storage.destroy import examine, unfinished
from storage.destruction import Destruction, Reason
from storage.errors import ReceiptError, StoreFailedError
from storage.inventory import SEGMENTS, segment_name
from storage.layout import Kind
from storage.particulars import Previous
from storage.receipt import Receipt, receipt_digest
from storage.room import JournalRoom
from storage.signer import MemorySigner
from storage.verdict import Verdict
from tests.firmware.device import Kit
from tests.firmware.kit import PATIENCE_S, SECOND, Bench, FakeCapture, footage
from tests.firmware.test_bad_input import Life
from tests.storage.kit import BOOT

DAY = 86_400 * SECOND
LATER = b"later boot id..."
STATION = MemorySigner.from_seed(b"s" * 32)
T0 = 1000 * SECOND


@dataclass
class Clock:
    """A clock of a later run."""

    now_ns: int = 5 * SECOND
    utc_ns: int = 0
    source: TimeSource = TimeSource.NTP

    def monotonic_ns(self) -> int:
        return self.now_ns

    def read(self) -> ClockReading:
        return ClockReading(self.now_ns, self.utc_ns + self.now_ns, True, 5, self.source)


@dataclass
class Rig:
    """A bench whose store has one recording, and its custodian."""

    bench: Bench
    clock: Clock = field(default_factory=Clock)
    told: list[Trouble] = field(default_factory=list)
    boot: bytes = BOOT

    def custodian(self) -> Custodian:
        store = self.bench.store
        return Custodian(
            self.bench.enrolled.flash, self.bench.enrolled.state, self.bench.enrolled.identity, store.device, self.boot,
            28, [STATION.public.hex()], self.clock, self.bench.recorder, lambda: store.open_segment, self.told.append,
            period_s=0.01,
        )  # fmt: skip

    @property
    def numbers(self) -> list[int]:
        return sorted(int(path.stem) for path in (self.bench.enrolled.flash / SEGMENTS).glob("*.seg"))


def record(bench: Bench) -> None:
    bench.recorder.begin()
    bench.recorder.start()
    bench.captures[0].feed(*footage(T0, 2))
    bench.watched.until_durable(Kind.MEDIA, 6)
    bench.recorder.stop()
    bench.watched.until_news(News.ENDED)


def test_after_its_time_and_not_before(tmp_path: Path) -> None:
    with Bench(tmp_path, [FakeCapture()], RecorderTimes(segment_ns=SECOND)) as bench:
        record(bench)
        rig = Rig(bench, Clock(now_ns=T0))
        custodian = rig.custodian()
        custodian.look()
        rig.clock.now_ns += 28 * DAY - SECOND
        custodian.look()
        assert rig.numbers == [1, 2, 3, 4]
        rig.clock.now_ns += 2 * SECOND
        custodian.look()
        assert rig.numbers == [1, 4]
        assert unfinished(bench.enrolled.flash) == []
        assert rig.told == []
        bench.finish()
        report = bench.verified()
        assert report.verdict is Verdict.AUTHENTIC
        assert [(item.number, item.destruction.reason, item.destruction.age_s) for item in report.destroyed] == [
            (2, Reason.RETENTION, 28 * 86_400 + 1), (3, Reason.RETENTION, 28 * 86_400 + 1),
        ]  # fmt: skip
        assert report.recordings == ()


def test_a_wall_clock_that_jumps_destroys_nothing(tmp_path: Path) -> None:
    with Bench(tmp_path, [FakeCapture()]) as bench:
        record(bench)
        rig = Rig(bench, Clock(now_ns=T0))
        custodian = rig.custodian()
        custodian.look()
        for utc_ns in (10_000 * DAY, -10_000 * DAY, 0):
            rig.clock.utc_ns = utc_ns
            rig.clock.now_ns += 3 * 3600 * SECOND
            custodian.look()
        assert rig.numbers == [1, 2, 3]
        bench.finish()


def test_nothing_is_destroyed_while_recording(tmp_path: Path) -> None:
    with Bench(tmp_path, [FakeCapture(), FakeCapture()]) as bench:
        record(bench)
        rig = Rig(bench, Clock(now_ns=T0))
        custodian = rig.custodian()
        custodian.look()
        bench.recorder.start()
        bench.captures[1].feed(*footage(T0 + 5 * SECOND, 1))
        bench.watched.until_news(News.STARTED, 2)
        rig.clock.now_ns += 40 * DAY
        custodian.look()
        assert 2 in rig.numbers
        bench.recorder.stop()
        bench.watched.until_news(News.ENDED, 2)
        custodian.look()
        assert rig.numbers == [1, 3, 5]
        bench.finish()
        assert bench.verified().verdict is Verdict.AUTHENTIC


def test_what_a_power_cut_left_is_finished(tmp_path: Path) -> None:
    with Bench(tmp_path, [FakeCapture()]) as bench:
        record(bench)
        gone = bench.enrolled.flash / SEGMENTS / segment_name(2)
        gone.rename(gone.with_suffix(".gone"))
        rig = Rig(bench, Clock(now_ns=T0))
        rig.custodian().look()
        assert unfinished(bench.enrolled.flash) == []
        bench.finish()


def test_the_age_outlives_a_restart(tmp_path: Path) -> None:
    with Bench(tmp_path, [FakeCapture()]) as bench:
        record(bench)
        rig = Rig(bench, Clock(now_ns=T0))
        rig.custodian().look()
        rig.clock.now_ns += 20 * DAY
        rig.custodian().look()
        rig.boot, rig.clock = LATER, Clock(now_ns=SECOND, source=TimeSource.NONE)
        custodian = rig.custodian()
        custodian.look()
        rig.clock.now_ns += 8 * DAY - 3600 * SECOND
        custodian.look()
        assert 2 in rig.numbers
        rig.clock.now_ns += 2 * 3600 * SECOND
        custodian.look()
        assert rig.numbers == [1, 3]
        bench.finish()


def test_what_is_strange_is_told_once_and_stays(tmp_path: Path) -> None:
    with Bench(tmp_path, [FakeCapture()]) as bench:
        record(bench)
        path = bench.enrolled.flash / SEGMENTS / segment_name(2)
        path.write_bytes(b"another device's" * 100)
        rig = Rig(bench, Clock(now_ns=T0))
        custodian = rig.custodian()
        rig.clock.now_ns += 40 * DAY
        custodian.look()
        custodian.look()
        assert rig.told == [Trouble("retention", "segments [2] are not this device's: nothing destroys them")]
        assert path.exists()
        path.unlink()
        custodian.look()
        assert rig.told[-1] == Trouble("retention", "")
        bench.finish()


def test_what_is_broken_is_told_and_stays(tmp_path: Path) -> None:
    with Bench(tmp_path, [FakeCapture()], RecorderTimes(segment_ns=SECOND)) as bench:
        record(bench)
        path = bench.enrolled.flash / SEGMENTS / segment_name(2)
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
        rig = Rig(bench, Clock(now_ns=T0))
        custodian = rig.custodian()
        custodian.look()
        rig.clock.now_ns += 40 * DAY
        custodian.look()
        custodian.look()
        assert path.read_bytes() == data
        assert "is not destroyed: it is not what it should be" in rig.told[-1].text
        assert rig.numbers == [1, 2, 4], "and the one after it goes in its time"
        bench.finish()


def test_a_damaged_file_of_ages_is_told(tmp_path: Path) -> None:
    with Bench(tmp_path, [FakeCapture()]) as bench:
        record(bench)
        (bench.enrolled.state / "ages").write_bytes(b"garbage")
        rig = Rig(bench, Clock(now_ns=T0))
        rig.custodian()
        assert "counts from now" in rig.told[0].text
        bench.finish()


def test_without_a_statement_nothing_is_destroyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Bench(tmp_path, [FakeCapture()]) as bench:
        record(bench)
        rig = Rig(bench, Clock(now_ns=T0))
        custodian = rig.custodian()
        custodian.look()
        rig.clock.now_ns += 40 * DAY
        with monkeypatch.context() as patch:
            patch.setattr(bench.recorder, "state_destruction", lambda *_arguments: False)
            custodian.look()
        assert 2 in rig.numbers
        bench.finish()


def test_it_runs_and_ends(tmp_path: Path) -> None:
    with Bench(tmp_path, [FakeCapture()]) as bench:
        record(bench)
        rig = Rig(bench, Clock(now_ns=T0))
        custodian = rig.custodian()
        custodian.begin()
        rig.clock.now_ns += 40 * DAY
        rig.clock.now_ns += 1
        bench.watched.until_durable(Kind.DESTRUCTION)
        custodian.close()
        custodian.close()
        assert "custodian" not in {thread.name for thread in threading.enumerate()}
        bench.finish()


def test_a_second_statement_waits_for_the_first(tmp_path: Path) -> None:
    with Bench(tmp_path, [FakeCapture()]) as bench:
        statement = object.__new__(Destruction)
        assert not bench.recorder.state_destruction(statement, 0.001), "nobody writes it before the recorder begins"
        assert not bench.recorder.state_destruction(statement, 0.001)


# --- Receipts ---------------------------------------------------------------------------------------------------------


def receipt_for(bench: Bench, number: int, **changes: Any) -> Receipt:
    what = examine(bench.enrolled.flash, number, bench.enrolled.identity)
    made = Receipt(bench.store.device, number, what.last, what.size_bytes, what.digest, 5)
    return replace(made, **changes)


def test_a_receipt_destroys_what_it_names_and_journals_too(tmp_path: Path) -> None:
    with Bench(tmp_path, [FakeCapture()]) as bench:
        record(bench)
        rig = Rig(bench, Clock(now_ns=T0))
        custodian = rig.custodian()
        custodian.look()
        rig.clock.now_ns += 90 * SECOND
        for number in (1, 2):
            data = receipt_for(bench, number).sign(STATION)
            assert custodian.accept(data) == f"segment {number} is destroyed"
            assert custodian.accept(data) == f"segment {number} is not here any more"
        assert rig.numbers == [3]
        bench.finish()
        report = bench.verified()
        assert report.verdict is Verdict.AUTHENTIC
        found = [item.destruction for item in report.destroyed]
        assert [(item.what.segment, item.reason) for item in found] == [(1, Reason.RECEIPT), (2, Reason.RECEIPT)]
        assert found[1].receipt == receipt_digest(data)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"device": b"another device.."}, "it is for device"),
        ({"segment": 9, "last": Previous(9, 1, Tip(bytes(32), bytes(64)))}, "segment 9 is not closed"),
        ({"digest": bytes(32)}, "it is for another content"),
        ({"size_bytes": 5}, "it is for another length"),
        ({"last": Previous(2, 1, Tip(bytes(32), bytes(64)))}, "it is for another chain"),
    ],
)
def test_a_receipt_for_something_else_destroys_nothing(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    with Bench(tmp_path, [FakeCapture()]) as bench:
        record(bench)
        rig = Rig(bench, Clock(now_ns=T0))
        with pytest.raises(ReceiptError, match=says):
            rig.custodian().accept(receipt_for(bench, 2, **change).sign(STATION))
        assert rig.numbers == [1, 2, 3]
        bench.finish()


def test_a_receipt_for_one_segment_does_not_pass_for_another(tmp_path: Path) -> None:
    with Bench(tmp_path, [FakeCapture()]) as bench:
        record(bench)
        rig = Rig(bench, Clock(now_ns=T0))
        other = receipt_for(bench, 1)
        forged = replace(other, segment=2, last=replace(other.last, segment=2)).sign(STATION)
        with pytest.raises(ReceiptError, match="it is for another chain"):
            rig.custodian().accept(forged)
        bench.finish()


@pytest.mark.parametrize("wrong", ["foreign", "bit", "cut", "empty", "long", "garbage"])
def test_a_receipt_that_is_not_the_stations_destroys_nothing(tmp_path: Path, wrong: str) -> None:
    with Bench(tmp_path, [FakeCapture()]) as bench:
        record(bench)
        rig = Rig(bench, Clock(now_ns=T0))
        good = receipt_for(bench, 2).sign(STATION)
        data = {
            "foreign": receipt_for(bench, 2).sign(MemorySigner.from_seed(b"x" * 32)),
            "bit": good[:-1] + bytes([good[-1] ^ 1]),
            "cut": good[:-1],
            "empty": b"",
            "long": good * 20,
            "garbage": b"\xff" * 300,
        }[wrong]
        with pytest.raises(ReceiptError, match="the receipt is refused"):
            rig.custodian().accept(data)
        assert rig.numbers == [1, 2, 3]
        bench.finish()


def test_while_recording_a_receipt_waits(tmp_path: Path) -> None:
    with Bench(tmp_path, [FakeCapture(), FakeCapture()]) as bench:
        record(bench)
        rig = Rig(bench, Clock(now_ns=T0))
        data = receipt_for(bench, 2).sign(STATION)
        bench.recorder.start()
        bench.captures[1].feed(*footage(T0 + 5 * SECOND, 1))
        bench.watched.until_news(News.STARTED, 2)
        custodian = rig.custodian()
        with pytest.raises(ReceiptError, match="the device records; offer it again"):
            custodian.accept(data)
        assert 2 in rig.numbers
        bench.recorder.stop()
        bench.watched.until_news(News.ENDED, 2)
        assert custodian.accept(data) == "segment 2 is destroyed"
        bench.finish()


# --- Room for the journal ---------------------------------------------------------------------------------------------


class TightBench(Bench):
    """On a medium whose reserve runs out."""

    def tighten(self, room: JournalRoom) -> None:
        self.store.journal_room = lambda: room  # type: ignore[method-assign]


def test_heartbeats_become_rare(tmp_path: Path) -> None:
    with TightBench(tmp_path, times=RecorderTimes(heartbeat_ns=1_000_000)) as bench:
        bench.tighten(JournalRoom.RARE)
        beats = threading.Event()
        look = bench.store.journal_room
        count = 0

        def counted() -> JournalRoom:
            nonlocal count
            count += 1
            if count == 130:
                beats.set()
            return look()

        bench.store.journal_room = counted  # type: ignore[method-assign]
        bench.recorder.begin()
        assert beats.wait(30)
        bench.finish()
        assert bench.written()[0].kinds.count(Kind.HEARTBEAT) in (2, 3)


def test_at_the_very_end_only_what_must_be_is_written_and_the_rest_is_counted(tmp_path: Path) -> None:
    with TightBench(tmp_path, times=RecorderTimes(heartbeat_ns=1_000_000)) as bench:
        bench.recorder.begin()
        bench.recorder.note("before")
        bench.watched.until_durable(Kind.EVENTS)
        bench.tighten(JournalRoom.NEEDED)
        for _ in range(5):
            bench.recorder.note("lost")
        deadline_s = time.monotonic() + PATIENCE_S
        while not bench.recorder._events_dropped:
            assert time.monotonic() < deadline_s
            time.sleep(0.005)
        bench.tighten(JournalRoom.ALL)
        bench.recorder.note("after")
        bench.finish()
        names = [event.name for item in bench.written() for event in item.events]
        assert "before" in names
        assert "lost" not in names
        dropped = [event for item in bench.written() for event in item.events if event.name == "events-dropped"]
        assert sum(int(event.details["count"] or 0) for event in dropped) == 5
        assert bench.verified().verdict is Verdict.AUTHENTIC


def test_a_medium_that_fails_ends_the_pass_with_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Bench(tmp_path, [FakeCapture()]) as bench:
        record(bench)
        rig = Rig(bench, replace(Clock(), now_ns=T0))

        def refuse(*_arguments: object, **_more: object) -> None:
            raise StoreFailedError("cannot list it")

        monkeypatch.setattr("firmware.custodian.finish", refuse)
        rig.custodian().look()
        assert rig.told == [Trouble("retention", "cannot list it")]
        bench.finish()


def test_a_custodian_that_died_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Custodian, "_run", lambda _self: None)
    life = Life(Kit.make(tmp_path))
    with life.lived(monkeypatch) as parts:
        life.press(parts, State.RECORDING)
        life.until(lambda: Note.WARNING in life.notes)
    told = [event.details for event in life.events("trouble")]
    assert told == [{"part": "retention", "text": "the custodian's thread ended by itself; restart the device"}]
    assert life.verified()[1]["verdict"] == "authentic"
