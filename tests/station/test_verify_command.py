"""``station verify``: what it prints, its exit status, and one clear line for whatever cannot be verified."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from station.keys import StationKey
from station.moments import utc
from storage.layout import ClockSource, Stamp
from tests.station.kit import Bench, one_clear_line
from tests.storage.kit import INIT, Device

STATION = StationKey.generate(hybrid=False)
ONE, TWO = b"\x11" * 16, b"\x12" * 16


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bench:
    """1 journal, 2 3 recording 11.., 4 journal, 5 recording 12.., 6 journal for power-off."""
    device = Device(tmp_path / "device", STATION)
    with device.open() as store:
        device.journal(store)
        device.record(store, ONE, parts=2, chunks=3)
        device.journal(store)
        device.record(store, TWO, parts=1, chunks=1)
        device.journal(store, "power-off")
    return Bench(device, tmp_path, capsys)


def test_text(bench: Bench) -> None:
    answer = bench.verify()
    assert (answer.status, answer.err) == (0, "")
    lines = answer.out.splitlines()
    assert lines[0] == f"Recording {ONE.hex()}: authentic (complete)"
    assert lines[1] == "  2026-09-21T14:13:25.000Z to 2026-09-21T14:13:27.000Z, 2.0 s, 480p30, 6 chunks in 2 segments"
    assert lines[2] == "  Recording light on for 100.0% of chunks, sensed lit for 100.0%"
    assert lines[3] == "  Sound in 100.0% of chunks"
    assert lines[4] == "  Gap: video 0.033 s at 0.667 s, 1 lost (lost)"
    assert lines[6] == "  Ended: stop"
    assert lines[-2].endswith("6 of 6 segments signed by it; the whole store was checked")
    assert lines[-1] == "Verdict: authentic"


def test_json(bench: Bench) -> None:
    told = bench.verify("--json").json
    assert (told["schema"], told["verdict"], told["exit_status"]) == ("getuige-verify/1", "authentic", 0)
    assert (told["scope"], told["missing_segments"], told["findings"]) == ("store", [], [])
    assert told["device"] == (bench.seg(1).read_bytes()[24:40]).hex()
    first = told["recordings"][0]
    assert first["segments"] == [2, 3]
    assert first["started"] == "2026-09-21T14:13:25.000Z"
    assert (first["chunks"], first["end_reason"], first["missing_parts"]) == (6, "stop", [])
    assert first["clock"] == {"source": "ntp", "uncertainty_ms": 20}
    assert first["gaps"][0]["cause"] == "lost"
    journal, part = told["segments"][:2]
    assert (journal["type"], journal["reason"], part["type"], part["reason"]) == (
        "journal", "recording", "media", "rotation"
    )  # fmt: skip
    assert (part["file"], part["status"], part["chunks"], part["number"]) == ("0000000002.seg", "closed", 5, 2)
    assert part["sound_bytes"] == bench.seg(2).stat().st_size
    assert len(part["chain"]) == 64


@pytest.mark.parametrize(
    ("harm", "status", "verdict"),
    [
        (lambda bench: bench.seg(3).unlink(), 3, "authentic with missing parts"),
        (lambda bench: bench.cut(3, 2), 3, "authentic with missing parts"),
        (lambda bench: bench.spoil(3), 1, "not authentic"),
        (lambda bench: bench.seg(3).write_bytes(bytes(500)), 1, "not signed"),
    ],
    ids=["missing", "cut", "broken", "unsigned"],
)  # fmt: skip
def test_exit_statuses_of_a_store_and_of_one_recording(bench: Bench, harm: object, status: int, verdict: str) -> None:
    assert callable(harm)
    harm(bench)
    answer = bench.verify()
    assert answer.status == status
    assert answer.out.splitlines()[-1] == f"Verdict: {verdict}"
    told = bench.verify("--json")
    assert (told.status, told.json["verdict"], told.json["exit_status"]) == (status, verdict, status)
    # The other recording is none the worse for it.
    assert bench.verify("--recording", TWO.hex()).status == 0
    told = bench.verify("--json", "--recording", TWO.hex())
    assert (told.status, told.json["verdict"], told.json["exit_status"]) == (0, "authentic", 0)
    assert [item["id"] for item in told.json["recordings"]] == [TWO.hex()]
    assert bench.verify("--recording", ONE.hex()).status in (status, 3)


def test_findings_are_told_once(bench: Bench) -> None:
    bench.cut(3, 2)
    bench.seg(1).unlink()
    out = bench.verify().out
    assert out.count("no closing chunk: cut after chunk 1") == 1
    assert "Chain: segment 1 is missing from the chain" in out
    assert "  Note: the last 3 chunks of segment 3 are missing: segment 4 knows of them" in out


def test_a_folder_and_a_file(bench: Bench) -> None:
    answer = bench.verify(path=bench.flash / "segments")
    assert answer.status == 0
    assert "an excerpt: nothing is said about what came before" in answer.out
    answer = bench.verify(path=bench.seg(2))
    assert answer.status == 0
    assert "one segment alone: nothing is said about the rest of its recording" in answer.out
    assert "  Note: this is part 0 of the recording, verified alone" in answer.out
    answer = bench.verify(path=bench.seg(1))
    assert answer.out.startswith("No recording.\n")


def test_one_recording(bench: Bench) -> None:
    answer = bench.verify("--recording", TWO.hex()[:2].upper())
    assert answer.out.startswith(f"Recording {TWO.hex()}")
    assert ONE.hex() not in answer.out
    assert answer.out.endswith("Verdict: authentic\n")
    one_clear_line(bench.verify("--recording", "99"), "no recording fits", ONE.hex(), TWO.hex())
    one_clear_line(bench.verify("--recording", "1"), "more than one recording fits", "--recording ID")
    one_clear_line(bench.verify("--recording", "1", path=bench.seg(1)), "no sound recording in")


@pytest.mark.parametrize("workers", ["1", "2", "7"])
def test_threads(bench: Bench, workers: str) -> None:
    assert bench.verify("--json", "--workers", workers).out == bench.verify("--json").out


def test_clear_lines(bench: Bench) -> None:
    empty = bench.folder / "empty"
    empty.mkdir()
    one_clear_line(bench.verify(path=bench.folder / "nowhere"), "there is no ", "nowhere")
    one_clear_line(bench.verify(path=empty), "holds no segment: give a store, a folder of .seg files, or one such file")
    one_clear_line(bench.verify(path=Path("/dev/null")), "neither a folder nor a regular file")
    keys = {
        "nothing": (None, "No such file"), "hollow": (b"", "not a PEM key file"), "text": (b"hi", "not a PEM key file"),
        "garbage": (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "not a PEM public key"),
        "private": (bench.key.read_bytes(), "not a PEM public key"),
        "two": (bench.device_key.read_bytes() * 2, "not one public key"),
        "large": (bytes(100_000), "not a PEM key file"),
    }  # fmt: skip
    for name, (data, says) in keys.items():
        bench.device_key = bench.folder / name
        if data is not None:
            bench.device_key.write_bytes(data)
        one_clear_line(bench.verify(), f"the device key {bench.device_key}", says)
    bench.device_key = bench.folder
    one_clear_line(bench.verify(), "Is a directory")


def test_the_key_of_another_device(bench: Bench, tmp_path: Path) -> None:
    bench.device_key = Device(tmp_path / "other", STATION).state / "device.pub"
    answer = bench.verify()
    assert answer.status == 1
    assert answer.out.splitlines()[-1] == "Verdict: not authentic"
    assert "says that it is of device" in answer.out


def test_wrong_use(bench: Bench) -> None:
    for arguments in ([], ["verify"], ["verify", bench.flash], ["nonsense"], ["verify", "--workers", "0"]):
        answer = bench.run(*arguments)
        assert answer.status == 2
        assert "Usage" in answer.err + answer.out
        assert "Traceback" not in answer.err
    assert bench.run("--help").status == 0


def test_file_names_cannot_speak(bench: Bench) -> None:
    (bench.flash / "segments" / "x\nVerdict: authentic.seg").write_bytes(b"x")
    (bench.flash / "segments" / "\x1b[2J.seg").write_bytes(b"x")
    out = bench.verify().out
    assert out.count("Verdict: ") == 2
    assert [line for line in out.splitlines() if line.startswith("Verdict")] == ["Verdict: not signed"]
    assert "\x1b" not in out
    assert "\\n" in bench.verify("--json").out


@pytest.mark.parametrize(
    ("sink", "says"), [("/dev/full", "No space left on device"), ("pipe", "Broken pipe")], ids=["full", "pipe"]
)
def test_an_output_that_is_lost_says_nothing_about_the_footage(bench: Bench, sink: str, says: str) -> None:
    """Neither 0, nor 1, which would stand for *not authentic*."""
    command = [sys.executable, "-m", "station", "verify", str(bench.flash), "--device-key", str(bench.device_key)]
    with (
        Path("/dev/null" if sink == "pipe" else sink).open("wb") as out,
        subprocess.Popen(
            command, stdout=subprocess.PIPE if sink == "pipe" else out, stderr=subprocess.PIPE, text=True
        ) as process,
    ):
        if process.stdout is not None:
            process.stdout.close()  # the reader has gone before anything is printed
        assert process.stderr is not None
        error = process.stderr.read()
        assert process.wait(60) == 2
    assert error == f"station: cannot write to standard output: {says}\n"


def test_an_interruption_is_no_verdict(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("station.evidence_commands.verify", interrupted)
    assert bench.verify().status == 130


def test_as_a_program(bench: Bench) -> None:
    command = [sys.executable, "-m", "station", "verify", str(bench.flash), "--device-key", str(bench.device_key)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, bench.verify().out, "")
    done = subprocess.run([*command[:4], "/nowhere", *command[5:]], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "station: there is no /nowhere\n")


def test_times_beyond_every_calendar() -> None:
    assert utc(0) == "1970-01-01T00:00:00.000Z"
    assert utc(-1_000_000_000) == "1969-12-31T23:59:59.000Z"
    for time_ns in (2**63 - 1, -(2**63), 2**64):
        assert utc(time_ns)
    assert utc(10**30) == f"{10**30} ns"
    assert utc(-(10**20)) == f"{-(10**20)} ns"


def test_a_clock_that_nobody_set(bench: Bench, tmp_path: Path) -> None:
    device = Device(tmp_path / "unset", STATION)
    with device.open() as store:
        stamp = Stamp(5, 0, 0, ClockSource.NONE)
        store.begin(stamp, recording=ONE, profile="x", init=INIT).close("stop", stamp)
    bench.device, bench.device_key = device, device.state / "device.pub"
    told = bench.verify("--json", "--recording", ONE.hex()).json
    assert told["recordings"][0]["clock"] == {"source": "none", "uncertainty_ms": None}
