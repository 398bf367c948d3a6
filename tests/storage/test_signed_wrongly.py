"""Segments that break a rule although the right key signed every byte: a thief's, or a recorder's with a fault."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from station.keys import StationKey
from storage.chain import genesis
from storage.keypath import Certificate
from storage.layout import Flags, Kind
from storage.particulars import Previous
from storage.ratchet import decode
from storage.segment_report import SegmentReport, Status, verify_segment
from storage.signer import MemorySigner
from tests.storage.forge import Item, Thief, change_opening, resign, split
from tests.storage.kit import Device

STATION = StationKey.generate(hybrid=False)
ITEMS: list[Item] = [(Kind.MEDIA, bytes([number]), Flags.KEY, b"") for number in range(3)]
Records = list[bytes]


@dataclass
class Bench:
    """A good segment 1 of five chunks, the key that signed it, and where to put altered copies."""

    identity: bytes
    data: bytes
    signer: MemorySigner
    path: Path

    def judge(self, data: bytes) -> SegmentReport:
        self.path.write_bytes(data)
        return verify_segment(self.path, self.identity)


@pytest.fixture(scope="module", params=[b"R" * 16, bytes(16)], ids=["media", "journal"])
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    base = tmp_path_factory.mktemp("wrongly")
    device = Device(base, STATION)
    thief = Thief(decode((device.state / "keyring").read_bytes()), STATION.recipient)
    media = any(request.param)
    items: list[Item] = ITEMS if media else [(Kind.HEARTBEAT, b"", Flags(0), b"")] * 3
    data = thief.segment(Previous(0, 0, genesis(device.identity)), recording=request.param, items=items)
    return Bench(device.identity, data, thief.keyring.signer(1), base / "altered.seg")


def put(record: bytes, offset: int, value: bytes) -> bytes:
    return record[:offset] + value + record[offset + len(value) :]


def with_chunk(number: int, offset: int, value: bytes) -> Callable[[Records], Records]:
    """Write `value` into the header of one chunk."""
    return lambda records: [*records[:number], put(records[number], offset, value), *records[number + 1 :]]


def test_signed_anew_as_it_stands(bench: Bench) -> None:
    """What the tests below do is no harm by itself."""
    assert resign(bench.data, bench.signer) == bench.data  # Ed25519 is deterministic
    assert bench.judge(bench.data).status is Status.CLOSED


SWAPPED = [0, 2, 1, 3, 4]
CASES: dict[str, tuple[Callable[[Records], Records], int, str]] = {
    "another segment": (with_chunk(2, 16, bytes(7) + b"\2"), 2, "another segment, recording, boot or device"),
    "another device": (with_chunk(2, 24, b"D" * 16), 2, "another segment, recording, boot or device"),
    "another recording": (with_chunk(2, 40, b"X" * 16), 2, "another segment, recording, boot or device"),
    "another boot": (with_chunk(2, 56, b"X" * 16), 2, "another segment, recording, boot or device"),
    "a number left out": (lambda records: records[:2] + records[3:], 2, "chunk 3 stands where chunk 2 should"),
    "a number twice": (lambda records: records[:2] + records[1:], 2, "chunk 1 stands where chunk 2 should"),
    "out of order": (lambda records: [records[n] for n in SWAPPED], 1, "chunk 2 stands where chunk 1 should"),
    "after the closing": (
        lambda records: [*records, put(records[-2], 12, bytes(3) + b"\5")], 5, "a chunk follows the closing chunk",
    ),
    "two closings": (
        lambda records: [*records, put(records[-1], 12, bytes(3) + b"\5")], 5, "a chunk follows the closing chunk",
    ),
    "a second opening": (with_chunk(1, 4, b"\1"), 1, "of a kind that does not belong there"),
    "an event with flags": (
        lambda records: with_chunk(1, 5, b"\1")(with_chunk(1, 4, b"\3")(records)), 1, "flags that only media",
    ),
    "a closing with flags": (with_chunk(4, 5, b"\1"), 4, "flags that only media chunks have"),
    "an opening with flags": (with_chunk(0, 5, b"\1"), 0, "flags that only media chunks have"),
    "no opening": (with_chunk(0, 4, b"\2"), 0, "does not begin with its opening"),
    "an opening further on": (with_chunk(0, 12, bytes(3) + b"\1"), 0, "does not begin with its opening"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_rule_broken_by_the_signer(bench: Bench, name: str) -> None:
    alter, sound, says = CASES[name]
    report = bench.judge(resign(b"".join(alter(split(bench.data))), bench.signer))
    assert (report.status, report.sound_chunks) == (Status.BROKEN, sound)
    assert says in str(report.error)


def test_a_closing_without_particulars(bench: Bench) -> None:
    *rest, last = split(bench.data)
    length = int.from_bytes(last[6:8], "big")
    bare = put(last, 6, bytes(2))
    report = bench.judge(resign(b"".join(rest) + bare[:104] + bare[104 + length :], bench.signer))
    assert (report.status, report.sound_chunks) == (Status.BROKEN, 4)


def test_particulars_where_there_are_none(bench: Bench) -> None:
    records = split(bench.data)
    for kind in (Kind.EVENTS, Kind.HEARTBEAT):
        extra = put(put(records[1], 4, bytes([kind])), 5, b"\0")
        extra = put(extra, 6, b"\0\1")[:104] + b"\xa0" + extra[104:]
        report = bench.judge(resign(b"".join([records[0], extra, *records[2:]]), bench.signer))
        assert (report.status, report.sound_chunks) == (Status.BROKEN, 1)


@pytest.mark.parametrize("segment", [1, 7, 2**32 - 1])
def test_an_opening_that_names_another_segment_before(bench: Bench, segment: int) -> None:
    previous = Previous(segment, 0, genesis(bench.identity))
    report = bench.judge(change_opening(bench.data, bench.signer, previous=previous))
    assert (report.status, report.sound_chunks) == (Status.BROKEN, 0)
    assert f"the opening names segment {segment} as the one before" in str(report.error)


def test_an_opening_of_the_other_type(bench: Bench) -> None:
    journal = not any(bench.data[40:56])
    report = bench.judge(change_opening(bench.data, bench.signer, media=journal, part=0, profile=""))
    assert (report.status, report.sound_chunks) == (Status.BROKEN, 0)
    assert "contradict each other" in str(report.error)


@pytest.mark.parametrize("fields", [{"part": 1}, {"profile": "x"}], ids=str)
def test_a_part_and_a_profile_are_of_media_alone(bench: Bench, fields: dict[str, object]) -> None:
    report = bench.judge(change_opening(bench.data, bench.signer, **fields))
    if any(bench.data[40:56]):
        assert report.status is Status.CLOSED
    else:
        assert (report.status, report.sound_chunks) == (Status.BROKEN, 0)
        assert "the opening of a journal gives a part or a profile" in str(report.error)


def test_a_path_longer_than_any(bench: Bench) -> None:
    step = Certificate(1, bytes(32), bytes(64))
    for count in (0, 2, 32):
        report = bench.judge(change_opening(bench.data, bench.signer, path=(step,) * count))
        assert (report.status, report.sound_chunks) == (Status.BROKEN, 0)


@pytest.mark.parametrize("kind", [Kind.HEARTBEAT, Kind.CLOSING])
def test_a_body_where_there_is_none(tmp_path: Path, kind: Kind) -> None:
    device = Device(tmp_path, STATION)
    thief = Thief(decode((device.state / "keyring").read_bytes()), STATION.recipient)
    for body, status in ((b"", Status.CLOSED), (b"hidden", Status.BROKEN)):
        items: list[Item] = [(kind, body, Flags(0), b"")] if kind is Kind.HEARTBEAT else []
        last = body if kind is Kind.CLOSING else b""
        data = thief.segment(Previous(0, 0, genesis(device.identity)), items=items, last=last)
        (tmp_path / "one.seg").write_bytes(data)
        report = verify_segment(tmp_path / "one.seg", device.identity)
        assert report.status is status
        if status is Status.BROKEN:
            assert report.sound_chunks == 1
            assert "has a body, which its kind does not have" in str(report.error)
