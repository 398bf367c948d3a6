"""A new program over the line: the Pi's own driver, the controller's own program, its real file system."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.companion_program.bundle import Program, make_program
from drivers.companion_program.line import CompanionLine
from tests.companion.flash import carried
from tests.companion.workbench import CAMERA_PIN, Bench

QUICK = ("UPDATE_HOLD_MS = 300",)


def newer(**changed: bytes) -> Program:
    """The release's program as a later one, with files changed (a name without its ``.py``)."""
    files = dict(carried().files)
    files["session.py"] = files["session.py"].replace(b'VERSION = "1.1.0"', b'VERSION = "1.2.0"')
    return make_program(files | {f"{name}.py": data for name, data in changed.items()})


class Technician:
    """Holds the button when told to, and keeps what was shown."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.told: list[str] = []
        self.progress: list[tuple[int, int]] = []

    def say(self, text: str) -> None:
        self.told.append(text)
        self._bench.press()

    def update(self, program: Program) -> None:
        with CompanionLine(self._bench.port, answer_s=0.5, hold_s=5, restart_s=5) as line:
            line.update(program, lambda sent, whole: self.progress.append((sent, whole)), self.say)
        self._bench.release()


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path, config=QUICK) as made:
        made.watch()
        yield made


def never_powered(bench: Bench) -> bool:
    return not any(event.value for event in bench.pin_events if event.pin == CAMERA_PIN)


def test_a_new_program_is_sent_started_and_kept(quick: Bench) -> None:
    import time

    technician = Technician(quick)
    t = time.time()
    technician.update(newer())
    print(time.time() - t)
    assert len(technician.told) == 1
    assert technician.progress[-1] == (newer().size_bytes, newer().size_bytes)
    with CompanionLine(quick.port) as line:
        running = line.running()
    assert (running.version, running.digest, running.slot, running.trial) == ("1.2.0", newer().digest, "b", False)
    assert never_powered(quick)
    files = quick.flash.files()
    assert files["choice"] == b"b"
    print(sorted(files))
