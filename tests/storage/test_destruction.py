"""Destruction that can be proved: the stub in the chain, what a verifier makes of it, and the file's end."""

from __future__ import annotations

import ctypes
import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from station.keys import StationKey
from station.report import as_json, as_text
from station.timeline_command import tell
from storage import cbor
from storage.chain import Tip, genesis
from storage.destroy import destroy as destroy_segment
from storage.destroy import examine, finish, unfinished
from storage.destruction import Destroyed, Destruction, Reason, parse_destruction
from storage.errors import FormatError, StoreError, StoreFailedError
from storage.inventory import SEGMENTS, TORN, segment_name
from storage.layout import Kind
from storage.particulars import Previous
from storage.segment_report import Status
from storage.verdict import Verdict
from storage.verify import StoreReport, verify
from tests.storage import outsider
from tests.storage.kit import Device
from tests.storage.test_outsider import both

DAY_S = 86_400
R, S = b"R" * 16, b"S" * 16
Change = Callable[[Destruction], Destruction]


def keep(statement: Destruction) -> Destruction:
    return statement


@pytest.fixture
def device(tmp_path: Path) -> Device:
    """Journal 1, recording R (2 to 4), journal 5, recording S (6), journal 7."""
    made = Device(tmp_path, StationKey.generate(hybrid=False))
    with made.open() as store:
        made.journal(store)
        made.record(store, R, parts=3, chunks=3)
        made.journal(store)
        made.record(store, S, parts=1, chunks=2)
        made.journal(store, "power-off")
    return made


def path_of(device: Device, number: int) -> Path:
    return device.flash / SEGMENTS / segment_name(number)


def state(device: Device, *numbers: int, change: Change = keep, again: bool = False) -> None:
    """Put destructions on record in the next journal, and take the segments away."""
    with device.open() as store:
        journal = store.begin(device.clock.stamp())
        for number in numbers:
            statement = Destruction(examine(device.flash, number, device.identity), Reason.RETENTION, 28 * DAY_S)
            journal.destruction(device.clock.stamp(), statement if again else change(statement))
            if again:
                journal.destruction(device.clock.stamp(), change(statement))
        journal.close("power-off", device.clock.stamp())
    for number in numbers:
        assert destroy_segment(device.flash, number) is not None


def another(device: Device) -> None:
    """Record once more."""
    with device.open() as store:
        device.journal(store)
        device.record(store, b"U" * 16, parts=1)
        device.journal(store, "power-off")


def verified(device: Device) -> StoreReport:
    """By both verifiers."""
    return both(device.flash, device)[1]


def changed(**fields: Any) -> Change:
    return lambda statement: replace(statement, what=replace(statement.what, **fields))


# --- What a verifier makes of it --------------------------------------------------------------------------------------


def test_a_whole_recording_destroyed(device: Device) -> None:
    digests = {number: hashlib.sha256(path_of(device, number).read_bytes()).digest() for number in (2, 3, 4)}
    state(device, 2, 3, 4)
    report = verified(device)
    assert report.verdict is Verdict.AUTHENTIC
    assert [item.number for item in report.destroyed] == [2, 3, 4]
    assert [item.destruction.what.part for item in report.destroyed] == [0, 1, 2]
    assert {item.number: item.destruction.what.digest for item in report.destroyed} == digests
    assert {item.stated.place.segment for item in report.destroyed} == {8}
    assert report.missing_segments == ()
    assert [item.id for item in report.recordings] == [S]
    told = as_json(report)["destroyed"][0]
    assert (told["segment"], told["recording"], told["reason"], told["age_s"]) == (2, R.hex(), "retention", 28 * DAY_S)
    lines = list(as_text(report))
    assert any(
        line.startswith(f"Destroyed: segments 2 to 4 of recording {R.hex()}, opened ")
        and "retention after 28.0 days; stated" in line and line.endswith("in segment 8")
        for line in lines
    )  # fmt: skip
    assert any("by the wall clock only 0.0 days passed" in line for line in lines), "the test's clock gives it away"


