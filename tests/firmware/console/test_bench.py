"""Checks that need the parts: the recorder is stopped and started again, whatever becomes of the checks."""

from __future__ import annotations

import fcntl
import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from firmware.console import child
from firmware.console.bench import BenchError
from tests.firmware.console.desk import Desk
from tests.firmware.device import Kit, python

PASSED = 'print(\'{"check":"light","outcome":"passed","text":"lit"}\', flush=True)\n'


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    return Kit.make(tmp_path_factory.mktemp("device") / "device")


@pytest.fixture
def mark(kit: Kit) -> Iterator[Path]:
    path = kit.base / "state" / "recorder.stopped"
    yield path
    path.unlink(missing_ok=True)


def desk(kit: Kit, script: str, limit_s: float = 60.0) -> Desk:
    return Desk(kit, limit_s=limit_s, child=(sys.executable, "-c", script))


def test_the_self_test_runs_without_the_recorder(kit: Kit, mark: Path) -> None:
    made = Desk(kit)
    answer = made.ask("self-test").fields
    assert answer["passed"] is True, answer
    assert {item["check"] for item in answer["checks"]} >= {"light", "keys", "policy", "flash", "camera"}
    assert list(made.control.told) == ["stop", "start"]
    assert not mark.exists()
    told = [fields["check"] for fields in made.pair.told if "check" in fields]
    assert told == [item["check"] for item in answer["checks"]], "each is told as it comes"


def test_a_check_that_fails_is_an_answer_and_not_an_error(kit: Kit) -> None:
    failed = PASSED.replace("passed", "failed")
    assert desk(kit, PASSED + failed).ask("self-test").fields["passed"] is False
    assert desk(kit, "").ask("self-test").fields["passed"] is False, "no check is no passed test"


def test_live_values_are_told_and_bounded(kit: Kit) -> None:
    script = (
        "import json\n"
        "print(json.dumps({'say': 'press it\\x1b[2J'}))\n"
        "print(json.dumps({'values': {'pressed': True, 'mv': 4000, 'x': [1], 'y': 2**60, 'n': None}}))\n"
        "for n in range(100): print(json.dumps({'check': 'c' * 99, 'outcome': 'odd', 'text': 'x' * 3000}))\n"
    )
    made = desk(kit, script)
    answer = made.ask("check-board", wait_s=1, watch_s=1).fields
    assert answer["values"] == {"pressed": True, "mv": 4000, "n": None}
    assert len(answer["checks"]) == 24
    assert {item["outcome"] for item in answer["checks"]} == {"failed"}
    assert all(len(item["text"]) <= 200 for item in answer["checks"])
    said = [str(fields["say"]) for fields in made.pair.told if "say" in fields]
    assert said[1].startswith("press it")
    assert said[1].isprintable()


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("raise SystemExit(3)", "status 3"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "status -11"),
        ("print('no json', flush=True)", "nonsense"),
        ("print('[' * 3000, flush=True)", "nonsense"),
        ("print('x' * 100000, flush=True)", "too much at once"),
        ("import time; time.sleep(60)", "took longer than 0.5 s"),
        ("import os, time; os.close(1); time.sleep(60)", "did not end"),
    ],
)
def test_checks_that_go_wrong_leave_a_recorder_that_runs(kit: Kit, mark: Path, script: str, says: str) -> None:
    made = desk(kit, PASSED + script, 0.5 if "longer" in says else 60.0)
    assert says in made.refused("self-test")
    assert list(made.control.told) == ["stop", "start"]
    assert not mark.exists()


def test_a_console_that_is_told_to_end_ends_the_checks(kit: Kit) -> None:
    made = desk(kit, "import time; time.sleep(60)")
    threading.Timer(0.2, made.stop.set).start()
    assert "told to end" in made.refused("self-test")
    assert list(made.control.told) == ["stop", "start"]


