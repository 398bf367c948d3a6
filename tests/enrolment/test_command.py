"""``station enrol`` as it is typed: real ports, real processes, and a dock that takes who was enrolled and no other."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
from serial.tools import list_ports
from typer.testing import CliRunner, Result

from firmware.console.handlers import make_handlers
from firmware.states import State
from station.cli import app
from station.enrolment.command import Times, enrol_at
from station.enrolment.conversation import Outcome
from station.enrolment.ending import Ending, SerialsFile
from station.enrolment.ports import usb_ports
from station.enrolment.tray import Tray
from station.errors import StationError
from storage.errors import KeyFileError
from storage.keyring_file import is_enrolled
from tests.enrolment.bench import Bench, Camera, bench
from tests.enrolment.test_recorder import running
from tests.firmware.console.cable import Cable, Console
from tests.firmware.device import ROOT
from tools.live import free_port
from tools.mock_pins import BOARD


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("bench"), people=True) as made:
        yield made


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path, people=True) as made:
        yield made


def enrol(own: Bench, *arguments: str, who: str = "T1") -> Result:
    common = ["--station", str(own.station), "--as", who, "--password-file", str(own.folder.password), "--wait", "0"]
    return CliRunner().invoke(app, ["enrol", *common, *arguments])


def plugged(stack: ExitStack, camera: Camera) -> str:
    """Plug a device in; return the station's port."""
    cable = stack.enter_context(Cable())
    stack.enter_context(Console(camera.place, make_handlers(camera.place), cable.device))
    return cable.station


def test_from_a_fresh_card_to_the_dock_and_out_again(own: Bench, tmp_path: Path) -> None:
    """Two programs at either end of a cable; then the recorder, and a dock that looks at the certificate."""
    port = free_port()
    camera = Camera(tmp_path / "camera")
    (camera.base / "board.toml").write_text(BOARD, "utf-8")
    with camera.settings_file.open("a") as file:
        file.write(f'[dock]\naddress = "127.0.0.1"\nport = {port}\nannounce = false\n')
    with Cable() as cable:
        console = subprocess.Popen(
            [sys.executable, "-m", "firmware", "console", "--settings", str(camera.settings_file), "--port",
             cable.device],
            cwd=ROOT, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            first = subprocess.run(
                [sys.executable, "-m", "station", "enrol", "--port", cable.station, "--name", "camera 7", "--station",
                 str(own.station), "--as", "T1", "--password-file", str(own.folder.password)],
                cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
            )  # fmt: skip
            again = enrol(own, "--port", cable.station, "--json")
        finally:
            console.send_signal(signal.SIGTERM)
            assert console.wait(20) == 0
    found = json.loads(again.stdout)
    assert first.stderr == ""
    assert first.stdout == f"camera 7: enrolled; device {found['device']}, serial {camera.serial}\n"
    assert (found["outcome"], found["name"]) == ("already enrolled", "camera 7")
    bay = ["dock", "--once", "--bay", f"1=127.0.0.1:{port}"]
    with running(camera) as device:
        device.states.until(State.STANDBY)
        device.device.hardware.dock.put(True)  # type: ignore[attr-defined]
        device.states.until(State.DOCKED)
        _wait(lambda: device.device.docking.port > 0)
        assert f"bay 1: done  {found['device'][:16]}" in own.folder.run(*bay)
        own.folder.run("device", "revoke", found["device"], "--reason", "stolen", who="T1")
        assert "revoked: stolen" in own.folder.run(*bay, status=1)


def _wait(done: object) -> None:
    over = threading.Event()
    for _ in range(2000):
        if done():  # type: ignore[operator]
            return
        over.wait(0.01)
    raise AssertionError


def test_it_says_how_it_ended_to_people_and_to_programs(own: Bench, tmp_path: Path) -> None:
    camera = Camera(tmp_path / "camera")
    camera.clock.set_utc(10**9)
    camera.clock.synchronised = False
    own.sign_policy()
    with ExitStack() as stack:
        port = plugged(stack, camera)
        labels = tmp_path / "labels"
        done = enrol(own, "--port", port, "--labels", str(labels))
        assert done.exit_code == 0, done.output
        first, second = done.stdout.splitlines()
        assert first.startswith("camera abcdef01: enrolled; device ")
        assert "its clock is" in second
        assert "behind this station's: set it at the console" in second
        assert sorted(path.suffix for path in labels.iterdir()) == [".pdf", ".svg"]
        again = ["--again", "--unit-key", str(tmp_path / "unit.key"), "--reason", "new screen"]
        done = enrol(own, "--port", port, *again, "--json")
        assert done.exit_code == 0, done.output
        found = json.loads(done.stdout)
        assert found["outcome"] == "enrolled again"
        assert found["replaces"]
        assert found["left_segments"] == 0
        done = enrol(own, "--port", port, *again, "--keep-identity", "--json")
        assert json.loads(done.stdout)["outcome"] == "renewed"
        own.office.devices.revoke("T1", found["device"], "stolen")
        done = enrol(own, "--port", port)
        assert done.exit_code == 1
        assert done.stderr.startswith(f"{port}: refused: device {found['device']} is revoked: stolen")
    # A port that is gone; the number of a pseudo-terminal may be another test's by now.
    done = enrol(own, "--port", str(tmp_path / "gone"), "--json")
    assert done.exit_code == 3
    assert json.loads(done.stdout)["outcome"] == "unfinished"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "name a --port, or say --watch"),
        (["--port", "x", "--watch"], "name a --port, or say --watch"),
        (["--watch", "--again", "--reason", "x"], "for one device"),
        (["--port", "x", "--again"], "--again needs --reason"),
        (["--port", "x", "--again", "--reason", "a\nb"], "--again needs --reason"),
        (["--port", "x", "--again", "--reason", "x", "--unit-key", "none"], "cannot read the unit's private key"),
        (["--port", "x", "--name", "x" * 80], "a device's name has up to"),
        (["--port", "x", "--unit", "none"], "cannot read the unit's key"),
        (["--port", "x", "--policy", "none"], "cannot read the policy"),
        (["--watch", "--usb", "x"], "is no USB id"),
    ],
)
def test_what_cannot_be_is_told_before_a_port_is_opened(shared: Bench, arguments: list[str], says: str) -> None:
    done = enrol(shared, *arguments)
    assert isinstance(done.exception, StationError | KeyFileError)
    assert says in str(done.exception)


