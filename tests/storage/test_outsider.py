"""Two verifiers, written apart, must agree: the project's, and the outsider's made from docs/FORMAT.md alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from station.export import choose_recording, export_recording
from station.keys import StationKey, encode_station_key
from station.opener import FileKeyOpener
from storage import cbor
from storage.envelope import Cipher
from storage.errors import FormatError
from storage.events import parse_events
from storage.keyfiles import load_device_key
from storage.layout import Flags, Kind, Light
from storage.media_summary import UNACCOUNTED
from storage.reader import SegmentReader
from storage.store import Store
from storage.verify import StoreReport
from storage.verify import verify as project_verify
from tests.storage import outsider
from tests.storage.kit import CHUNK_NS, Device, media_bytes

RECORDING = b"R" * 16
Files = dict[str, bytes]


def name(number: int) -> str:
    return f"{number:010d}.seg"


def make(base: Path, *, hybrid: bool = False, cipher: Cipher = Cipher.CHACHA20_POLY1305) -> Device:
    device = Device(base, StationKey.generate(hybrid=hybrid), cipher)
    device.shift(chunks=3, size=300)
    return device


def files_of(device: Device) -> Files:
    return {path.name: path.read_bytes() for path in (device.flash / "segments").iterdir()}


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Device:
    return make(tmp_path_factory.mktemp("device"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Device:
    """Another device, whose store looks just the same."""
    return make(tmp_path_factory.mktemp("stranger"))


def both(path: Path, device: Device) -> tuple[outsider.Report, StoreReport]:
    """Verify twice, compare everything that both say, and return what they said."""
    public = device.state / "device.pub"
    theirs = outsider.verify(path, public.read_bytes())
    ours = project_verify(path, load_device_key(public), workers=1)
    assert theirs.verdict == ours.verdict.value, theirs.remarks
    assert theirs.exit_status == ours.verdict.exit_status
    assert {item.name: (item.status, len(item.records)) for item in theirs.segments} == {
        item.path.name: (item.status.value, item.sound_chunks) for item in ours.segments
    }
    assert theirs.missing == [number for first, last in ours.missing_segments for number in range(first, last + 1)]
    assert theirs.destroyed == [item.number for item in ours.destroyed]
    assert {
        key: (item.verdict, item.parts, item.chunks, item.gaps, item.lit, item.pre_event)
        for key, item in theirs.recordings.items()
    } == {
        item.id.hex(): (
            item.verdict.value,
            len(item.segments),
            item.media.chunks,
            [
                [gap.track, gap.start_ns, gap.duration_ns, gap.lost_units, gap.cause]
                for gap in item.media.gaps
                if gap.cause != UNACCOUNTED  # found by ours between chunks; not on record
            ],
            item.media.lit_chunks / item.media.announced_chunks if item.media.announced_chunks else 0.0,
            item.media.pre_event_chunks,
        )
        for item in ours.recordings
    }
    return theirs, ours


def put(folder: Path, files: Files) -> Path:
    folder.mkdir(parents=True)
    for key, data in files.items():
        (folder / key).write_bytes(data)
    return folder


def ends(data: bytes) -> list[int]:
    """Return where each record ends."""
    result, at = [], 0
    while at < len(data):
        at += 168 + int.from_bytes(data[at + 6 : at + 8]) + int.from_bytes(data[at + 8 : at + 12])
        result.append(at)
    return result


@pytest.mark.parametrize("hybrid", [True, False], ids=["hybrid", "x25519"])
@pytest.mark.parametrize("cipher", list(Cipher), ids=lambda cipher: cipher.value)
def test_an_intact_store_and_its_recording(tmp_path: Path, hybrid: bool, cipher: Cipher) -> None:
    device = make(tmp_path, hybrid=hybrid, cipher=cipher)
    theirs, _ = both(device.flash, device)
    assert theirs.verdict == outsider.AUTHENTIC
    assert len(theirs.recordings[RECORDING.hex()].gaps) == 2

    station = encode_station_key(device.station)
    identity = (device.state / "device.pub").read_bytes()
    mp4 = outsider.open_recording(device.flash, identity, station, RECORDING.hex())
    assert mp4 == b"init segment: ftyp and moov" + b"".join(
        media_bytes(part, number, 300) for part in range(2) for number in range(3)
    )
    report = project_verify(device.flash, load_device_key(device.state / "device.pub"), keep_chunks=True)
    output = tmp_path / "out.mp4"
    export_recording(choose_recording(report, None), FileKeyOpener(device.station), output)
    assert output.read_bytes() == mp4


def test_the_command_line_says_the_same(device: Device) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "station",
            "verify",
            device.flash,
            "--device-key",
            device.state / "device.pub",
            "--json",
        ],
        capture_output=True,
        check=False,
        timeout=60,
    )
    answer = json.loads(done.stdout)
    theirs = outsider.verify(device.flash, (device.state / "device.pub").read_bytes())
    assert (answer["verdict"], answer["exit_status"], done.returncode) == (theirs.verdict, 0, theirs.exit_status)
    assert [item["chain"] for item in answer["segments"]] == [item.records[-1].chain.hex() for item in theirs.segments]
    assert answer["recordings"][0]["indicator"]["coverage"] == theirs.recordings[RECORDING.hex()].lit == 1.0


def test_the_outsider_refuses_the_wrong_station(device: Device, stranger: Device) -> None:
    identity = (device.state / "device.pub").read_bytes()
    with pytest.raises(outsider.FormatError, match="no envelope"):
        outsider.open_recording(device.flash, identity, encode_station_key(stranger.station), RECORDING.hex())


def test_light_that_was_not_on_throughout(tmp_path: Path) -> None:
    device = Device(tmp_path, StationKey.generate(hybrid=False))
    states = [
        (Light.LIT, Light.LIT), (Light.LIT, Light.UNSENSED), (Light.PARTLY, Light.LIT), (Light.LIT, Light.DARK),
        (Light.DARK, Light.LIT),
    ]  # fmt: skip
    with device.open() as store:
        segment = device.part(store, RECORDING, 0, 0)
        for commanded, sensed in states:
            stamp = device.clock.stamp(CHUNK_NS, commanded=commanded, sensed=sensed)
            segment.media(stamp, b"media", Flags.KEY)
        segment.close("fault", device.clock.stamp())
    theirs, _ = both(device.flash, device)
    assert (theirs.verdict, theirs.recordings[RECORDING.hex()].lit) == (outsider.AUTHENTIC, 0.4)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_one_file_alone(device: Device, number: int) -> None:
    theirs, _ = both(device.flash / "segments" / name(number), device)
    assert theirs.verdict == outsider.AUTHENTIC


def rename_all(files: Files) -> None:
    for key in sorted(files):
        files["evidence" + key] = files.pop(key)


def swap(files: Files) -> None:
    files[name(2)], files[name(3)] = files[name(3)], files[name(2)]


def remove(*numbers: int) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        for number in numbers:
            del files[name(number)]

    return change


def replace(number: int, how: Callable[[bytes], bytes]) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        files[name(number)] = how(files.get(name(number), b""))

    return change


def copy(number: int, to: int, how: Callable[[bytes], bytes] = bytes) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        files[name(to)] = how(files[name(number)])

    return change


def records(data: bytes, order: list[int]) -> bytes:
    """Put the records of a segment in another order."""
    bounds = [0, *ends(data)]
    return b"".join(data[bounds[index] : bounds[index + 1]] for index in order)


def without_signature(data: bytes, number: int) -> bytes:
    end = ends(data)[number]
    return data[: end - 64] + bytes(64) + data[end:]


AUTHENTIC, MISSING, UNSIGNED, BROKEN = (
    outsider.AUTHENTIC, outsider.MISSING, outsider.NOT_SIGNED, outsider.NOT_AUTHENTIC,
)  # fmt: skip
STORES = {
    "names are a convenience": (rename_all, AUTHENTIC),
    "names swapped": (swap, AUTHENTIC),
    "a copy of the same": (copy(3, 9), AUTHENTIC),
    "first segment removed": (remove(1), MISSING),
    "first part removed": (remove(2), MISSING),
    "last part removed": (remove(3), MISSING),
    "both parts removed": (remove(2, 3), MISSING),
    "last segment removed": (remove(4), MISSING),
    "end of the recording removed": (remove(3, 4), MISSING),
    "a part instead of the next": (copy(2, 3), MISSING),
    "a shorter copy": (copy(3, 9, lambda data: data[: ends(data)[2]]), BROKEN),
    "part cut in its closing": (replace(2, lambda data: data[:-1]), MISSING),
    "part cut after its opening": (replace(2, lambda data: data[: ends(data)[0]]), MISSING),
    "part cut in its opening": (replace(2, lambda data: data[:300]), UNSIGNED),
    "newest cut": (replace(4, lambda data: data[:-100]), MISSING),
    "newest cut in its opening": (replace(4, lambda data: data[:300]), MISSING),
    "newest cut to three bytes": (replace(4, lambda data: data[:3]), MISSING),
    "newest emptied": (replace(4, lambda data: b""), MISSING),
    "newest is something else": (replace(4, lambda data: b"%PDF-1.7" * 50), UNSIGNED),
    "newest is zeros": (replace(4, lambda data: bytes(len(data))), UNSIGNED),
    "part is something else": (replace(2, lambda data: b"%PDF-1.7" * 50), UNSIGNED),
    "an empty file to come": (replace(5, lambda _: b""), MISSING),
    "an empty file further on": (replace(6, lambda _: b""), UNSIGNED),
    "first signature wiped": (replace(3, lambda data: without_signature(data, 0)), UNSIGNED),
    "last signature wiped": (replace(3, lambda data: without_signature(data, 4)), BROKEN),
    "chunk removed": (replace(3, lambda data: records(data, [0, 1, 3, 4])), BROKEN),
    "chunk repeated": (replace(3, lambda data: records(data, [0, 1, 2, 2, 3, 4])), BROKEN),
    "chunks reordered": (replace(3, lambda data: records(data, [0, 2, 1, 3, 4])), BROKEN),
    "chunk after the closing": (replace(3, lambda data: records(data, [0, 1, 2, 3, 4, 3])), BROKEN),
    "bytes after the closing": (replace(3, lambda data: data + b"GTG1"), BROKEN),
    "zeros for a tail": (replace(3, lambda data: data[: ends(data)[2]] + bytes(50)), BROKEN),
    "another version": (replace(3, lambda data: b"GTG2" + data[4:]), BROKEN),
}


@pytest.mark.parametrize("case", STORES)
def test_stores_that_were_changed(tmp_path: Path, device: Device, case: str) -> None:
    change, verdict = STORES[case]
    files = files_of(device)
    change(files)
    theirs, _ = both(put(tmp_path / "store" / "segments", files).parent, device)
    assert theirs.verdict == verdict
    both(tmp_path / "store" / "segments", device)


@pytest.mark.parametrize("keep", [[1], [2], [3], [1, 2], [2, 3], [3, 4], [1, 3], [1, 4]])
def test_excerpts(tmp_path: Path, device: Device, keep: list[int]) -> None:
    files = files_of(device)
    theirs, _ = both(put(tmp_path / "some", {name(number): files[name(number)] for number in keep}), device)
    assert theirs.verdict == (AUTHENTIC if keep in ([1], [2, 3]) else MISSING)


@pytest.mark.parametrize("what", ["segment", "opening", "chunk", "body", "signature", "particulars"])
def test_splices_from_another_device(tmp_path: Path, device: Device, stranger: Device, what: str) -> None:
    files, others = files_of(device), files_of(stranger)
    mine, other = files[name(3)], others[name(3)]
    first, second = ends(mine)[:2]
    assert ends(mine) == ends(other)
    start, end = {
        "segment": (0, len(mine)), "opening": (0, first), "chunk": (first, second), "body": (first + 104, second - 64),
        "signature": (second - 64, second), "particulars": (104, 104 + int.from_bytes(mine[6:8])),
    }[what]  # fmt: skip
    if what == "body":  # the same plain bytes under another key
        assert mine[start:end] != other[start:end]
    files[name(3)] = mine[:start] + other[start:end] + mine[end:]
    theirs, _ = both(put(tmp_path / "store" / "segments", files).parent, device)
    assert theirs.verdict == BROKEN


def test_a_segment_of_another_recording_in_place(tmp_path: Path, device: Device) -> None:
    other = Device(tmp_path / "other", device.station)
    with other.open() as store:
        other.journal(store)
        other.record(store, b"S" * 16)
        other.journal(store, "power-off")
    theirs, _ = both(other.flash, device)
    assert theirs.verdict == BROKEN


def stop_twice(device: Device, store: Store) -> None:
    """Put another part behind a recording that was stopped: what a thief of the device could append."""
    device.record(store)
    device.journal(store)
    device.part(store, RECORDING, 2, 1).close("stop", device.clock.stamp())


def backwards(device: Device, store: Store) -> None:
    device.part(store, RECORDING, 1, 1).close("rotation", device.clock.stamp())
    device.part(store, RECORDING, 0, 1).close("stop", device.clock.stamp())


def part_twice(device: Device, store: Store) -> None:
    device.part(store, RECORDING, 0, 1).close("rotation", device.clock.stamp())
    device.part(store, RECORDING, 0, 1).close("stop", device.clock.stamp())


@pytest.mark.parametrize("make_recording", [stop_twice, backwards, part_twice])
def test_parts_that_do_not_make_one_recording(tmp_path: Path, make_recording: Callable[[Device, Store], None]) -> None:
    device = Device(tmp_path, StationKey.generate(hybrid=False))
    with device.open() as store:
        device.journal(store)
        make_recording(device, store)
        device.journal(store, "power-off")
    theirs, _ = both(device.flash, device)
    assert theirs.verdict == MISSING


def bits(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield a sample of offsets with a bit each: two whole headers, and every 31st byte of the rest."""
    second = ends(data)[1]
    sample = {*range(104), *range(second, second + 104), *range(0, len(data), 31)}
    return ((offset, offset * 5 % 8) for offset in sorted(sample))


