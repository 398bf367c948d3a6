"""``update-companion`` at the console: the recorder gives way, the child says how far it is, one line says why not."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from drivers.companion_program.protocol import Controller, Running
from drivers.companion_program.simulated import SimulatedController
from firmware.board import Board, find_board
from firmware.companion_program import carried_program
from firmware.console import companion
from firmware.console.companion import UpdateCompanion
from firmware.console.companion_child import update_companion
from tests.firmware.console.desk import Desk
from tests.firmware.device import Kit, python
from wire.answering import Asked
from wire.errors import RefusedError
from wire.messages import Ask

CARRIED = carried_program()
NEW = {"version": CARRIED.version, "digest": CARRIED.digest, "config": "01234567", "before": False}
HOLD = "hold the record button, until the sending begins (about 5 s)"


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    return Kit.make(tmp_path_factory.mktemp("bare") / "device")


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    made = Kit.make(tmp_path_factory.mktemp("device") / "device")
    made.put_companion()
    return made


def saying(*said: Mapping[str, Any], then: str = "") -> tuple[str, ...]:
    """A child that says so."""
    lines = "".join(json.dumps(fields) + "\n" for fields in said)
    return (sys.executable, "-c", f"print({lines!r}, end='', flush=True)\n{then}")


def test_it_is_told_while_it_runs_and_the_recorder_gives_way(kit: Kit) -> None:
    desk = Desk(kit, child=saying({"say": HOLD}, {"percent": 0}, {"percent": 100}, {"running": NEW}))
    found = desk.ask("update-companion").fields
    assert found == {**NEW, "carried": CARRIED.digest, "as_carried": True}
    assert list(desk.control.told) == ["stop", "start"]
    told = [fields for fields in desk.pair.told if fields]
    assert told == [{"say": "the recorder is stopped"}, {"say": HOLD}, {"percent": 0}, {"percent": 100}]
    acts = [json.loads(path.read_bytes()) for path in (kit.base / "state" / "technician").glob("*.act")]
    assert [(act["who"], act["act"]) for act in acts] == [("Jan", "update-companion")]


def test_another_program_than_the_carried_is_not_what_was_asked_for(kit: Kit) -> None:
    odd = {"running": {"version": "\x1b[2J" * 99, "digest": "0" * 64, "more": [1]}}
    found = (
        Desk(kit, child=saying(odd, {"percent": 10**9}, {"percent": "x"}, {"odd": 1})).ask("update-companion").fields
    )
    assert (found["as_carried"], found["before"], len(found["version"])) == (False, False, 64)
    assert found["version"].isprintable()


@pytest.mark.parametrize(
    ("child", "says"),
    [
        (saying({"trouble": "companion: nobody held the record button"}), "failed: companion: nobody held"),
        (saying({"check": "checks", "text": "cannot read the settings"}), "failed: cannot read the settings"),
        (saying(), "failed: the update did not say what runs now"),
        (saying({"percent": 5}, then="raise SystemExit(3)"), "the update broke off (status 3)"),
        (saying({"percent": 5}, then="import time; time.sleep(60)"), "the update took longer than 0.5 s"),
    ],
)
def test_what_goes_wrong_is_one_line_and_the_recorder_runs_again(kit: Kit, child: tuple[str, ...], says: str) -> None:
    desk = Desk(kit, child=child, limit_s=0.5 if "longer" in says else 60.0)
    refused = desk.refused("update-companion")
    assert says in refused
    assert refused.isprintable()
    assert list(desk.control.told) == ["stop", "start"]


def test_where_there_is_nothing_to_update_nothing_is_stopped(bare: Kit) -> None:
    desk = Desk(bare)
    desk.says(busy=True)
    assert desk.refused("update-companion").startswith("no-companion: this device's board has no companion controller")
    assert not desk.control.told
    assert desk.ask("status").fields["companion"] is None


def test_while_something_is_recorded_nothing_is_stopped(kit: Kit) -> None:
    desk = Desk(kit)
    desk.says(busy=True)
    assert desk.refused("update-companion").startswith("recording: it records")
    assert not desk.control.told
    (kit.base / "status.json").unlink()


def test_a_firmware_that_carries_none_stops_nothing(kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(kit)
    asked = Asked(Ask(bytes(8), 1, "update-companion", {}), bytes(32), b"", lambda _fields: None)
    with pytest.raises(Exception, match="is missing"):
        UpdateCompanion(desk.tools, lambda: carried_program(tmp_path)).handle(asked)
    assert not desk.control.told
    monkeypatch.setattr(companion, "carried_program", lambda: carried_program(tmp_path))
    assert "is missing" in desk.ask("status").fields["companion"]["trouble"]


def test_status_says_which_program_runs(kit: Kit) -> None:
    desk = Desk(kit)
    unknown = desk.ask("status").fields["companion"]
    assert (unknown["version"], unknown["carried"], unknown["as_carried"]) == ("", CARRIED.digest, False)
    desk.says(companion={"version": "1.0.0", "digest": "", "config": ""})
    assert desk.ask("status").fields["companion"]["version"] == "1.0.0"
    desk.says(companion={"version": CARRIED.version, "digest": CARRIED.digest, "config": "01234567"})
    assert desk.ask("status").fields["companion"]["as_carried"] is True
    desk.says(companion="odd")
    assert desk.ask("status").fields["companion"]["version"] == ""
    (kit.base / "status.json").unlink()


class Child:
    """The child's own work, on a simulated controller."""

    def __init__(self, running: Running) -> None:
        self.controller = SimulatedController(running)
        self.said: list[Mapping[str, Any]] = []
        self.opened: list[tuple[str, int]] = []

    def run(self, board: Board | None = None) -> list[Mapping[str, Any]]:
        def open_line(port: str, baud: int) -> AbstractContextManager[Controller]:
            self.opened.append((port, baud))
            return self._open()

        self.said.clear()
        update_companion(board or find_board("zero2w"), self.said.append, open_line=open_line)
        return self.said

    @contextmanager
    def _open(self) -> Iterator[Controller]:
        yield self.controller


