"""``station console`` on a pseudo-terminal, with a device's own handlers at the other end."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from drivers.system.simulated import SimulatedLog
from firmware.companion_program import carried_program
from firmware.console.diagnosis import make_diagnosis
from firmware.console.place import Place
from firmware.settings import load_settings
from station.cli import app, main
from station.console_line import screen
from station.console_line.session import AwayError, Where, at_the_cable
from station.errors import StationError
from station.technicians import issue_credential
from storage.errors import KeyFileError
from tests.firmware.console.cable import Cable, Console
from tests.firmware.console.desk import ISSUED_S, Desk, lines
from tests.firmware.device import Kit
from tests.firmware.policies import UNIT
from wire.calling import Calling

CHECK = '{"check":"light","outcome":"%s","text":"sensed lit"}'
S = 1_000_000_000


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    return Kit.make(tmp_path_factory.mktemp("device") / "device")


@dataclass
class Bench:
    """A technician's table: a device at a cable, a key and a credential."""

    base: Path
    desk: Desk
    cable: Cable

    @property
    def key(self) -> Path:
        return self.base / "jan.key"

    def run(self, *arguments: str, status: int = 0, key: Path | None = None, port: str | None = None) -> str:
        given = ["--port", port or self.cable.station, "--key", str(key or self.key)]
        done = CliRunner().invoke(app, ["console", *given, *arguments])
        if isinstance(done.exception, StationError | KeyFileError):
            assert status == getattr(done.exception, "exit_status", 2), done.exception
            assert "\n" not in str(done.exception)
            return str(done.exception)
        assert done.exit_code == status, (done.output, done.exception)
        return done.stdout

    def json(self, *arguments: str, status: int = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", status=status))


def scripted(*printed: str) -> tuple[str, ...]:
    import sys

    return (sys.executable, "-c", f"print({chr(10).join(printed)!r})")


@pytest.fixture
def bench(kit: Kit, tmp_path: Path) -> Iterator[Bench]:
    (kit.base / "status.json").unlink(missing_ok=True)
    (tmp_path / "station").mkdir()
    issue_credential(tmp_path / "station", UNIT, "Jan", 300, tmp_path / "jan.key", b"", ISSUED_S)
    desk = Desk(kit, log=SimulatedLog(lines("standby", "recording\x1b[2J")), child=scripted(CHECK % "passed"))
    with Cable() as cable, Console(desk.place, make_diagnosis(desk.place, desk.tools), cable.device):
        desk.clock.set_utc((ISSUED_S + 3600) * S)
        yield Bench(tmp_path, desk, cable)


def test_status_and_its_exit_status(bench: Bench, kit: Kit) -> None:
    assert "does NOT run" in bench.run("status", status=1)
    kit.flash.mkdir(exist_ok=True)
    bench.desk.says(light={"commanded": True, "sensed": True}, battery_percent=80, charging=True, policy_serial=7)
    text = bench.run("status")
    for said in (
        "standby",
        "on, sensed lit",
        "80 %, charging",
        "serial 1 of Test unit",
        "obeys 7 still",
        "no segment yet",
    ):
        assert said in text
    assert bench.json("status")["recorder"]["state"] == "standby"
    bench.desk.says(state="fault", fault="the light is dark")
    assert "fault: the light is dark" in bench.run("status", status=1)
    assert bench.json("status", status=1)["recorder"]["fault"] == "the light is dark"


def test_at_a_terminal_it_is_a_table(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen, "at_a_terminal", lambda: True)
    assert "does NOT run" in bench.run("status", status=1)
    assert "light: sensed lit ... ok" in bench.run("self-test")


def test_a_device_without_a_unit_says_what_everybody_may_know(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "new.toml").write_text('[store]\nflash = "f"\nstate = "s"\n[hardware]\nboard = "simulated"\n')
    place = Place(load_settings(tmp_path / "new.toml"), bench.desk.clock)
    with Cable() as cable, Console(place, make_diagnosis(place, bench.desk.tools), cable.device):
        text = bench.run("status", port=cable.station, status=1)
        assert "belongs to no unit yet" in text
        assert "simulated" in text
        assert json.loads(bench.run("status", "--json", port=cable.station, status=1))["enrolled"] is False
        assert "belongs to no unit" in bench.run("shut-down", port=cable.station, status=1)


def test_checks(bench: Bench) -> None:
    text = bench.run("self-test")
    assert text.splitlines() == ["the recorder is stopped", "light: sensed lit ... ok", "all of it works"]
    assert bench.json("check-board")["passed"] is True
    assert list(bench.desk.control.told) == ["stop", "start"] * 2


def test_checks_that_fail(kit: Kit, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    values = '{"values":{"pressed":true,"light_sensed":false,"battery_mv":4000,"fix":false,"pictures_per_s":30}}'
    desk = Desk(kit, child=scripted(values, CHECK % "failed"), clock=bench.desk.clock)
    with Cable() as cable, Console(desk.place, make_diagnosis(desk.place, desk.tools), cable.device):
        text = bench.run("check-board", "--watch", "1", "--wait", "1", port=cable.station, status=1)
        assert "light DARK | button DOWN | 4000 mV | no fix yet | 30 pictures/s" in text
        assert text.splitlines()[-1] == "FAILED: light"
        bench.run("self-test", "--json", port=cable.station, status=1)
        monkeypatch.setattr(screen, "at_a_terminal", lambda: True)
        assert "light: sensed lit ... FAILED" in bench.run("check-board", port=cable.station, status=1)


UPDATE = """
import json, pathlib, time
begun, go = pathlib.Path({begun!r}), pathlib.Path({go!r})
again = begun.exists()
begun.touch()
if not again:
    print(json.dumps({{"say": "hold the record button"}}), flush=True)
    while not go.exists():
        time.sleep(0.01)
    print(json.dumps({{"percent": 35}}), flush=True)
print(json.dumps({{"running": {{"version": "1.1.0", "digest": {digest!r}, "config": "01234567", "before": again}}}}))
"""


@pytest.fixture
def updating(tmp_path: Path, bench: Bench) -> Iterator[Bench]:
    """A device whose companion's update waits for a file called ``go``."""
    import sys

    made = Kit.make(tmp_path / "companion")
    made.put_companion()
    script = UPDATE.format(begun=str(tmp_path / "begun"), go=str(tmp_path / "go"), digest=carried_program().digest)
    desk = Desk(made, child=(sys.executable, "-c", script), clock=bench.desk.clock)
    with Cable() as cable, Console(desk.place, make_diagnosis(desk.place, desk.tools), cable.device):
        yield Bench(bench.base, desk, cable)


def test_a_companions_update(updating: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    (updating.base / "go").touch()
    digest = carried_program().digest
    assert updating.run("update-companion").splitlines() == [
        "the recorder is stopped", "hold the record button", " 35 %",
        "version  1.1.0", f"digest   {digest}", "config   01234567", "as the device's firmware carries it",
    ]  # fmt: skip
    assert updating.run("update-companion").splitlines()[-1] == "as the device's firmware carries it: it ran already"
    assert updating.json("update-companion")["as_carried"] is True
    (updating.base / "begun").unlink()
    monkeypatch.setattr(screen, "at_a_terminal", lambda: True)
    assert digest in updating.run("update-companion")


def test_a_board_without_a_companion(bench: Bench) -> None:
    assert "refuses: this device's board has no companion controller" in bench.run("update-companion", status=1)
    assert not bench.desk.control.told


def test_a_cable_that_is_pulled_in_an_update_ends_the_command_and_not_the_update(
    updating: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    from station.console_line import session

    def hasty(line: Any, **more: Any) -> Calling:
        return Calling(line, **more, patience_s=1.0, again_s=0.2)

    monkeypatch.setattr(session, "Calling", hasty)
    heard = screen._plain

    def pull(fields: Any) -> None:
        heard(fields)
        if "hold" in str(fields.get("say")):
            updating.cable.cut()

    monkeypatch.setattr(screen, "_plain", pull)
    assert "does not answer" in updating.run("update-companion", status=3)
    told = updating.desk.control.told
    assert list(told) == ["stop"], "it goes on"
    (updating.base / "go").touch()
    updating.cable.mend()
    monkeypatch.setattr(session, "Calling", Calling)
    assert updating.run("update-companion").splitlines()[-1].endswith("it ran already")
    assert list(told) == ["stop", "start"] * 2


def test_which_program_the_companion_runs(updating: Bench) -> None:
    digest = carried_program().digest
    unknown = f"unknown: no recorder runs that hears it; the firmware carries {digest[:12]}"
    assert unknown in updating.run("status", status=1)
    updating.desk.kit.flash.mkdir()
    for said, shown, status in (
        ({"version": "1.1.0", "digest": digest}, f"1.1.0 ({digest[:12]}), as the firmware carries it", 0),
        (
            {"version": "1.0.0", "digest": ""},
            f"1.0.0 (no digest), and NOT {digest[:12]}, which the firmware carries",
            1,
        ),
        (None, unknown, 0),
    ):
        updating.desk.says(companion=said)
        assert shown in updating.run("status", status=status)


def test_what_is_asked_of_the_system(bench: Bench) -> None:
    assert "started anew" in bench.run("restart-recorder")
    assert bench.json("shut-down") == {"state": "switching-off"}
    assert "switches itself off" in bench.run("shut-down")
    assert list(bench.desk.control.told) == ["restart", "power-off", "power-off"]
    bench.desk.says(busy=True)
    assert "refuses: it records" in bench.run("shut-down", status=1)


def test_the_clock_is_set_by_this_machines(bench: Bench) -> None:
    import time

    assert "in step by itself" in bench.run("set-clock", status=1)
    bench.desk.clock.synchronised = False
    assert "s behind; it is 20" in bench.run("set-clock")
    (told,) = bench.desk.control.told
    assert abs(int(told.split()[1]) - time.time_ns()) < 30 * S
    assert bench.json("set-clock")["off_ms"] >= 1


def test_the_journal(bench: Bench) -> None:
    text = bench.run("journal")
    assert "getuige.service  standby" in text
    assert "\x1b" not in text
    assert [line["text"] for line in bench.json("journal", "--lines", "1")["lines"]] == [
        "recording\N{REPLACEMENT CHARACTER}[2J"
    ]


def test_a_log_is_exported_once_and_never_over_another_file(bench: Bench) -> None:
    output = bench.base / "log.jsonl.gz"
    assert "2 lines" in bench.run("export-log", "--output", str(output))
    assert len(gzip.decompress(output.read_bytes()).splitlines()) == 2
    assert output.stat().st_mode & 0o777 == 0o600
    assert "exists already" in bench.run("export-log", "--output", str(output), status=2)
    assert "is a folder" in bench.run("export-log", "--output", str(bench.base), status=2)
    assert bench.json("export-log", "--output", str(bench.base / "b.gz"))["lines"] == 2


def test_an_export_goes_on_after_the_cable_was_pulled(kit: Kit, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    from station.console_line import session

    monkeypatch.setattr(session, "Calling", lambda line, **more: Calling(line, **more, patience_s=1.0, again_s=0.2))
    desk = Desk(kit, log=SimulatedLog(lines(*(os.urandom(200).hex() for _ in range(300)))), clock=bench.desk.clock)
    output = bench.base / "long.gz"
    with Cable(cut_after=30_000) as cable, Console(desk.place, make_diagnosis(desk.place, desk.tools), cable.device):
        text = bench.run("export-log", "--output", str(output), port=cable.station, status=3)
        assert "the same command goes on from there" in text
        part = output.with_name("long.gz.part")
        assert part.exists()
        cable.mend()
        before = cable.passed
        assert "300 lines" in bench.run("export-log", "--output", str(output), port=cable.station)
        assert cable.passed - before < output.stat().st_size * 1.5
        assert not part.exists()
    assert len(gzip.decompress(output.read_bytes()).splitlines()) == 300


def test_who_may_not_ask_is_told_why(bench: Bench) -> None:
    assert "cannot open" in bench.run("status", port=str(bench.base / "none"), status=3)
    assert "cannot read the credential" in bench.run("status", key=bench.base / "none.key", status=2)
    other = bench.base / "piet.key"
    issue_credential(bench.base / "station", UNIT, "Piet", 300, other, b"", ISSUED_S)
    credential = str(bench.base / "jan.credential")
    assert "for another key" in bench.run("--credential", credential, "status", key=other, status=2)
    assert "does NOT run" in bench.run("--credential", credential, "status", status=1)
    issue_credential(bench.base / "station", UNIT, "Oud", 1, bench.base / "oud.key", b"", ISSUED_S - 10 * 24 * 3600)
    assert "is over" in bench.run("status", key=bench.base / "oud.key", status=1)
    issue_credential(bench.base / "station", UNIT, "Wim", 300, bench.base / "wim.key", b"sesame", ISSUED_S)
    (bench.base / "phrase").touch(mode=0o600)
    (bench.base / "phrase").write_text("sesame\n")
    phrase = str(bench.base / "phrase")
    assert "does NOT run" in bench.run("--passphrase-file", phrase, "status", key=bench.base / "wim.key", status=1)


def test_the_program_ends_with_the_errors_own_status(capsys: pytest.CaptureFixture[str]) -> None:
    def away() -> None:
        raise AwayError("gone")

    assert main(away) == 3
    assert capsys.readouterr().err == "station: gone\n"


def test_a_session_knows_whom_it_asks(bench: Bench) -> None:
    where = Where(Path(bench.cable.station), bench.key, None, lambda _what: b"")
    with at_the_cable(where) as session:
        assert session.enrolled
        assert session.greeting["board"] == "board"