def test_everything_before_the_journal_that_says_so(device: Device) -> None:
    state(device, 1, 2, 3, 4, 5, 6, 7)
    report = verified(device)
    assert report.verdict is Verdict.AUTHENTIC
    assert [item.number for item in report.destroyed] == [1, 2, 3, 4, 5, 6, 7]
    assert next(iter(as_text(report))) == "No recording."


def test_a_recording_destroyed_in_part_is_not_whole(device: Device) -> None:
    state(device, 3)
    report = verified(device)
    recording = report.recordings[0]
    assert (recording.id, recording.verdict) == (R, Verdict.MISSING_PARTS)
    assert "parts destroyed: 1" in recording.notes
    assert report.verdict is Verdict.MISSING_PARTS


def test_destroyed_and_missing_side_by_side(device: Device) -> None:
    state(device, 2, 4)
    path_of(device, 3).unlink()
    path_of(device, 5).unlink()
    report = verified(device)
    assert report.verdict is Verdict.MISSING_PARTS
    assert report.missing_segments == ((3, 3), (5, 5))
    assert [item.number for item in report.destroyed] == [2, 4]


def test_gone_without_a_word_is_missing(device: Device) -> None:
    destroy_segment(device.flash, 6)
    report = verified(device)
    assert (report.missing_segments, report.destroyed) == (((6, 6),), ())


def test_stated_again_after_a_crash(device: Device) -> None:
    state(device, 6, change=lambda item: replace(item, age_s=item.age_s + 60), again=True)
    assert verified(device).verdict is Verdict.AUTHENTIC


@pytest.mark.parametrize(
    "change",
    [changed(digest=b"D" * 32), changed(size_bytes=1), changed(opened_utc_ns=5), changed(part=7), changed(recording=R)],
)
def test_two_statements_that_differ(device: Device, change: Change) -> None:
    state(device, 6, change=change, again=True)
    report = verified(device)
    assert report.verdict is Verdict.NOT_AUTHENTIC
    assert "segments 8 and 8 state different things about segment 6" in report.findings[0].text


@pytest.mark.parametrize("number", [1, 2, 5, 6])
@pytest.mark.parametrize("side", ["previous", "last"])
def test_a_stub_that_does_not_fit(device: Device, number: int, side: str) -> None:
    def change(statement: Destruction) -> Destruction:
        end: Previous = getattr(statement.what, side)
        return changed(**{side: replace(end, tip=Tip(b"x" * 32, end.tip.signature))})(statement)

    state(device, number, change=change)
    assert verified(device).verdict is Verdict.NOT_AUTHENTIC


def test_stubs_that_do_not_fit_each_other(device: Device) -> None:
    chunks = changed(last=Previous(3, 9, Tip(b"x" * 32, b"y" * 64)))
    state(device, 2, 3, 4, change=lambda item: chunks(item) if item.what.segment == 3 else item)
    report = verified(device)
    assert report.verdict is Verdict.NOT_AUTHENTIC
    assert "segment 4, which was destroyed, does not follow segment 3" in str(report.findings)


def test_still_there_although_stated(device: Device) -> None:
    kept = path_of(device, 6).read_bytes()
    state(device, 6)
    path_of(device, 6).write_bytes(kept)
    report = verified(device)
    assert report.verdict is Verdict.AUTHENTIC
    assert "segment 6 is there, although segment 8 states its destruction" in [item.text for item in report.findings]
    assert report.destroyed == ()


def test_there_again_and_cut_short(device: Device) -> None:
    kept = path_of(device, 6).read_bytes()
    state(device, 6, 7)
    path_of(device, 6).write_bytes(kept[:-1])
    report = verified(device)
    assert report.verdict is Verdict.MISSING_PARTS
    assert "the last 1 chunks of segment 6 are missing" in str(report.findings)


def test_there_and_otherwise_than_stated(device: Device) -> None:
    kept = path_of(device, 6).read_bytes()
    state(device, 6, change=changed(last=Previous(6, 1, Tip(b"x" * 32, b"y" * 64))))
    path_of(device, 6).write_bytes(kept)
    report = verified(device)
    assert report.verdict is Verdict.NOT_AUTHENTIC
    assert report.recordings[1].verdict is Verdict.NOT_AUTHENTIC


