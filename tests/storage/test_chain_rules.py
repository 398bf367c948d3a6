"""What is missing, cut, twice or forked in a store, a folder, or one file, and what each recording amounts to."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from station.keys import StationKey
from storage.inventory import Scope
from storage.ratchet import decode
from storage.verdict import Verdict, worst
from storage.verify import StoreReport, verify
from tests.storage.forge import Thief, split, stand
from tests.storage.kit import Device

STATION = StationKey.generate(hybrid=False)
RECORDING = b"R" * 16
LONG = b"L" * 16


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Device:
    """1 journal, 2 3 4 recording R, 5 journal, 6 recording L, 7 journal for power-off."""
    device = Device(tmp_path_factory.mktemp("made"), STATION)
    with device.open() as store:
        device.journal(store)
        device.record(store, RECORDING, parts=3, chunks=2, size=9)
        device.journal(store)
        device.record(store, LONG, parts=1, chunks=1, size=9)
        device.journal(store, "power-off")
    return device


class Given:
    """A copy of the segments, of which some are taken away or altered."""

    def __init__(self, device: Device, root: Path) -> None:
        self.device = device
        self.root = root
        shutil.copytree(device.flash, root)

    def seg(self, number: int) -> Path:
        return self.root / "segments" / f"{number:010d}.seg"

    def without(self, *numbers: int) -> Given:
        for number in numbers:
            self.seg(number).unlink()
        return self

    def only(self, *numbers: int) -> Given:
        return self.without(*(set(range(1, 8)) - set(numbers)))

    def verify(self, path: Path | None = None) -> StoreReport:
        return verify(path or self.root, self.device.identity, workers=1)

    def excerpt(self) -> StoreReport:
        return self.verify(self.root / "segments")

    def cut(self, number: int, chunks: int, more: bytes = b"") -> Given:
        """Leave only the first chunks of a segment."""
        records = split(self.seg(number).read_bytes())
        self.seg(number).write_bytes(b"".join(records[:chunks]) + more)
        return self


@pytest.fixture
def given(made: Device, tmp_path: Path) -> Given:
    return Given(made, tmp_path / "given")


def by_id(report: StoreReport) -> dict[bytes, tuple[Verdict, str]]:
    return {item.id: (item.verdict, item.status) for item in report.recordings}


COMPLETE = (Verdict.AUTHENTIC, "complete")


def test_the_whole(given: Given) -> None:
    report = given.verify()
    assert (report.scope, report.verdict, report.verdict.exit_status) == (Scope.STORE, Verdict.AUTHENTIC, 0)
    assert by_id(report) == {RECORDING: COMPLETE, LONG: COMPLETE}
    assert (report.missing_segments, report.findings) == ((), ())
    assert [item.sound_prefix for item in report.recordings] == [3, 1]
    assert [item.reason for item in report.recordings] == ["stop", "stop"]


def test_threads_say_the_same(given: Given) -> None:
    given.without(3).cut(6, 1)
    for workers in (1, 2, 8, None):
        assert verify(given.root, given.device.identity, workers=workers) == given.verify()


@pytest.mark.parametrize(
    ("gone", "ranges"),
    [
        ((1,), ((1, 1),)), ((1, 2), ((1, 2),)), ((2,), ((2, 2),)), ((3,), ((3, 3),)), ((4,), ((4, 4),)),
        ((2, 3, 4), ((2, 4),)), ((2, 4), ((2, 2), (4, 4))), ((1, 2, 3, 4, 5, 6), ((1, 6),)),
    ],
)  # fmt: skip
def test_segments_missing_from_a_store(given: Given, gone: tuple[int, ...], ranges: object) -> None:
    report = given.without(*gone).verify()
    assert (report.verdict, report.verdict.exit_status) == (Verdict.MISSING_PARTS, 3)
    assert report.missing_segments == ranges
    parts = {2, 3, 4} & set(gone)
    if parts == {2, 3, 4}:
        assert RECORDING not in by_id(report)
    else:
        assert by_id(report)[RECORDING] == ((Verdict.MISSING_PARTS, "incomplete") if parts else COMPLETE)
    if 6 not in gone:
        assert by_id(report)[LONG] == COMPLETE


@pytest.mark.parametrize(
    ("gone", "parts", "prefix", "note"),
    [
        (2, ((0, 0),), 0, "parts missing: 0"), (3, ((1, 1),), 1, "parts missing: 1"),
        (4, (), 2, "the end is missing: part 1 says that another follows"),
    ],
)  # fmt: skip
def test_parts_missing_from_a_recording(given: Given, gone: int, parts: object, prefix: int, note: str) -> None:
    recording = given.without(gone).verify().recordings[0]
    assert (recording.missing_parts, recording.sound_prefix) == (parts, prefix)
    assert note in recording.notes


def test_many_parts_missing(made: Device, tmp_path: Path) -> None:
    """The holes are told as ranges, and no more than twenty of them in the text."""
    device = Device(tmp_path / "device", STATION)
    with device.open() as store:
        for number in range(24):
            device.part(store, RECORDING, 3 * number + 1, 1, 5).close("rotation", device.clock.stamp())
    (recording,) = verify(device.flash, device.identity).recordings
    assert recording.missing_parts == ((0, 0), *((3 * n + 2, 3 * n + 3) for n in range(23)))
    assert recording.notes[0].startswith("parts missing: 0, 2 to 3, 5 to 6, ")
    assert recording.notes[0].endswith("56 to 57 ...")


def test_parts_that_do_not_make_one_recording(tmp_path: Path) -> None:
    """All sound, all linked, and yet not 0, 1, 2 ... of which each says that another follows."""
    cases = {
        "stopped": ([(0, "stop"), (1, "stop")], "part 1 follows part 0, which was closed for stop"),
        "twice": ([(0, "rotation"), (0, "stop")], "part 0 (segment 2) does not follow part 0 (segment 1)"),
        "backwards": ([(1, "rotation"), (0, "stop")], "part 0 (segment 2) does not follow part 1 (segment 1)"),
    }
    for name, (parts, note) in cases.items():
        device = Device(tmp_path / name, STATION)
        with device.open() as store:
            for part, reason in parts:
                device.part(store, RECORDING, part, 1, 9).close(reason, device.clock.stamp())
            device.journal(store, "power-off")
        report = verify(device.flash, device.identity)
        (recording,) = report.recordings
        assert (report.verdict, recording.verdict) == (Verdict.MISSING_PARTS, Verdict.MISSING_PARTS)
        assert (recording.status, recording.notes) == ("incomplete", (note,))


@pytest.mark.parametrize("last", [1, 2, 3, 4, 5, 6])
def test_the_end_missing_from_a_store(given: Given, last: int) -> None:
    report = given.only(*range(1, last + 1)).verify()
    assert report.verdict is Verdict.MISSING_PARTS
    assert report.missing_segments == ()
    assert report.findings[-1].text.startswith(f"segment {last} was closed for ")
    assert report.findings[-1].segment == last + 1


def test_an_excerpt_says_nothing_about_the_rest(given: Given) -> None:
    report = given.only(2, 3, 4).excerpt()
    assert (report.scope, report.verdict) == (Scope.EXCERPT, Verdict.AUTHENTIC)
    assert by_id(report) == {RECORDING: COMPLETE}


def test_an_excerpt_with_a_hole(given: Given) -> None:
    report = given.only(2, 4).excerpt()
    assert (report.verdict, report.missing_segments) == (Verdict.MISSING_PARTS, ((3, 3),))


@pytest.mark.parametrize("number", range(1, 8))
def test_a_file_alone_is_judged_alone(given: Given, number: int) -> None:
    report = given.verify(given.seg(number))
    assert (report.scope, report.verdict) == (Scope.SEGMENT, Verdict.AUTHENTIC)
    notes = [note for item in report.recordings for note in item.notes]
    said = [f"this is part {number - 2} of the recording, verified alone"] if number in (2, 3, 4) else []
    assert notes == said
    assert [item.status for item in report.recordings] == (["part"] if said else ["complete"] if number == 6 else [])


def test_a_file_alone_that_is_cut(given: Given) -> None:
    report = given.cut(6, 2).verify(given.seg(6))
    assert (report.verdict, report.recordings[0].status) == (Verdict.MISSING_PARTS, "cut")


def test_a_file_by_another_name_or_through_a_link(given: Given) -> None:
    given.seg(3).rename(given.root / "evidence")
    assert given.verify(given.root / "evidence").verdict is Verdict.AUTHENTIC
    (given.root / "link").symlink_to("evidence")
    assert given.verify(given.root / "link").verdict is Verdict.AUTHENTIC


def test_names_are_a_convenience(given: Given) -> None:
    for number in range(1, 8):
        given.seg(number).rename(given.root / "segments" / f"{'gfedcba'[number - 1]}.seg")
    assert given.verify().verdict is Verdict.AUTHENTIC


def test_the_same_segment_twice_does_no_harm(given: Given) -> None:
    shutil.copy(given.seg(3), given.root / "segments" / "copy.seg")
    report = given.verify()
    assert report.verdict is Verdict.AUTHENTIC
    assert [item.text for item in report.findings] == [
        "segment 3 is there twice, the same: 0000000003.seg and copy.seg"
    ]
    assert by_id(report)[RECORDING] == COMPLETE
    assert report.recordings[0].notes == ()


@pytest.mark.parametrize("name", ["00.seg", "z.seg"], ids=["before", "after"])
@pytest.mark.parametrize("chunks", [1, 2, 3])
def test_a_shorter_copy_is_a_fork(given: Given, name: str, chunks: int) -> None:
    (given.root / "segments" / name).write_bytes(b"".join(split(given.seg(3).read_bytes())[:chunks]))
    report = given.verify()
    assert report.verdict is Verdict.NOT_AUTHENTIC
    assert by_id(report) == {RECORDING: (Verdict.NOT_AUTHENTIC, "broken"), LONG: COMPLETE}
    assert report.recordings[0].segments[1].sound_chunks == 4  # the longer stands for both
    assert any("segment 3 is there twice, and differs" in note for note in report.recordings[0].notes)


def test_three_of_one_number(given: Given) -> None:
    records = split(given.seg(3).read_bytes())
    for name, chunks in (("00.seg", 1), ("z.seg", 2)):
        (given.root / "segments" / name).write_bytes(b"".join(records[:chunks]))
    report = given.verify()
    assert sum("there twice, and differs" in item.text for item in report.findings) == 2
    assert report.recordings[0].segments[1].sound_chunks == 4


def test_two_different_segments_of_one_number(tmp_path: Path) -> None:
    """A thief makes another end with the same key as the device: both are signed, and both follow."""
    device = Device(tmp_path / "device", STATION)
    device.shift(parts=1, chunks=1, size=9)
    thief = Thief(decode((device.state / "keyring").read_bytes()), STATION.recipient)
    forged = thief.segment(stand(device.flash / "segments" / "0000000003.seg", device.identity))
    with device.open() as store:
        device.journal(store, "power-off")
    assert verify(device.flash, device.identity).verdict is Verdict.AUTHENTIC
    (device.flash / "segments" / "other.seg").write_bytes(forged)
    report = verify(device.flash, device.identity)
    assert report.verdict is Verdict.NOT_AUTHENTIC
    assert any("segment 4 is there twice, and differs" in item.text for item in report.findings)


def test_cut_in_the_middle_where_the_next_knows_of_more(given: Given) -> None:
    report = given.cut(3, 2).verify()
    assert report.verdict is Verdict.MISSING_PARTS
    recording = report.recordings[0]
    assert (recording.verdict, recording.status, recording.sound_prefix) == (Verdict.MISSING_PARTS, "incomplete", 2)
    assert "the last 2 chunks of segment 3 are missing: segment 4 knows of them" in recording.notes


def test_cut_in_the_middle_within_a_record(given: Given) -> None:
    report = given.cut(3, 2, b"GTG1 torn").verify()
    assert report.verdict is Verdict.MISSING_PARTS
    assert any("9 bytes of an incomplete one follow" in note for note in report.recordings[0].notes)


def test_the_end_of_a_recording_cut(given: Given) -> None:
    recording = given.cut(4, 2).verify().recordings[0]
    assert (recording.verdict, recording.status, recording.reason) == (Verdict.MISSING_PARTS, "cut", None)
    assert recording.sound_prefix == 3


@pytest.mark.parametrize("number", [2, 3, 4])
def test_a_broken_part(given: Given, number: int) -> None:
    data = bytearray(given.seg(number).read_bytes())
    data[-1] ^= 1
    given.seg(number).write_bytes(data)
    report = given.verify()
    assert by_id(report) == {RECORDING: (Verdict.NOT_AUTHENTIC, "broken"), LONG: COMPLETE}
    assert report.recordings[0].sound_prefix == number - 1
    assert not any("does not follow" in item.text for item in report.findings)  # the damage is told once


def test_a_part_that_is_nothing_any_more(given: Given) -> None:
    given.seg(3).write_bytes(bytes(100))
    report = given.verify()
    assert report.verdict is Verdict.NOT_SIGNED
    assert report.missing_segments == ((3, 3),)
    assert by_id(report)[RECORDING] == (Verdict.MISSING_PARTS, "incomplete")


def test_a_part_that_does_not_follow(given: Given, tmp_path: Path) -> None:
    """Segment 4 as made after another segment 3: signed by the device's own key, with another history."""
    device = Device(tmp_path / "device", STATION)
    with device.open() as store:
        device.journal(store)
        thief = Thief(decode((device.state / "keyring").read_bytes()), STATION.recipient)
        device.part(store, RECORDING, 0, 1, 9).close("rotation", device.clock.stamp())
    other = stand(device.flash / "segments" / "0000000001.seg", device.identity)
    forged_two = thief.segment(other, recording=RECORDING, part=0, reason="rotation")
    (tmp_path / "two.seg").write_bytes(forged_two)
    forged_three = thief.segment(
        stand(tmp_path / "two.seg", device.identity), recording=RECORDING, part=1, reason="stop"
    )
    (device.flash / "segments" / "0000000003.seg").write_bytes(forged_three)
    report = verify(device.flash, device.identity)
    assert report.verdict is Verdict.NOT_AUTHENTIC
    (recording,) = report.recordings
    assert (recording.verdict, recording.sound_prefix) == (Verdict.NOT_AUTHENTIC, 1)
    assert "segment 3 does not follow segment 2 as it stands here" in recording.notes