def test_the_child_updates_and_once_more_says_that_it_ran_already() -> None:
    child = Child(Running("1.0.0", None, "01234567", None, trial=False))
    goes, *rest = child.run()
    assert goes == {"say": f"it runs 1.0.0; {CARRIED.version} ({CARRIED.digest[:12]}) goes on it"}
    assert rest == [{"say": HOLD}, {"percent": 0}, {"percent": 100}, {"running": NEW}]
    assert child.opened == [("/dev/serial0", 115_200)]
    assert child.run() == [{"running": {**NEW, "before": True}}]


def test_the_childs_failures_are_said() -> None:
    child = Child(Running("1.0.0", "ab" * 32, None, "a", trial=False))
    child.controller.failure = "companion:\nno answer"
    goes, trouble = child.run()
    assert "it runs 1.0.0 (abababababab)" in goes["say"]
    assert trouble == {"trouble": "companion: no answer"}
    assert child.run(find_board("pi4")) == [{"trouble": "the board pi4 has no companion controller"}]


def test_the_child_as_a_process_without_a_controller(kit: Kit, tmp_path: Path) -> None:
    board = kit.board.read_text("utf-8")
    kit.board.write_text(board.replace("/dev/serial0", "/dev/no-such-port"), "utf-8")
    try:
        done = python("firmware.console.child", str(kit.settings), "update-companion")
    finally:
        kit.board.write_text(board, "utf-8")
    assert done.returncode == 0, done.stderr
    (said,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert "companion: /dev/no-such-port cannot be opened" in said["trouble"]


def test_a_technician_of_no_unit_stops_nothing(kit: Kit) -> None:
    desk = Desk(kit)
    with pytest.raises(RefusedError, match="needs a technician's signature"):
        desk.pair.calling().call("update-companion")
    assert not desk.control.told
