"""The stored vectors: both verifiers and both openers find in them what they must, and sealing gives them again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from station.export import choose_recording, export_recording
from station.keys import load_station_key
from station.opener import FileKeyOpener, SegmentOpener
from storage.keyfiles import load_device_key
from storage.layout import HEADER_BYTES
from storage.reader import SegmentReader
from storage.verify import verify
from tests.storage import outsider
from tests.vectors import make

VECTORS = make.HERE
NAMES = sorted(path.parent.name for path in VECTORS.glob("*/expected.json"))


def expected(name: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads((VECTORS / name / "expected.json").read_text(encoding="ascii"))
    return answer


def test_all_the_vectors_are_there() -> None:
    assert sorted(vector.name for vector in make.vectors()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_project_says_what_it_must(name: str) -> None:
    answer = expected(name)
    folder = VECTORS / name
    report = verify(folder / answer["verify"], load_device_key(folder / "device.pub"), keep_chunks=True)
    assert (report.verdict.value, report.verdict.exit_status) == (answer["verdict"], answer["exit_status"])
    assert report.device.hex() == answer["device"]
    assert [item.number for item in report.destroyed] == answer["destroyed"]
    assert [
        (item.path.name, item.status.value, [chunk.tip.chain.hex() for chunk in item.chunks])
        for item in report.segments
    ] == [(item["file"], item["status"], [chunk["chain"] for chunk in item["chunks"]]) for item in answer["segments"]]
    assert [
        (item.id.hex(), item.verdict.value, item.media.chunks, item.media.lit_chunks) for item in report.recordings
    ] == [(item["id"], item["verdict"], item["media_chunks"], item["lit_chunks"]) for item in answer["recordings"]]


@pytest.mark.parametrize("name", NAMES)
def test_the_project_opens_every_chunk(name: str, tmp_path: Path) -> None:
    answer = expected(name)
    folder = VECTORS / name
    report = verify(folder / answer["verify"], load_device_key(folder / "device.pub"), keep_chunks=True)
    opener = FileKeyOpener(load_station_key(folder / "station.key"))
    for segment, said in zip(report.segments, answer["segments"], strict=True):
        assert segment.first is not None
        assert segment.opening is not None
        keys = SegmentOpener(opener, segment.first.place, segment.opening)
        with SegmentReader(segment.path) as reader:
            records = reader.records()
            for chunk in said["chunks"]:
                record = next(records)
                assert record.header.kind == chunk["kind"]
                room = memoryview(bytearray(record.header.body_bytes))
                plain = keys.open_into(record.header.chunk, record.head, record.body, room)
                assert hashlib.sha256(plain).hexdigest() == chunk["plain_sha256"]
                assert len(record.head) == HEADER_BYTES + record.header.particulars_bytes
    for said in answer["recordings"]:
        output = tmp_path / "out.mp4"
        whole = said["verdict"] == "authentic"
        export_recording(choose_recording(report, said["id"]), opener, output, sound_prefix_only=not whole)
        assert hashlib.sha256(output.read_bytes()).hexdigest() == said["sha256"]


@pytest.mark.parametrize("name", NAMES)
def test_the_outsider_says_what_it_must(name: str) -> None:
    answer = expected(name)
    folder = VECTORS / name
    identity, station = (folder / "device.pub").read_bytes(), (folder / "station.key").read_bytes()
    report = outsider.verify(folder / answer["verify"], identity)
    assert (report.verdict, report.exit_status) == (answer["verdict"], answer["exit_status"])
    assert report.destroyed == answer["destroyed"]
    for segment, said in zip(report.segments, answer["segments"], strict=True):
        assert (segment.name, segment.number, segment.status) == (said["file"], said["number"], said["status"])
        assert segment.key.hex() == said["segment_key"]
        assert outsider.content_key(segment, station).hex() == said["content_key"]
        assert [
            (record.kind, record.chain.hex(), hashlib.sha256(plain).hexdigest(), len(plain))
            for record, (_, plain) in zip(segment.records, outsider.open_segment(segment, station), strict=True)
        ] == [(chunk["kind"], chunk["chain"], chunk["plain_sha256"], chunk["plain_bytes"]) for chunk in said["chunks"]]
    assert {
        key: (item.verdict, item.chunks, round(item.lit * (item.chunks - item.pre_event)), item.gaps)
        for key, item in report.recordings.items()
    } == {
        item["id"]: (item["verdict"], item["media_chunks"], item["lit_chunks"], item["gaps"])
        for item in answer["recordings"]
    }
    for said in answer["recordings"]:
        mp4 = outsider.open_recording(folder / answer["verify"], identity, station, said["id"])
        assert (len(mp4), hashlib.sha256(mp4).hexdigest()) == (said["bytes"], said["sha256"])


def test_sealing_again_gives_the_same_bytes(tmp_path: Path) -> None:
    make.make(tmp_path)
    again = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    stored = {
        path.relative_to(VECTORS): path.read_bytes()
        for name in NAMES
        for path in (VECTORS / name).rglob("*")
        if path.is_file()
    }
    assert again == stored


def test_new_envelopes_open_too(tmp_path: Path) -> None:
    """Without stored vectors to keep envelopes from, all but the envelopes and what hangs on them is the same."""
    make.make(tmp_path, stored=tmp_path / "none")
    for name in NAMES:
        answer, folder = expected(name), tmp_path / name
        identity, station = (folder / "device.pub").read_bytes(), (folder / "station.key").read_bytes()
        report = outsider.verify(folder / answer["verify"], identity)
        assert report.verdict == answer["verdict"]
        for segment, said in zip(report.segments, answer["segments"], strict=True):
            assert outsider.content_key(segment, station).hex() == said["content_key"]
            assert segment.records[0].chain.hex() != said["chunks"][0]["chain"]
