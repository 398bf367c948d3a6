"""Files that are no segments, or want to harm who reads them: a clear verdict, in bounded memory and time."""

from __future__ import annotations

import json
import os
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from station.keys import StationKey
from station.report import as_json, as_text
from storage.errors import InputError
from storage.layout import MAGIC, MAX_BODY_BYTES, Flags, Kind, Place, Stamp, pack_header
from storage.particulars import Gap, encode_gaps
from storage.reader import SegmentReader
from storage.segment_report import Status, verify_segment
from storage.verdict import Verdict
from storage.verify import verify
from tests.storage.forge import Thief, split
from tests.storage.kit import Device

MIB = 1024 * 1024


@pytest.fixture
def device(tmp_path: Path) -> Device:
    device = Device(tmp_path / "device", StationKey.generate(hybrid=False))
    device.shift(chunks=2, size=9)
    return device


@pytest.fixture
def bounded() -> Iterator[None]:
    """What a test does takes less than a few seconds and little more than the largest record."""
    began = time.process_time()
    tracemalloc.start()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40 * MIB
    assert time.process_time() - began < 10


FOREIGN = {
    "empty": b"",
    "MP4": b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + bytes(500),
    "text": b"Dear reader,\n" * 50,
    "zeros": bytes(4096),
    "one byte": b"x",
    "one byte of the magic": b"G",
    "the magic": MAGIC,
    "a PEM": b"-----BEGIN PUBLIC KEY-----\n" * 9,
}


