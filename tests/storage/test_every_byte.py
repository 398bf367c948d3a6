"""No bit of a segment can be turned, no byte cut, no record moved, without the verifier seeing it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import pytest

from station.keys import StationKey
from storage.layout import HEADER_BYTES, SIGNATURE_BYTES
from storage.segment_report import SegmentReport, Status, verify_segment
from storage.verdict import Verdict
from tests.storage.forge import split, starts
from tests.storage.kit import Device


@dataclass
class Small:
    """A segment of tiny chunks, and a file to put altered copies in."""

    identity: bytes
    data: bytes
    copy: Path

    @property
    def records(self) -> list[bytes]:
        return split(self.data)

    def judge(self, data: bytes) -> SegmentReport:
        self.copy.write_bytes(data)
        return verify_segment(self.copy, self.identity, keep_chunks=True)


@pytest.fixture(scope="module", params=[2, 4], ids=["media", "journal"])
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Small:
    base = tmp_path_factory.mktemp("small")
    device = Device(base, StationKey.generate(hybrid=False))
    device.shift(parts=2, chunks=3, size=5)
    path = device.flash / "segments" / f"{request.param:010d}.seg"
    return Small(device.identity, path.read_bytes(), base / "altered.seg")


def bits(records: list[bytes]) -> Iterator[tuple[int, int, int]]:
    """Yield (record, offset, bit): every bit of the headers, one bit of every other byte."""
    chance = random.Random(1)
    offset = 0
    for number, record in enumerate(records):
        for at in range(len(record)):
            for bit in range(8) if at < HEADER_BYTES else [chance.randrange(8)]:
                yield number, offset + at, bit
        offset += len(record)


def test_it_is_authentic_as_it_stands(small: Small) -> None:
    report = small.judge(small.data)
    assert (report.verdict, report.sound_bytes) == (Verdict.AUTHENTIC, len(small.data))
    assert report.sound_chunks == len(small.records) >= 3


def test_no_bit_can_be_turned(small: Small) -> None:
    begins = starts(small.records)
    small.copy.write_bytes(small.data)
    with small.copy.open("r+b", buffering=0) as file:
        for number, offset, bit in bits(small.records):
            file.seek(offset)
            file.write(bytes([small.data[offset] ^ (1 << bit)]))
            report = verify_segment(small.copy, small.identity)
            assert report.verdict is not Verdict.AUTHENTIC, (offset, bit)
            assert report.sound_chunks <= number, (offset, bit)
            assert report.sound_bytes <= begins[number]
            assert report.error
            file.seek(offset)
            file.write(small.data[offset : offset + 1])
    assert verify_segment(small.copy, small.identity).verdict is Verdict.AUTHENTIC


def test_chunks_before_a_turned_bit_stay_sound(small: Small) -> None:
    """A bit of a body, or of a signature: all that the damage leaves is kept."""
    begins = starts(small.records)
    for number, record in enumerate(small.records):
        for at in (len(record) - SIGNATURE_BYTES - 1, len(record) - 1):
            data = bytearray(small.data)
            data[begins[number] + at] ^= 1
            report = small.judge(bytes(data))
            assert (report.status, report.sound_chunks) == (Status.BROKEN, number)
            assert [chunk.offset for chunk in report.chunks] == begins[:number]


def test_cut_at_every_length(small: Small) -> None:
    begins = starts(small.records)
    for length in range(len(small.data)):
        report = small.judge(small.data[:length])
        whole = sum(end <= length for end in begins[1:])
        assert (report.sound_chunks, report.sound_bytes) == (whole, begins[whole])
        assert report.status is (Status.CUT if whole else Status.UNSIGNED), length
        assert report.torn_bytes == length - begins[whole]
        assert report.verdict is (Verdict.MISSING_PARTS if whole else Verdict.NOT_SIGNED)


def test_records_taken_out_repeated_or_exchanged(small: Small) -> None:
    records = small.records
    cases = {f"without {n}": (records[:n] + records[n + 1 :], n) for n in range(len(records) - 1)}
    cases |= {f"{n} twice": (records[: n + 1] + records[n:], n + 1) for n in range(len(records))}
    for left, right in combinations(range(len(records)), 2):
        swapped = list(records)
        swapped[left], swapped[right] = swapped[right], swapped[left]
        cases[f"{left} and {right} exchanged"] = (swapped, left)
    for name, (altered, sound) in cases.items():
        report = small.judge(b"".join(altered))
        assert (report.status, report.sound_chunks) == (Status.BROKEN, sound), name


@pytest.mark.parametrize("garbage", [b"\0", b"GTG1", b"G", bytes(200), b"x" * 5000], ids=len)
def test_bytes_after_the_end(small: Small, garbage: bytes) -> None:
    report = small.judge(small.data + garbage)
    assert (report.status, report.sound_bytes) == (Status.BROKEN, len(small.data))


def test_signatures_of_zeros(small: Small) -> None:
    bare = [record[:-SIGNATURE_BYTES] + bytes(SIGNATURE_BYTES) for record in small.records]
    assert small.judge(b"".join(bare)).status is Status.UNSIGNED
    assert small.judge(b"".join([bare[0], *small.records[1:]])).verdict is Verdict.NOT_SIGNED
    for number in range(1, len(bare)):
        report = small.judge(b"".join([*small.records[:number], bare[number], *small.records[number + 1 :]]))
        assert (report.status, report.sound_chunks) == (Status.BROKEN, number)


def test_a_signature_in_another_shape(small: Small) -> None:
    """Ed25519's S plus the group's order signs the same in arithmetic; RFC 8032 refuses it."""
    order = 2**252 + 27742317777372353535851937790883648493
    signature = small.data[-SIGNATURE_BYTES:]
    s = int.from_bytes(signature[32:], "little") + order
    report = small.judge(small.data[:-32] + s.to_bytes(32, "little"))
    assert (report.status, report.sound_chunks) == (Status.BROKEN, len(small.records) - 1)