def test_no_flipped_bit_passes_and_both_say_the_same(tmp_path: Path, device: Device) -> None:
    whole = files_of(device)[name(3)]
    path = put(tmp_path / "one", {}) / name(3)
    verdicts = set()
    for offset, bit in bits(whole):
        changed = bytearray(whole)
        changed[offset] ^= 1 << bit
        path.write_bytes(changed)
        verdicts.add(both(path, device)[0].verdict)
    assert verdicts == {MISSING, UNSIGNED, BROKEN}  # a length beyond the end of the file looks like a cut


def test_a_cut_at_any_place(tmp_path: Path, device: Device) -> None:
    whole = files_of(device)[name(2)]
    path = put(tmp_path / "one", {}) / name(2)
    edges = {edge + step for edge in [0, *ends(whole)] for step in (-1, 0, 1, 4, 103, 104)}
    for length in sorted(edge for edge in edges if 0 <= edge < len(whole)):
        path.write_bytes(whole[:length])
        theirs, _ = both(path, device)
        assert theirs.verdict == (MISSING if length >= ends(whole)[0] else UNSIGNED), length


EVENTS = {
    "nothing": [], "all sorts": [[2**64 - 1, "x", {"a": -1, "b": 2**64 - 1, "c": "", "d": None, "e": False}]],
    "the lowest": [[0, "", {"a": -(2**64)}]], "many": [[1, "x", {}]] * 1024, "too many": [[1, "x", {}]] * 1025,
    "before its boot": [[-1, "x", {}]], "no details": [[1, "x"]], "bytes": [[1, "x", {"a": b"a"}]],
    "an array in it": [[1, "x", {"a": []}]], "a long name": [[1, "x" * 41, {}]], "it clears": [[1, "\x1b", {}]],
    "a number for a name": [[1, 1, {}]], "true for a time": [[True, "x", {}]], "details in a list": [[1, "x", []]],
    "a map": {"x": 1}, "a negative alone": [-1],
}  # fmt: skip


@pytest.mark.parametrize("case", EVENTS)
def test_events(case: str) -> None:
    """What one of the two takes for events, the other does, and nothing else."""
    data = cbor.encode(EVENTS[case])  # type: ignore[arg-type]
    if case in ("nothing", "all sorts", "the lowest", "many"):
        found = [(event.time_ns, event.name, dict(event.details)) for event in parse_events(data)]
        assert outsider.read_events(data) == found
        assert [list(event) for event in found] == EVENTS[case]
        return
    with pytest.raises(FormatError):
        parse_events(data)
    with pytest.raises(outsider.FormatError):
        outsider.read_events(data)


def test_the_kinds_that_the_outsider_knows(device: Device) -> None:
    """The page's numbers are those of the code."""
    with SegmentReader(device.flash / "segments" / name(2)) as reader:
        kinds = [record.header.kind for record in reader.records()]
    assert kinds == [outsider.OPENING, *[outsider.MEDIA] * 3, outsider.CLOSING]
    assert [Kind.EVENTS, Kind.HEARTBEAT] == [outsider.EVENTS, outsider.HEARTBEAT]