def test_a_recorder_that_does_not_stop_is_not_checked_around(kit: Kit) -> None:
    made = desk(kit, PASSED)
    made.control.refusals["stop"] = "the system does not stop getuige.service: Access denied"
    assert "Access denied" in made.refused("self-test")
    assert list(made.control.told) == ["start"], "it may have ended all the same"


def test_a_recorder_that_does_not_start_is_told_and_started_by_the_next_console(
    kit: Kit, mark: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = desk(kit, PASSED)
    made.control.refusals["start"] = "busy"
    assert "does not start again: busy; restart the device" in made.refused("self-test")
    assert mark.exists()
    made.bench.make_good()
    assert "does not start again" in caplog.text
    later = Desk(kit)
    later.bench.make_good()
    assert list(later.control.told) == ["start"]
    assert not mark.exists()
    later.bench.make_good()
    assert len(later.control.told) == 1


def test_a_start_that_fails_once_is_tried_again(kit: Kit, mark: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = desk(kit, PASSED)
    made.control.refusals["start"] = "busy"
    monkeypatch.setattr("time.sleep", lambda _s: made.control.refusals.clear())
    with made.bench.without_recorder():
        assert mark.exists(), "a console that is killed now starts it when it comes back"
    assert list(made.control.told) == ["stop", "start"]


def test_a_recorder_that_takes_its_time_to_end_and_to_start_is_no_silence(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = desk(kit, PASSED)
    monkeypatch.setattr("firmware.console.bench._TELL_S", 0.01)
    said = threading.Semaphore(0)

    def slowly() -> None:
        for _ in range(3):
            assert said.acquire(timeout=20)

    monkeypatch.setattr(made.control, "stop_recorder", slowly)
    monkeypatch.setattr(made.control, "start_recorder", slowly)
    with made.bench.without_recorder(said.release):
        assert "console-alive" not in {thread.name for thread in threading.enumerate()}, "the line is this one's again"
    assert "console-alive" not in {thread.name for thread in threading.enumerate()}


def test_without_a_system_only_a_device_without_a_recorder_is_checked(kit: Kit) -> None:
    made = Desk(kit, present=False, child=(sys.executable, "-c", PASSED))
    assert made.ask("self-test").fields["passed"] is True
    with recorder(kit):
        assert made.refused("self-test").startswith("recorder-runs")


def test_while_something_is_recorded_nothing_is_stopped(kit: Kit) -> None:
    made = desk(kit, PASSED)
    made.says(busy=True)
    for verb, fields in (("self-test", {}), ("check-board", {"wait_s": 1, "watch_s": 0})):
        assert made.refused(verb, **fields).startswith("recording")
    assert not made.control.told
    (kit.base / "status.json").unlink()


def test_a_card_that_takes_no_note_keeps_no_check_from_being_made(
    kit: Kit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = desk(kit, PASSED)

    def refuse(*_arguments: object, **_more: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "touch", refuse)
    assert made.ask("self-test").fields["passed"] is True
    assert "cannot be noted: Read-only file system" in caplog.text


def test_the_companion_is_kept_awake_while_parts_are_checked() -> None:
    refreshed = threading.Event()

    class Link:
        def refresh(self) -> None:
            refreshed.set()

    class Board:
        link: Link | None = None

    board: Any = Board()
    with child._Heartbeat(board):
        board.link = Link()  # made with the first part that needs it
        assert refreshed.wait(20)


def test_checks_that_cannot_be_made_are_a_failed_check(kit: Kit) -> None:
    done = python("firmware.console.child", str(kit.base / "none.toml"), "self-test")
    assert done.returncode == 0
    (found,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (found["outcome"], "cannot read the settings" in found["text"]) == ("failed", True)


def test_a_bench_error_is_one_line(kit: Kit) -> None:
    with pytest.raises(BenchError) as caught:
        desk(kit, "print(1)").bench.run(["self-test"], lambda _fields: None, lambda: None)
    assert "\n" not in str(caught.value)


@contextmanager
def recorder(kit: Kit) -> Iterator[None]:
    """Hold the store as a recorder does."""
    kit.flash.mkdir(exist_ok=True)
    fd = os.open(kit.flash, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
