"""``station export``: verified first, whole or refused, written whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from station.errors import OpenError, RefusedError, StationError
from station.export import choose_recording, export_recording
from station.keys import StationKey, encode_station_key
from station.opener import FileKeyOpener, SegmentOpener
from station.pipeline import OutputPipeline
from storage.envelope import Cipher, Envelope, Kem
from storage.keyfiles import encode_recipient
from storage.layout import HEADER_BYTES, parse_header
from storage.verify import verify
from tests.station.kit import Bench, one_clear_line
from tests.storage.forge import split
from tests.storage.kit import INIT, Device, media_bytes

STATION = StationKey.generate()
ONE, TWO = b"\x11" * 16, b"\x12" * 16


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bench:
    """1 journal, 2 3 4 recording 11.., 5 journal, 6 recording 12.., 7 journal for power-off."""
    device = Device(tmp_path / "device", STATION)
    with device.open() as store:
        device.journal(store)
        device.record(store, ONE, parts=3, chunks=3)
        device.journal(store)
        device.record(store, TWO, parts=1, chunks=2)
        device.journal(store, "power-off")
    return Bench(device, tmp_path, capsys)


def film(*chunks: tuple[int, int]) -> bytes:
    return INIT + b"".join(media_bytes(part, number, 1000) for part, number in chunks)


WHOLE = film(*((part, number) for part in range(3) for number in range(3)))
REFUSED = "Use --sound-prefix-only to export what is sound from its beginning"


def sidecar(bench: Bench) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(bench.output.with_suffix(".json").read_text())
    return found


def test_the_plaintext_is_the_film(bench: Bench) -> None:
    answer = bench.export("--recording", "11")
    assert (answer.status, answer.err) == (0, "")
    assert bench.output.read_bytes() == WHOLE
    report = bench.output.with_suffix(".json")
    assert answer.out == f"{bench.output}: {len(WHOLE)} bytes, authentic; report in {report}\n"
    assert bench.left() == ["film.json", "film.mp4"]
    assert {path.stat().st_mode & 0o777 for path in bench.output.parent.iterdir()} == {0o600}


def test_the_report_beside_it(bench: Bench) -> None:
    bench.export("--recording", "11")
    told = sidecar(bench)
    made = told["export"].pop("made")
    assert made.endswith("Z")
    assert told["export"] == {
        "file": "film.mp4", "bytes": len(WHOLE), "sha256": hashlib.sha256(WHOLE).hexdigest(), "media_chunks": 9,
        "sound_prefix_only": False,
    }  # fmt: skip
    assert (told["schema"], told["verdict"]) == ("getuige-export/1", "authentic")
    assert (told["recording"]["id"], told["recording"]["segments"]) == (ONE.hex(), [2, 3, 4])
    assert told["chain"] == {"verdict": "authentic", "scope": "store", "missing_segments": [], "findings": []}


@pytest.mark.parametrize("hybrid", [True, False], ids=["hybrid", "x25519"])
@pytest.mark.parametrize("cipher", list(Cipher))
def test_every_cipher_and_key(tmp_path: Path, capsys: pytest.CaptureFixture[str], hybrid: bool, cipher: Cipher) -> None:
    device = Device(tmp_path / "device", StationKey.generate(hybrid=hybrid), cipher)
    device.shift(parts=3, chunks=3)
    bench = Bench(device, tmp_path, capsys)
    assert bench.export().status == 0
    assert bench.output.read_bytes() == WHOLE


def test_which_recording(bench: Bench) -> None:
    one_clear_line(bench.export(), "more than one recording fits; say --recording ID, one of: ", ONE.hex())
    one_clear_line(bench.export("--recording", "ff"), "no recording fits", TWO.hex())
    one_clear_line(bench.export(path=bench.seg(1)), "no sound recording in")
    assert bench.left() == []
    assert bench.export("--recording", TWO.hex()).status == 0
    assert bench.output.read_bytes() == film((0, 0), (0, 1))


def test_one_segment(bench: Bench) -> None:
    assert bench.export(path=bench.seg(3)).status == 0
    assert bench.output.read_bytes() == film((1, 0), (1, 1), (1, 2))


@pytest.mark.parametrize(
    ("harm", "chunks"),
    [
        (lambda bench: bench.cut(4, 3), [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1)]),
        (lambda bench: bench.cut(3, 2), [(0, 0), (0, 1), (0, 2), (1, 0)]),
        (lambda bench: bench.seg(3).unlink(), [(0, 0), (0, 1), (0, 2)]),
        (lambda bench: bench.seg(4).unlink(), [(part, number) for part in range(2) for number in range(3)]),
        (lambda bench: bench.spoil(3), [(part, number) for part in range(2) for number in range(3)]),
        (lambda bench: bench.spoil(2, -2200), [(0, 0)]),
    ],
    ids=["end cut", "middle cut", "middle missing", "end missing", "closing broken", "chunk broken"],
)
def test_what_does_not_verify_is_refused_or_said(bench: Bench, harm: Any, chunks: list[tuple[int, int]]) -> None:
    harm(bench)
    verdict = bench.verify("--recording", "11").out.splitlines()[-1].removeprefix("Verdict: ")
    one_clear_line(bench.export("--recording", "11"), f"recording {ONE.hex()} is {verdict}: ", REFUSED)
    assert bench.left() == []
    answer = bench.export("--recording", "11", "--sound-prefix-only")
    assert answer.status == 0
    assert answer.out.endswith("Only the sound beginning was exported; the report says what is cut or broken.\n")
    assert bench.output.read_bytes() == film(*chunks)
    told = sidecar(bench)
    assert (told["export"]["sound_prefix_only"], told["export"]["media_chunks"]) == (True, len(chunks))
    assert (told["verdict"], told["recording"]["verdict"]) == (verdict, verdict)
    assert told["recording"]["notes"]
    # The other recording can be exported whole.
    assert bench.export("--recording", "12").status == 0
    assert sidecar(bench)["verdict"] == "authentic"


def test_asking_for_the_prefix_of_what_is_whole_gives_the_whole(bench: Bench) -> None:
    assert bench.export("--recording", "11", "--sound-prefix-only").status == 0
    assert bench.output.read_bytes() == WHOLE
    assert sidecar(bench)["export"]["sound_prefix_only"] is False


def test_without_a_sound_beginning(bench: Bench) -> None:
    bench.seg(2).unlink()
    one_clear_line(bench.export("--recording", "11", "--sound-prefix-only"), "has no sound beginning to export")
    bench.cut(6, 1)
    one_clear_line(bench.export("--recording", "12", "--sound-prefix-only"), "has no sound beginning to export")
    assert bench.left() == []


def test_what_was_there_is_replaced_whole(bench: Bench) -> None:
    bench.output.write_bytes(b"an older export")
    bench.output.with_suffix(".json").write_text("{}")
    older = bench.output.stat().st_ino
    assert bench.export("--recording", "11").status == 0
    assert bench.output.read_bytes() == WHOLE
    assert bench.output.stat().st_ino != older
    assert sidecar(bench)["verdict"] == "authentic"


def test_what_was_there_stays_if_it_cannot_be_replaced(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.output.write_bytes(b"an older export")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("storage.durable.os.writev", full)
    one_clear_line(bench.export("--recording", "11"), f"cannot export to {bench.output}: No space left on device")
    assert bench.output.read_bytes() == b"an older export"
    assert bench.left() == ["film.mp4"]


def test_the_film_is_durable_before_it_has_its_name(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[tuple[str, int]] = []
    sync, replace = os.fsync, Path.replace

    def noted_sync(fd: int) -> None:
        steps.append(("sync", os.fstat(fd).st_ino))
        sync(fd)

    def noted_replace(path: Path, target: Path) -> Path:
        steps.append((f"replace {target.name}", path.stat().st_ino))
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    assert bench.export("--recording", "11").status == 0
    film, report = bench.output.stat().st_ino, bench.output.with_suffix(".json").stat().st_ino
    folder = ("sync", bench.output.parent.stat().st_ino)
    assert steps == [
        ("sync", film), ("replace film.mp4", film), folder, ("sync", report), ("replace film.json", report), folder,
    ]  # fmt: skip


def test_the_report_can_go_elsewhere(bench: Bench) -> None:
    elsewhere = bench.folder / "elsewhere.json"
    assert bench.export("--recording", "11", "--report", elsewhere).status == 0
    assert json.loads(elsewhere.read_text())["verdict"] == "authentic"
    assert bench.left() == ["film.mp4"]
    one_clear_line(
        bench.export("--recording", "11", "--report", bench.folder / "no" / "folder.json"),
        "cannot write the report", "No such file or directory",
    )  # fmt: skip


def test_outputs_that_cannot_be_written(bench: Bench) -> None:
    bench.output = bench.folder / "no" / "film.mp4"
    one_clear_line(bench.export("--recording", "11"), f"cannot export to {bench.output}: No such file or directory")
    bench.output = bench.folder / "taken"
    bench.output.mkdir()
    one_clear_line(bench.export("--recording", "11"), f"cannot export to {bench.output}: Is a directory")
    assert not (bench.folder / "taken.part").exists()  # no opened footage is left lying about
    bench.output = Path("/")
    one_clear_line(bench.export("--recording", "11"), "/ is a folder: name the file to write")
    bench.output = Path()
    one_clear_line(bench.export("--recording", "11"), ". is a folder: name the file to write")


def test_nothing_is_written_over_evidence_or_keys(bench: Bench) -> None:
    bench.output = bench.seg(1)
    before = bench.seg(1).read_bytes(), bench.key.read_bytes()
    one_clear_line(bench.export("--recording", "11"), "is evidence or a key: nothing is written over it")
    (bench.folder / "link").hardlink_to(bench.seg(1))
    bench.output = bench.folder / "link"
    one_clear_line(bench.export("--recording", "11"), "nothing is written over it")
    bench.output = bench.key
    one_clear_line(bench.export("--recording", "11"), "nothing is written over it")
    bench.output = bench.folder / "film.mp4"
    one_clear_line(bench.export("--recording", "11", "--report", bench.key), "nothing is written over it")
    one_clear_line(bench.export("--recording", "11", "--report", bench.output), "the report would replace")
    bench.output = bench.folder / "film.json"
    one_clear_line(bench.export("--recording", "11"), "the report would replace", "--report")
    assert (bench.seg(1).read_bytes(), bench.key.read_bytes()) == before
    assert not bench.output.exists()


def test_a_leftover_is_not_followed(bench: Bench) -> None:
    """A link where the unfinished film is to be, to something else."""
    target = bench.folder / "target"
    target.write_bytes(b"mine")
    (bench.output.parent / "film.mp4.part").symlink_to(target)
    assert bench.export("--recording", "11").status == 0
    assert target.read_bytes() == b"mine"


def test_keys_that_do_not_fit(bench: Bench) -> None:
    station = bench.device.station
    assert station.mlkem is not None
    keys = {
        "another hybrid": (encode_station_key(StationKey.generate()), "was not sealed to this station key"),
        "another x25519": (
            encode_station_key(StationKey.generate(hybrid=False)), "was not sealed to this station key"
        ),
        "half of it": (encode_station_key(StationKey(station.x25519, None)), "was not sealed to this station key"),
        "public": (encode_recipient(station.recipient), "holds something that is not a private key"),
        "device's": (bench.device_key.read_bytes(), "holds something that is not a private key"),
        "text": (b"secret", "is not a PEM key file"),
        "twice": (encode_station_key(station) * 2, "one X25519 key and at most one ML-KEM-768 key"),
        "lattice alone": (
            encode_station_key(station).split(b"-----BEGIN")[1].join([b"-----BEGIN", b""]), "must hold one X25519 key"
        ),
    }  # fmt: skip
    for name, (data, says) in keys.items():
        bench.key = bench.folder / name
        bench.key.write_bytes(data)
        one_clear_line(bench.export("--recording", "11"), says)
    bench.key = bench.folder / "missing"
    one_clear_line(bench.export("--recording", "11"), "cannot read the station key", "No such file")
    assert bench.left() == []


def test_the_blocks_of_a_key_file_in_either_order(bench: Bench) -> None:
    first, second = encode_station_key(bench.device.station).split(b"-----END PRIVATE KEY-----\n")[:2]
    end = b"-----END PRIVATE KEY-----\n"
    bench.key.write_bytes(b"for the unit\n" + second + end + first + end)
    assert bench.export("--recording", "11").status == 0


def test_the_device_key_beside_the_store(bench: Bench) -> None:
    arguments = ["--key", bench.key, "--output", bench.output, "--recording", "11"]
    answer = bench.run("export", bench.flash, *arguments)
    one_clear_line(answer, "no device.pub in or above", "--device-key")
    for folder in (bench.flash.parent, bench.flash):
        (folder / "device.pub").write_bytes(bench.device_key.read_bytes())
        for path in (bench.flash, bench.flash / "segments"):
            assert bench.run("export", path, *arguments).status == 0
        (folder / "device.pub").unlink()
    (bench.flash / "device.pub").write_bytes(bench.device_key.read_bytes())
    assert bench.run("export", bench.seg(6), *arguments[:4]).status == 0


def test_an_interruption_leaves_nothing(bench: Bench) -> None:
    report = verify(bench.flash, bench.device.identity, keep_chunks=True)

    def interrupt(_done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_recording(
            choose_recording(report, "11"), FileKeyOpener(bench.device.station), bench.output, progress=interrupt
        )
    assert bench.left() == []
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("export")]


def test_progress_counts_every_sealed_byte(bench: Bench) -> None:
    report = verify(bench.flash, bench.device.identity, keep_chunks=True)
    done: list[int] = []
    chosen = choose_recording(report, "11")
    export_recording(chosen, FileKeyOpener(bench.device.station), bench.output, progress=done.append)
    assert done == sorted(done)
    assert done[-1] == sum(part.sound_bytes for part in chosen.segments)


def test_evidence_that_changes_after_it_was_verified(bench: Bench) -> None:
    report = verify(bench.flash, bench.device.identity, keep_chunks=True)
    opener = FileKeyOpener(bench.device.station)
    bench.spoil(3, -1200)
    with pytest.raises(OpenError, match="chunk 3 of segment 3 does not open: its body was changed"):
        export_recording(choose_recording(report, "11"), opener, bench.output)
    bench.cut(3, 2)
    with pytest.raises(Exception, match="the file changed while it was read"):
        export_recording(choose_recording(report, "11"), opener, bench.output)
    bench.seg(3).unlink()
    with pytest.raises(StationError, match=r"cannot export to .*: No such file or directory"):
        export_recording(choose_recording(report, "11"), opener, bench.output)
    assert bench.left() == []


def test_only_what_was_verified_is_opened(bench: Bench) -> None:
    report = verify(bench.flash, bench.device.identity)  # without the chunks
    with pytest.raises(StationError, match=r"0000000002\.seg was not verified"):
        export_recording(choose_recording(report, "11"), FileKeyOpener(bench.device.station), bench.output)
    with pytest.raises(RefusedError):
        choose_recording(report, "ff")


def test_parts_with_headers_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    device = Device(tmp_path / "device", STATION)
    with device.open() as store:
        for part, init in enumerate((b"one", b"two")):
            segment = store.begin(device.clock.stamp(), recording=ONE, part=part, profile="x", init=init)
            segment.media(device.clock.stamp(1), b"media", None)  # type: ignore[arg-type]
            segment.close("stop" if part else "rotation", device.clock.stamp())
        device.journal(store, "power-off")
    bench = Bench(device, tmp_path, capsys)
    one_clear_line(bench.export(), "do not share one MP4 header: export them one by one")
    assert bench.left() == []
    assert bench.export(path=bench.seg(2)).status == 0
    assert bench.output.read_bytes() == b"twomedia"


# --- Opening ----------------------------------------------------------------------------------------------------------


def test_an_envelope_opens_in_its_own_segment_only(bench: Bench) -> None:
    report = verify(bench.flash, bench.device.identity, keep_chunks=True)
    one, two = report.segments[1], report.segments[2]
    opener = FileKeyOpener(bench.device.station)
    assert one.first is not None
    assert one.opening is not None
    assert two.first is not None
    SegmentOpener(opener, one.first.place, one.opening)
    with pytest.raises(OpenError, match="the envelope does not open with the station key"):
        SegmentOpener(opener, two.first.place, one.opening)
    with pytest.raises(OpenError, match="the envelope does not open"):
        SegmentOpener(opener, one.first.place._replace(recording=TWO), one.opening)


def test_a_body_opens_in_its_own_place_only(bench: Bench) -> None:
    report = verify(bench.flash, bench.device.identity, keep_chunks=True)
    one = report.segments[1]
    assert one.first is not None
    assert one.opening is not None
    keys = SegmentOpener(FileKeyOpener(bench.device.station), one.first.place, one.opening)
    record = split(bench.seg(2).read_bytes())[1]
    start = HEADER_BYTES + parse_header(record).particulars_bytes
    head, body, room = record[:start], record[start:-64], memoryview(bytearray(2000))
    assert keys.open_into(1, head, body, room) == media_bytes(0, 0, 1000)
    for number, other_head in ((2, head), (1, head[:-1] + b"\1"), (1, head[:72] + bytes(8) + head[80:])):
        with pytest.raises(OpenError, match=f"chunk {number} of segment 2 does not open"):
            keys.open_into(number, other_head, body, room)


@pytest.mark.parametrize("hybrid", [True, False], ids=["hybrid", "x25519"])
def test_hostile_envelopes(hybrid: bool) -> None:
    key = StationKey.generate(hybrid=hybrid)
    opener = FileKeyOpener(key)
    own, other = (Kem.HYBRID, Kem.X25519) if hybrid else (Kem.X25519, Kem.HYBRID)
    for sealed in (bytes(own.sealed_bytes), b"\xff" * own.sealed_bytes, b"", b"short"):
        with pytest.raises(OpenError, match="does not open with the station key"):
            opener.unwrap(Envelope(own, opener.recipient_id, sealed), b"info")
    with pytest.raises(OpenError, match=f"is for a {other.value} key, the station key is {own.value}"):
        opener.unwrap(Envelope(other, opener.recipient_id, bytes(other.sealed_bytes)), b"info")


# --- The pipeline -----------------------------------------------------------------------------------------------------


def test_a_pipeline_writes_and_hashes_in_order(tmp_path: Path) -> None:
    path = tmp_path / "out"
    expected = b""
    with path.open("wb") as file, OutputPipeline(file.fileno()) as pipeline:
        for number in range(40):
            room = pipeline.room(number * 100_000)
            assert len(room) == number * 100_000
            data = bytes([number]) * (number * 100)
            room[: len(data)] = data
            if number % 5:
                pipeline.commit(len(data))
                expected += data
        pipeline.finish()
    assert path.read_bytes() == expected
    assert (pipeline.size_bytes, pipeline.digest.digest()) == (len(expected), hashlib.sha256(expected).digest())


def test_a_pipeline_on_a_full_disk() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full, OutputPipeline(full.fileno()) as pipeline:
        pipeline.room(3)[:] = b"abc"
        pipeline.commit(3)
        with pytest.raises(OSError, match="No space left on device"):
            pipeline.finish()
        with pytest.raises(OSError, match="No space left on device"):
            pipeline.room(1)


def test_nothing_is_committed_that_was_not_lent(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file, OutputPipeline(file.fileno()) as pipeline:
        with pytest.raises(StationError, match="nothing was lent"):
            pipeline.commit(1)
        pipeline.finish()
    assert not (tmp_path / "out").stat().st_size


def test_a_disk_that_takes_nothing_holds_the_caller_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe that nobody reads: four buffers are lent, and no fifth."""
    monkeypatch.setattr("station.pipeline._WAIT_S", 0.05)
    reading, writing = os.pipe()
    pipeline = OutputPipeline(writing)
    size = 8 * 1024 * 1024
    try:
        for _ in range(4):
            pipeline.room(size)
            pipeline.commit(size)
        with pytest.raises(StationError, match="the disk has taken nothing for 0 s"):
            pipeline.room(1)
    finally:
        monkeypatch.setattr("station.pipeline._WAIT_S", 20.0)
        left = 4 * size
        while left:
            left -= len(os.read(reading, 65_536))
        pipeline.finish()
        os.close(reading)
        os.close(writing)
    assert pipeline.size_bytes == 4 * size
