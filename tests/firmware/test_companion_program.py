"""Which program the companion runs: the command, the self-test's check, and what goes on record."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from drivers.companion.lines import Greeting
from drivers.companion_program.protocol import Controller, Running
from drivers.companion_program.simulated import SimulatedController
from drivers.errors import DriverError
from firmware.board import Board, find_board
from firmware.companion_command import companion
from firmware.companion_program import ProgramCheck, ProgramLog, carried_program, compare
from firmware.errors import FirmwareError
from firmware.patience import Patience
from firmware.selftest import Outcome, SelfTest
from tests.firmware.device import Kit, python

CARRIED = carried_program()
OLD = Running("1.0.0", None, None, None, trial=False)


def greeting(version: str = CARRIED.version, digest: str | None = CARRIED.digest) -> Greeting:
    return Greeting(1, version, "118BBDEA", "power", 430, 0, True, digest, "01234567")


class Bench:
    def __init__(self, running: Running = OLD) -> None:
        self.controller = SimulatedController(running)
        self.opened: list[tuple[str, int]] = []
        self.out = io.StringIO()

    def run(self, act: str, *, board: Board | None = None, port: str | None = None, config: Path | None = None) -> int:
        def open_line(path: str, baud: int) -> AbstractContextManager[Controller]:
            self.opened.append((path, baud))
            return self._open()

        return companion(act, board or find_board("zero2w"), port, config, self.out, open_line=open_line)

    @contextmanager
    def _open(self) -> Iterator[Controller]:
        yield self.controller


def test_status_of_another_program_and_what_to_do() -> None:
    bench = Bench()
    assert bench.run("status") == 1
    assert bench.opened == [("/dev/serial0", 115_200)]
    said = bench.out.getvalue()
    assert "version  1.0.0" in said
    assert f"carries {CARRIED.version} ({CARRIED.digest[:12]})" in said
    assert "put this firmware's on it: station console update-companion, or firmware companion update" in said


def test_update_and_once_more() -> None:
    bench = Bench()
    assert bench.run("update", port="/dev/ttyAMA9") == 0
    assert bench.opened == [("/dev/ttyAMA9", 115_200)]
    said = bench.out.getvalue()
    assert "hold the record button" in said
    assert "  0 %\n100 %\n" in said
    assert f"digest   {CARRIED.digest}" in said
    assert said.endswith("as this firmware carries it\n")
    assert bench.run("status") == 0


def test_a_program_on_trial_is_not_as_it_should_be() -> None:
    bench = Bench(Running(CARRIED.version, CARRIED.digest, "01234567", "b", trial=True))
    assert bench.run("status") == 1
    assert "folder   b (on trial)" in bench.out.getvalue()
    assert "gives way to the one before" in bench.out.getvalue()


def test_a_failure_is_the_drivers_line() -> None:
    bench = Bench()
    bench.controller.failure = "companion: no answer"
    with pytest.raises(DriverError, match="companion: no answer"):
        bench.run("update")


@pytest.mark.parametrize(
    ("act", "more", "means"),
    [
        ("status", {"board": find_board("pi4")}, "this board has none"),
        ("update", {"config": Path("config.py")}, "--config is for install only"),
        ("install", {}, "which USB port"),
        (
            "install",
            {"port": "/dev/ttyACM0", "config": Path("/nowhere/config.py")},
            "/nowhere/config.py cannot be read",
        ),
    ],
)
def test_what_cannot_be_done(act: str, more: dict[str, Any], means: str) -> None:
    with pytest.raises(FirmwareError, match=means):
        Bench().run(act, **more)


def test_installing_says_what_to_do_next(tmp_path: Path) -> None:
    class Prompt:
        def __enter__(self) -> Prompt:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def install(self, program: object, starter: dict[str, bytes], progress: Any, *, config: bool) -> None:
            assert (starter["config.py"], config) == (b"mine", True)
            progress(1, 1)

    (tmp_path / "config.py").write_bytes(b"mine")
    out = io.StringIO()
    made: list[str] = []

    def open_usb(port: str) -> Any:
        made.append(port)
        return Prompt()

    done = companion("install", find_board("pi4"), "/dev/ttyACM0", tmp_path / "config.py", out, open_usb=open_usb)
    assert (done, made) == (0, ["/dev/ttyACM0"])
    assert "take the service jumper out" in out.getvalue()


def test_the_command_as_a_process(tmp_path: Path) -> None:
    kit = Kit.make(tmp_path)
    done = python("firmware", "companion", "status", "--settings", str(kit.settings), "--port", str(tmp_path / "none"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("firmware: companion: ")
    assert len(done.stderr.splitlines()) == 1
    assert "stop the recorder first" in done.stderr


class Hurried(Patience):
    """Waits no longer than a moment."""

    def until(self, condition: Any, within_s: float) -> bool:
        return super().until(condition, min(within_s, 0.02))


@pytest.mark.parametrize(
    ("said", "outcome", "text"),
    [
        (greeting(), Outcome.PASSED, "as this firmware carries it"),
        (greeting("1.0.0", None), Outcome.FAILED, "too old to say its digest"),
        (greeting(digest="0" * 64), Outcome.FAILED, "put this firmware's on it: station console update-companion"),
        (None, Outcome.FAILED, "it said nothing for 2 s"),
    ],
)
def test_the_check_tells_what_runs(said: Greeting | None, outcome: Outcome, text: str) -> None:
    check = ProgramCheck(lambda: said, carried_program)
    (result,) = SelfTest([check], patience=Hurried).run().results
    assert (result.name, result.outcome) == ("companion", outcome)
    assert text in result.text
    assert len(result.text) < 200, "it goes on record whole"


def test_a_firmware_that_carries_none(tmp_path: Path) -> None:
    (result,) = SelfTest([ProgramCheck(greeting, lambda: carried_program(tmp_path))]).run().results
    assert result.outcome is Outcome.FAILED
    assert "is missing" in result.text
    assert compare("1.1.0", CARRIED.digest, CARRIED) == ""


def test_on_record_at_the_start_and_when_it_is_another(tmp_path: Path) -> None:
    noted: list[dict[str, object]] = []

    def note(name: str, **details: object) -> None:
        assert name == "companion-program"
        noted.append(details)

    log = ProgramLog(note, carried_program)
    log.look(None)
    assert noted == []
    for said in (greeting(), greeting(), greeting("1.0.0", None), greeting()):
        log.look(said)
    assert [(item["version"], item["digest"]) for item in noted] == [
        (CARRIED.version, CARRIED.digest), ("1.0.0", None), (CARRIED.version, CARRIED.digest),
    ]  # fmt: skip
    assert {item["carried"] for item in noted} == {CARRIED.digest}
    assert noted[0]["config"] == "01234567"
    ProgramLog(note, lambda: carried_program(tmp_path)).look(greeting())
    assert noted[-1]["carried"] is None