def test_a_cut_segment_before_a_stub(device: Device) -> None:
    state(device, 4)
    whole = path_of(device, 3).read_bytes()
    path_of(device, 3).write_bytes(whole[:-10])
    report = verified(device)
    assert report.verdict is Verdict.MISSING_PARTS
    assert "the last 1 chunks of segment 3 are missing: the stub of segment 4 knows of them" in str(report.findings)


def test_a_broken_segment_before_a_stub(device: Device) -> None:
    state(device, 4)
    whole = bytearray(path_of(device, 3).read_bytes())
    whole[-5] ^= 1
    path_of(device, 3).write_bytes(whole)
    assert verified(device).verdict is Verdict.NOT_AUTHENTIC


def test_an_excerpt_is_told_what_it_states(device: Device, tmp_path: Path) -> None:
    state(device, 2, 3, 4)
    excerpt = tmp_path / "excerpt"
    excerpt.mkdir()
    for number in (7, 8):
        (excerpt / segment_name(number)).write_bytes(path_of(device, number).read_bytes())
    report = both(excerpt, device)[1]
    assert (report.verdict, report.missing_segments) == (Verdict.AUTHENTIC, ())
    assert [item.number for item in report.destroyed] == [2, 3, 4]
    alone = both(excerpt / segment_name(8), device)[1]
    assert (alone.verdict, [item.number for item in alone.destroyed]) == (Verdict.AUTHENTIC, [2, 3, 4])


def test_the_next_run_goes_on(device: Device) -> None:
    state(device, 1, 2, 3, 4, 5)
    another(device)
    report = verified(device)
    assert report.verdict is Verdict.AUTHENTIC
    assert len(report.destroyed) == 5


# --- The chunk --------------------------------------------------------------------------------------------------------

END = Previous(6, 3, Tip(b"c" * 32, b"s" * 64))
WHAT = Destroyed(6, R, 2, 1_790_000_000_000_000_000, replace(END, segment=5), END, 1000, b"d" * 32)
RECEIVED = Destruction(WHAT, Reason.RECEIPT, 60, b"r" * 32)


@given(
    segment=st.integers(1, 2**32 - 2), part=st.integers(0, 2**32 - 1), opened=st.integers(0, 2**63 - 1),
    chunks=st.integers(0, 65_536), size=st.integers(0, 2**63 - 1), age=st.integers(0, 2**63 - 1),
    receipt=st.none() | st.binary(min_size=32, max_size=32), chain=st.binary(min_size=32, max_size=32),
)  # fmt: skip
def test_round_trip(
    segment: int, part: int, opened: int, chunks: int, size: int, age: int, receipt: bytes | None, chain: bytes
) -> None:
    what = Destroyed(
        segment, R, part, opened, Previous(segment - 1, chunks, Tip(chain, bytes(64))),
        Previous(segment, chunks, Tip(chain, b"s" * 64)), size, chain,
    )  # fmt: skip
    made = Destruction(what, Reason.RECEIPT if receipt else Reason.RETENTION, age, receipt)
    assert parse_destruction(made.encode(), segment + 1) == made


BAD: dict[str, Callable[[dict[str, object]], object]] = {
    "no map": lambda _fields: [],
    "field missing": lambda fields: fields.pop("age"),
    "field more": lambda fields: fields.update(x=1),
    "itself": lambda fields: fields.update(segment=9, previous=end(8), last=end(9)),
    "a later one": lambda fields: fields.update(segment=10, previous=end(9), last=end(10)),
    "none": lambda fields: fields.update(segment=0, last=end(0)),
    "another's end": lambda fields: fields.update(last=end(5)),
    "another's beginning": lambda fields: fields.update(previous=end(4)),
    "an end with too much": lambda fields: fields.update(last=end(6) | {"x": 1}),
    "short digest": lambda fields: fields.update(digest=b"d" * 31),
    "short recording": lambda fields: fields.update(recording=b"R" * 15),
    "part of a journal": lambda fields: fields.update(recording=bytes(16)),
    "unknown reason": lambda fields: fields.update(reason="whim"),
    "reason is a number": lambda fields: fields.update(reason=1),
    "no receipt": lambda fields: fields.update(receipt=None),
    "short receipt": lambda fields: fields.update(receipt=b"r"),
    "receipt for nothing": lambda fields: fields.update(reason="retention"),
    "negative age": lambda fields: fields.update(age=-1),
    "age is text": lambda fields: fields.update(age="old"),
    "length is true": lambda fields: fields.update(bytes=True),
    "opened too late": lambda fields: fields.update(opened=2**63),
}