def test_devices_are_a_technicians(shared: Bench) -> None:
    assert "technician's" in str(enrol(shared, "--port", "x", who="P1").exception)


def test_a_whole_tray_is_enrolled_as_it_is_plugged_in(own: Bench, tmp_path: Path) -> None:
    cameras = [Camera(tmp_path / f"camera{number}", serial=f"=serial{number}") for number in range(3)]
    ports, serials = tmp_path / "ports", tmp_path / "serials.csv"
    ports.mkdir()
    with ExitStack() as stack:
        for number, camera in enumerate(cameras):
            (ports / f"tty{number}").symlink_to(plugged(stack, camera))
        done = enrol(
            own, "--watch", "--port-glob", str(ports / "tty*"), "--count", "3", "--serials", str(serials), "--name",
            "camera {n}", "--labels", str(tmp_path / "labels"),
        )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == "3 devices enrolled, 0 refused"
    with serials.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["name"] for row in rows) == ["camera 1", "camera 2", "camera 3"]
    assert sorted(row["serial"] for row in rows) == ["'=serial0", "'=serial1", "'=serial2"]
    assert {row["result"] for row in rows} == {"enrolled"}
    assert set(own.registered()) == {row["device"] for row in rows}
    assert all(is_enrolled(camera.state) for camera in cameras)
    assert len(list((tmp_path / "labels").glob("*.pdf"))) == 3
    made = CliRunner().invoke(app, ["label", "--csv", str(serials), "--output", str(tmp_path / "all.pdf")])
    assert len(made.stdout.splitlines()) == 4


def test_one_that_is_pulled_in_the_middle_is_tried_again_when_it_is_back(own: Bench, tmp_path: Path) -> None:
    camera, told = Camera(tmp_path / "camera"), []
    desk = own.desk("camera {n}")
    with Cable(cut_after=4000) as cable, Console(camera.place, make_handlers(camera.place), cable.device):

        def report(ending: Ending) -> None:
            told.append(ending.result or ending.fields["outcome"])
            cable.mend()

        times = Times(0.0, 0.5)
        tray = Tray(lambda: {cable.station}, lambda port: enrol_at(port, desk, times), report, count=1, again_s=0.01,
                    look_s=0.01)  # fmt: skip
        tray.run()
    assert told == ["unfinished", "enrolled"]
    assert list(own.registered()) == list(tray.enrolled)


def ending(port: str, result: str = "refused") -> Ending:
    return Ending(port, None, "why \x1b[2J", result)


def test_a_refused_port_is_left_alone_until_it_comes_again() -> None:
    looks = iter([{"a"}, {"a"}, {"a"}, set(), {"a"}, {"a"}])
    asked: list[str] = []

    def enrols(port: str) -> Ending:
        asked.append(port)
        return ending(port)

    reported: list[Ending] = []

    def report(found: Ending) -> None:
        reported.append(found)

    def ports() -> set[str]:
        for thread in threading.enumerate():
            if thread.name.startswith("tray-"):
                thread.join(5)
        try:
            return next(looks)
        except StopIteration:
            tray.stop()
            return set()

    tray = Tray(ports, enrols, report, look_s=0.001)
    tray.run()
    assert asked == ["a", "a"]
    assert tray.refused == 2
    assert reported[0].lines == ["a: refused: why �[2J"]


def test_what_cannot_be_written_down_ends_the_tray(tmp_path: Path) -> None:
    file = SerialsFile(tmp_path / "none" / "serials.csv")
    tray = Tray(lambda: {"a"}, ending, lambda found: file.add(found, 0), look_s=0.001)
    with pytest.raises(StationError, match="cannot write"):
        tray.run()


def test_a_refusal_stands_in_the_list_too(tmp_path: Path) -> None:
    file = SerialsFile(tmp_path / "serials.csv")
    file.add(ending("a"), 0)
    file.add(ending("b", "unfinished"), 0)
    assert (tmp_path / "serials.csv").read_bytes().decode() == (
        "utc,port,serial,device,fingerprint,name,result\r\n"
        "1970-01-01T00:00:00Z,a,,,,,refused: why �[2J\r\n"
        "1970-01-01T00:00:00Z,b,,,,,unfinished: why �[2J\r\n"
    )


def test_ports_are_known_by_their_usb_id(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [SimpleNamespace(device=f"/dev/ttyACM{number}", vid=vid, pid=0x0104) for number, vid in
             enumerate((0x1D6B, 0x1234, None))]  # fmt: skip
    monkeypatch.setattr(list_ports, "comports", lambda: found)
    assert usb_ports("1d6b:0104")() == {"/dev/ttyACM0"}


def test_a_port_that_comes_late_is_waited_for(own: Bench, tmp_path: Path) -> None:
    camera, path = Camera(tmp_path / "camera"), tmp_path / "tty"
    with ExitStack() as stack:

        def plug(_seconds: float) -> None:
            path.symlink_to(plugged(stack, camera))

        done = enrol_at(str(path), own.desk(), Times(60.0), pause=plug)
    assert done.ended is not None
    assert done.ended.outcome is Outcome.ENROLLED
