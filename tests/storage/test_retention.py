"""What is too old goes, whole recordings at a time; nothing else does."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from station.keys import StationKey
from storage.errors import StoreFailedError
from storage.inventory import SEGMENTS, segment_name
from storage.keyfiles import device_id
from storage.retention import Due, due
from storage.segment_index import IndexedSegment, SegmentIndex
from tests.storage.kit import BOOT, Device

DAY = 86_400 * 1_000_000_000
A, B, C = b"A" * 16, b"B" * 16, b"C" * 16


def of(number: int, recording: bytes = bytes(16)) -> IndexedSegment:
    return IndexedSegment(number, recording, b"", number)


def test_whole_recordings_the_last_part_first() -> None:
    segments = [of(1), of(2, A), of(3, A), of(4), of(5, B), of(6), of(7, C)]
    ages = {2: 29 * DAY, 3: 27 * DAY, 5: 28 * DAY, 7: 28 * DAY - 1}
    found = list(due(segments, lambda item: ages[item.number], 28 * DAY, under_way=bytes(16)))
    assert found == [Due(3, 29 * DAY), Due(2, 29 * DAY), Due(5, 28 * DAY)]


def test_the_recording_under_way_stays() -> None:
    assert list(due([of(1, A), of(2, A)], lambda _item: 99 * DAY, DAY, under_way=A)) == []


@given(st.lists(st.tuples(st.sampled_from([A, B, C, bytes(16)]), st.integers(0, 60)), max_size=20), st.integers(1, 28))
def test_any_store(items: list[tuple[bytes, int]], limit: int) -> None:
    segments = [of(number, recording) for number, (recording, _age) in enumerate(items, 1)]
    ages = {number: age * DAY for number, (_recording, age) in enumerate(items, 1)}
    found = {item.number for item in due(segments, lambda item: ages[item.number], limit * DAY, under_way=C)}
    for recording in (A, B):
        numbers = [item.number for item in segments if item.recording == recording]
        assert found & set(numbers) in (set(), set(numbers)), "whole or not at all"
        assert bool(found & set(numbers)) is bool(numbers and ages[numbers[0]] >= limit * DAY)
    assert not found & {item.number for item in segments if item.recording in (C, bytes(16))}


@pytest.fixture
def device(tmp_path: Path) -> Device:
    made = Device(tmp_path, StationKey.generate(hybrid=False))
    made.shift(parts=2, chunks=2)
    return made


def index_of(device: Device) -> SegmentIndex:
    return SegmentIndex(device.flash, device_id(device.identity))


def test_an_index_from_the_headers(device: Device) -> None:
    found = index_of(device).refresh(5)
    assert [(item.number, item.recording, item.boot, item.is_media) for item in found] == [
        (1, bytes(16), BOOT, False), (2, b"R" * 16, BOOT, True),
        (3, b"R" * 16, BOOT, True), (4, bytes(16), BOOT, False),
    ]  # fmt: skip
    assert [item.number for item in index_of(device).refresh(3)] == [1, 2]


def test_each_file_is_read_once(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    index = index_of(device)
    first = index.refresh(5)
    monkeypatch.setattr(Path, "open", None)
    assert index.refresh(5) == first
    (device.flash / SEGMENTS / segment_name(2)).unlink()
    assert [item.number for item in index.refresh(5)] == [1, 3, 4]


def test_what_is_no_segment_of_this_device_is_told(device: Device) -> None:
    folder = device.flash / SEGMENTS
    (folder / segment_name(5)).write_bytes(b"")
    (folder / segment_name(6)).write_bytes((folder / segment_name(2)).read_bytes())
    (folder / segment_name(7)).write_bytes(b"garbage" * 100)
    (folder / "notes.txt").write_bytes(b"")
    stranger = SegmentIndex(device.flash, b"another device's")
    assert stranger.refresh(9) == []
    assert stranger.strange == [1, 2, 3, 4, 5, 6, 7]
    index = index_of(device)
    assert [item.number for item in index.refresh(9)] == [1, 2, 3, 4]
    assert index.strange == [5, 6, 7]


def test_a_store_that_cannot_be_listed(tmp_path: Path) -> None:
    with pytest.raises(StoreFailedError, match="cannot list"):
        SegmentIndex(tmp_path, b"d" * 16).refresh(5)