def end(segment: int) -> dict[str, object]:
    return {"segment": segment, "chunks": 3, "chain": b"c" * 32, "signature": b"s" * 64}


@pytest.mark.parametrize("name", BAD)
def test_what_the_page_does_not_allow(name: str) -> None:
    fields = cbor.decode_map(RECEIVED.encode(), "it")
    data = cbor.encode([]) if name == "no map" else b""
    if not data:
        BAD[name](fields)
        data = cbor.encode(fields)
    with pytest.raises(FormatError):
        parse_destruction(data, 9)
    record = outsider.Record(b"", data, b"", b"", 6, 0, 1, 9, b"", bytes(16), b"", lit=False)
    with pytest.raises((outsider.FormatError, TypeError)):
        outsider.check_particulars(record)


def test_what_the_page_allows() -> None:
    record = outsider.Record(b"", RECEIVED.encode(), b"", b"", 6, 0, 1, 9, b"", bytes(16), b"", lit=False)
    assert outsider.check_particulars(record)["segment"] == 6
    assert parse_destruction(RECEIVED.encode(), 9) == RECEIVED


def test_only_journals_state_destructions(device: Device) -> None:
    statement = Destruction(examine(device.flash, 6, device.identity), Reason.RETENTION, 1)
    with device.open() as store:
        segment = store.begin(device.clock.stamp(), recording=b"T" * 16, profile="x", init=b"init")
        segment.destruction(device.clock.stamp(), statement)
        segment.close("power-off", device.clock.stamp())
    report = verified(device)
    assert report.verdict is Verdict.NOT_AUTHENTIC
    assert "chunk 1 is of a kind that does not belong there" in str(report.findings)


def test_the_first_segment_follows_the_genesis(device: Device) -> None:
    assert examine(device.flash, 1, device.identity).previous == Previous(0, 0, genesis(device.identity))


# --- The file ---------------------------------------------------------------------------------------------------------