@pytest.mark.parametrize("data", FOREIGN.values(), ids=FOREIGN)
def test_foreign_files(device: Device, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "foreign.seg"
    path.write_bytes(data)
    report = verify(path, device.identity)
    assert (report.verdict, report.verdict.exit_status) == (Verdict.NOT_SIGNED, 1)
    assert report.segments[0].status is Status.UNSIGNED
    assert report.segments[0].error
    assert report.recordings == ()


@pytest.mark.parametrize("data", [b"GTG2" + bytes(300), b"GTG2", b"GTG\0"])
def test_another_version_says_so(device: Device, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "later.seg"
    path.write_bytes(data.ljust(104, b"\0"))
    report = verify(path, device.identity)
    assert report.verdict is Verdict.NOT_AUTHENTIC
    assert "unknown to this program, which reads version 1" in report.findings[0].text


def header(**more: int) -> bytes:
    place = Place(b"d" * 16, 1, b"r" * 16, b"b" * 16)
    fields = {"flags": 0, "particulars_bytes": 0, "body_bytes": 16, "chunk": 0, **more}
    return pack_header(Kind.OPENING, place=place, stamp=Stamp(1, 2), **fields)


@pytest.mark.usefixtures("bounded")
def test_a_length_that_lies_costs_nothing(device: Device, tmp_path: Path) -> None:
    path = tmp_path / "lies.seg"
    for length in (MAX_BODY_BYTES, MAX_BODY_BYTES + 1, 2**32 - 1):
        path.write_bytes(header()[:8] + length.to_bytes(4, "big") + header()[12:] + bytes(100))
        tracemalloc.reset_peak()
        assert verify_segment(path, device.identity).verdict is not Verdict.AUTHENTIC
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB


@pytest.mark.usefixtures("bounded")
def test_the_largest_records(device: Device, tmp_path: Path) -> None:
    """A sparse file of whole records of 16 MiB each."""
    path = tmp_path / "large.seg"
    with path.open("wb") as file:
        file.write(header(particulars_bytes=65_535, body_bytes=MAX_BODY_BYTES))
        file.truncate(4 * MAX_BODY_BYTES)
    report = verify_segment(path, device.identity)
    assert report.status is Status.UNSIGNED  # its signature is all zero
    with path.open("r+b") as file:
        file.seek(104 + 65_535 + MAX_BODY_BYTES)
        file.write(b"s" * 64)
    assert verify_segment(path, device.identity).status is Status.BROKEN


@pytest.mark.usefixtures("bounded")
def test_particulars_of_nested_arrays(device: Device, tmp_path: Path) -> None:
    path = tmp_path / "nested.seg"
    whole = (device.flash / "segments" / "0000000001.seg").read_bytes()
    for particulars in (b"\x81" * 65_535, b"\xa1\x61a" * 21_845, b"\x9b" + b"\xff" * 8 + bytes(60_000), b"\xa0"):
        head = whole[:6] + len(particulars).to_bytes(2, "big") + whole[8:104] + particulars
        path.write_bytes(head + bytes(16) + b"s" * 64)
        report = verify_segment(path, device.identity)
        assert (report.status, report.sound_chunks) == (Status.BROKEN, 0)
        assert "\n" not in str(report.error)


@pytest.mark.usefixtures("bounded")
def test_a_segment_of_very_many_chunks(device: Device, tmp_path: Path) -> None:
    """Thousands of empty records, of which no signature is good."""
    first = split((device.flash / "segments" / "0000000002.seg").read_bytes())
    path = tmp_path / "many.seg"
    place = Place(first[0][24:40], 2, first[0][40:56], first[0][56:72])
    with path.open("wb") as file:
        file.write(first[0])
        for number in range(1, 5000):
            file.write(pack_header(Kind.HEARTBEAT, 0, 0, 16, number, place, Stamp(1, 2)) + bytes(16) + b"s" * 64)
    report = verify_segment(path, device.identity)
    assert (report.status, report.sound_chunks) == (Status.BROKEN, 1)


@pytest.mark.usefixtures("bounded")
def test_numbers_at_their_ends(device: Device, tmp_path: Path) -> None:
    """Signed by the device's own stolen key: nothing overflows, nothing is listed one by one."""
    with device.open() as store:
        previous, keyring = store.previous, store._keyring
    stamp = Stamp(2**64 - 1, 2**63 - 1, 2**64 - 1, clock_uncertainty_ms=0)
    thief = Thief(keyring, device.station.recipient)
    gaps = encode_gaps((Gap("video", 2**63 - 1, 2**63 - 1, 2**63 - 1, "x" * 40),) * 256)
    items = [(Kind.MEDIA, b"m", Flags.KEY, gaps)] * 3
    data = thief.segment(previous, recording=b"H" * 16, part=2**32 - 1, items=items, reason="stop", stamp=stamp)
    (device.flash / "segments" / f"{previous.segment + 1:010d}.seg").write_bytes(data)
    report = verify(device.flash, device.identity)
    assert report.verdict is Verdict.MISSING_PARTS
    assert report.recordings[-1].missing_parts == ((0, 2**32 - 2),)
    assert report.recordings[-1].notes == ("parts missing: 0 to 4294967294",)
    assert json.loads(json.dumps(as_json(report)))["recordings"][-1]["missing_parts"] == [[0, 2**32 - 2]]
    assert all(line.isprintable() for line in as_text(report))


def test_the_reader_sees_that_a_file_shrinks(device: Device) -> None:
    path = device.flash / "segments" / "0000000002.seg"
    with SegmentReader(path) as reader:
        assert len(reader.at(0, 104)) == 104
        os.truncate(path, 50)
        with pytest.raises(Exception, match="the file changed while it was read"):
            reader.at(0, 104)


def test_a_read_larger_than_the_buffer(device: Device, tmp_path: Path) -> None:
    path = tmp_path / "long"
    path.write_bytes(b"ab" * MIB)
    with SegmentReader(path) as reader:
        assert reader.at(2, 2 * MIB - 2) == (b"ab" * MIB)[2:]


def plant(device: Device, sort: str) -> Path:
    """Put something that is not a file where the next segment would be."""
    path = device.flash / "segments" / "0000000005.seg"
    if sort == "folder":
        path.mkdir()
    elif sort == "symlink":
        path.symlink_to("0000000001.seg")
    elif sort == "dangling symlink":
        path.symlink_to("nowhere")
    elif sort == "loop":
        path.symlink_to(path.name)
    elif sort == "pipe":
        os.mkfifo(path)
    else:
        os.mknod(path, 0o600)
    return path


@pytest.mark.timeout(20)
@pytest.mark.parametrize("sort", ["folder", "symlink", "dangling symlink", "loop"])
def test_no_link_or_folder_is_taken_for_a_segment(device: Device, sort: str) -> None:
    plant(device, sort)
    before = len(list(Path("/proc/self/fd").iterdir()))
    report = verify(device.flash, device.identity, workers=1)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert report.verdict is Verdict.NOT_AUTHENTIC
    assert [item.verdict for item in report.recordings] == [Verdict.AUTHENTIC]
    assert any(item.text.startswith("0000000005.seg: the file cannot be read") for item in report.findings)


@pytest.mark.timeout(20)
def test_a_pipe_is_not_waited_for(device: Device) -> None:
    path = plant(device, "pipe")
    assert verify(device.flash, device.identity, workers=1).verdict is not Verdict.AUTHENTIC
    with pytest.raises(InputError, match="neither a folder nor a regular file"):
        verify(path, device.identity)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writing = os.open(path, os.O_WRONLY)  # an open pipe that says nothing
    assert verify(device.flash, device.identity, workers=1).verdict is not Verdict.AUTHENTIC
    os.close(writing)
    os.close(reading)


def test_input_that_is_none(device: Device, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "readme.txt").write_text("no segment")
    (tmp_path / "store" / "segments").mkdir(parents=True)
    for path, says in [
        (tmp_path / "none", "there is no"), (tmp_path / "bare", "holds no segment"),
        (tmp_path / "store", "holds no segment"), (Path("/dev/null"), "neither a folder nor a regular file"),
        (tmp_path / ("x" * 300), "cannot read"),
    ]:  # fmt: skip
        with pytest.raises(InputError, match=says):
            verify(path, device.identity)


def test_a_file_that_cannot_be_read(device: Device) -> None:
    """There, and a regular file, and yet reading it fails: this process's memory at address 0."""
    with pytest.raises(InputError, match=r"cannot read /proc/.*/mem: Input/output error"):
        verify(Path("/proc/self/mem"), device.identity)


def test_names_cannot_speak(device: Device) -> None:
    folder = os.fsencode(device.flash / "segments")
    names = [b"x\nVerdict: authentic.seg", b"\x1b[2J.seg", b"\xff.seg", "\u202efoo.seg".encode()]
    for name in names:
        with open(folder + b"/" + name, "wb") as file:  # noqa: PTH123 - names that are not text
            file.write(b"x")
    texts = [item.text for item in verify(device.flash, device.identity).findings]
    assert len(texts) >= len(names)
    assert all(text.isprintable() for text in texts)
    assert any(r"x\nVerdict: authentic.seg" in text for text in texts)


def test_openings_that_contradict_their_headers(device: Device, tmp_path: Path) -> None:
    """Places in the header that the signed opening does not bear out."""
    records = split((device.flash / "segments" / "0000000002.seg").read_bytes())
    path = tmp_path / "altered.seg"
    for offset, value in [(16, bytes(7) + b"\3"), (24, b"D" * 16), (40, bytes(16)), (4, b"\2"), (12, b"\0\0\0\1")]:
        first = records[0][:offset] + value + records[0][offset + len(value) :]
        path.write_bytes(first + b"".join(records[1:]))
        report = verify_segment(path, device.identity)
        assert (report.status, report.sound_chunks) == (Status.BROKEN, 0)