@pytest.mark.parametrize(
    ("make", "verdict"),
    [
        (lambda path: path.write_bytes(b""), Verdict.MISSING_PARTS),
        (lambda path: path.write_bytes(b"GT"), Verdict.MISSING_PARTS),
        (lambda path: path.write_bytes(b"no segment"), Verdict.NOT_SIGNED),
        (lambda path: path.write_bytes(bytes(200)), Verdict.NOT_SIGNED),
    ],
    ids=["empty", "begun", "text", "zeros"],
)
def test_an_opening_in_the_making(given: Given, make: Callable[[Path], object], verdict: Verdict) -> None:
    make(given.seg(8))
    assert given.verify().verdict is verdict
    # Anywhere else it is a file without a signature.
    given.seg(8).rename(given.seg(9))
    assert given.verify().verdict is Verdict.NOT_SIGNED
    assert given.verify(given.seg(9)).verdict is Verdict.NOT_SIGNED
    assert given.excerpt().verdict is Verdict.NOT_SIGNED


def test_only_an_opening_in_the_making(given: Given) -> None:
    given.only(1).seg(1).write_bytes(b"")
    assert given.verify().verdict is Verdict.MISSING_PARTS
    assert given.excerpt().verdict is Verdict.NOT_SIGNED


def test_verdicts_add_up_and_give_exit_statuses() -> None:
    """docs/FORMAT.md, the table of verdicts, gravest last."""
    table = [Verdict.AUTHENTIC, Verdict.MISSING_PARTS, Verdict.NOT_SIGNED, Verdict.NOT_AUTHENTIC]
    assert [item.exit_status for item in table] == [0, 3, 1, 1]
    assert worst([]) is Verdict.AUTHENTIC
    for index, one in enumerate(table):
        for other in table[: index + 1]:
            assert worst([one, other]) is worst([other, one]) is one