def test_it_is_overwritten_before_it_is_unlinked(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    unlink = Path.unlink

    def look(path: Path, *more: bool) -> None:
        seen.append(path.read_bytes())
        unlink(path, *more)

    monkeypatch.setattr(Path, "unlink", look)
    size = path_of(device, 6).stat().st_size
    shredded = destroy_segment(device.flash, 6)
    assert shredded is not None
    assert shredded.size_bytes == size
    assert seen == [bytes(size)]
    assert not path_of(device, 6).exists()
    assert unfinished(device.flash) == []


def test_what_a_crash_set_aside_goes_with_it(device: Device) -> None:
    torn = device.flash / TORN
    for name in ("0000000006.5.abcd.torn", "0000000006.9.new", "0000000007.5.abcd.torn"):
        (torn / name).write_bytes(b"torn footage")
    destroy_segment(device.flash, 6)
    assert [item.name for item in torn.iterdir()] == ["0000000007.5.abcd.torn"]


def test_twice_is_once(device: Device) -> None:
    destroy_segment(device.flash, 6)
    shredded = destroy_segment(device.flash, 6)
    assert shredded is not None
    assert shredded.size_bytes == 0


def test_a_stop_leaves_it_to_the_next_run(device: Device) -> None:
    assert destroy_segment(device.flash, 6, stop=lambda: True) is None
    assert [item.name for item in unfinished(device.flash)] == ["0000000006.gone"]
    assert verify(device.flash, device.identity).missing_segments == ((6, 6),)
    assert finish(device.flash, stop=lambda: True) == 0
    assert finish(device.flash) == 1
    assert unfinished(device.flash) == []


STEPS = [("rename", 1), ("fsync", 1), ("pwrite", 1), ("fdatasync", 1), ("unlink", 1), ("fsync", 2)]


@pytest.mark.parametrize(("step", "when"), STEPS)
def test_a_medium_that_refuses(device: Device, monkeypatch: pytest.MonkeyPatch, step: str, when: int) -> None:
    """Whatever step fails, what is there is a whole segment or none, and a later run finishes."""
    whole = path_of(device, 6).read_bytes()
    count = 0

    def fail(real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **more: object) -> object:
            nonlocal count
            count += 1
            if count == when:
                raise OSError(5, "Input/output error")
            return real(*arguments, **more)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(os, step, fail(getattr(os, step)))
        with pytest.raises(StoreFailedError, match="Input/output error"):
            destroy_segment(device.flash, 6)
    assert not path_of(device, 6).exists() or path_of(device, 6).read_bytes() == whole
    destroy_segment(device.flash, 6)
    finish(device.flash)
    assert not path_of(device, 6).exists()
    assert unfinished(device.flash) == []


def test_short_writes(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: pwrite(fd, data[:100], offset))
    destroy_segment(device.flash, 6)
    assert not path_of(device, 6).exists()


@pytest.mark.parametrize(("number", "given_back"), [(95, False), (38, False)])
def test_a_medium_that_takes_no_blocks_back(
    device: Device, monkeypatch: pytest.MonkeyPatch, number: int, given_back: bool
) -> None:
    class Library:
        @staticmethod
        def fallocate64(*_arguments: object) -> int:
            return -1

    monkeypatch.setattr(ctypes, "CDLL", lambda *_arguments, **_more: Library)
    monkeypatch.setattr(ctypes, "get_errno", lambda: number)
    shredded = destroy_segment(device.flash, 6)
    assert shredded is not None
    assert shredded.discarded is given_back


def test_a_medium_that_fails_to_take_blocks_back(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    class Library:
        @staticmethod
        def fallocate64(*_arguments: object) -> int:
            return -1

    with monkeypatch.context() as patch:
        patch.setattr(ctypes, "CDLL", lambda *_arguments, **_more: Library)
        patch.setattr(ctypes, "get_errno", lambda: 5)
        with pytest.raises(StoreFailedError, match="Input/output error"):
            destroy_segment(device.flash, 6)
    assert finish(device.flash) == 1


def test_a_link_is_not_followed(device: Device, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious")
    (device.flash / SEGMENTS / "0000000099.gone").symlink_to(precious)
    with pytest.raises(StoreFailedError):
        finish(device.flash)
    assert precious.read_bytes() == b"precious"


def test_what_is_not_sound_is_not_examined_away(device: Device) -> None:
    whole = path_of(device, 6).read_bytes()
    for data in (whole[:-1] + bytes([whole[-1] ^ 1]), whole[:500], whole + b"x", b""):
        path_of(device, 6).write_bytes(data)
        with pytest.raises(StoreError, match="is not destroyed: it is not what it should be"):
            examine(device.flash, 6, device.identity)
    path_of(device, 6).write_bytes(path_of(device, 5).read_bytes())
    with pytest.raises(StoreError, match="take the device in"):
        examine(device.flash, 6, device.identity)
    path_of(device, 6).unlink()
    with pytest.raises(StoreFailedError, match="cannot read"):
        examine(device.flash, 6, device.identity)


def test_a_cut_segment_can_be_destroyed(device: Device) -> None:
    """Recovery has brought it to its sound prefix."""
    with device.open() as store:
        device.part(store, b"T" * 16, 0, 3)
    another(device)
    assert examine(device.flash, 8, device.identity).last.chunks == 4
    state(device, 8)
    report = verified(device)
    assert report.verdict is Verdict.AUTHENTIC
    assert Status.CUT not in {item.status for item in report.segments}


def test_the_kind_is_in_the_clear(device: Device) -> None:
    state(device, 6)
    data = path_of(device, 8).read_bytes()
    assert data[4] == Kind.OPENING
    assert hashlib.sha256(b"").digest() not in data
    assert S in data, "whose footage is destroyed is for everybody to see"


def test_the_timeline_tells_it(device: Device) -> None:
    state(device, 1, 2, 3, 4)
    path_of(device, 5).unlink()
    told = tell(device.flash, device.identity, heartbeat_s=10).text()
    assert "segments 1 to 5 are not there: 4 of them destroyed, on record" in told
    assert f"segment 4 of recording {R.hex()}: retention after 28.0 days" in told
    assert "segment 1 of the journal: retention after 28.0 days" in told
