"""The power cut in the middle of every write and erasure of an update over the line, on a real LittleFS."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from drivers.companion_program.bundle import make_program
from tests.companion.flash import INTERPRETER, STUBS, Flash, carried, choose

SMALL = make_program({"program.py": b"VALUE = 1\n", "session.py": b'VERSION = "9.9.9"\n', "extra.py": b"# more\n" * 90})
OLD = ("a", carried().digest)
NEW = ("b", SMALL.digest)


class Life:
    def __init__(self, folder: Path) -> None:
        self.flash = Flash(folder / "flash")
        self.new = folder / "new"
        self.new.mkdir()
        for name, data in {**SMALL.files, "manifest": SMALL.manifest}.items():
            (self.new / name).write_bytes(data)

    def run(self, cut_after: int | None = None) -> tuple[int, list[str]]:
        """Return how it ended, -9 for a cut, and what was said."""
        environment = {
            "MICROPYPATH": f"{STUBS}:.frozen", "COMPANION_FLASH": str(self.flash.path), "COMPANION_NEW": str(self.new),
        }  # fmt: skip
        if cut_after is not None:
            environment["COMPANION_CUT"] = str(cut_after)
        done = subprocess.run(
            [INTERPRETER, "-c", "import updates; updates.run()"], env=environment, capture_output=True, timeout=30
        )
        assert done.returncode in (0, -9), done.stderr + done.stdout
        return done.returncode, done.stdout.decode().splitlines()


def test_after_every_cut_a_whole_program_runs_and_the_update_goes_on(tmp_path: Path) -> None:
    life = Life(tmp_path)
    before = life.flash.path.read_bytes()
    outcomes, cut_after, spared = set(), 0, 0
    while True:
        cut_after += 1
        life.flash.path.write_bytes(before)
        status, _ = life.run(cut_after)
        if status == 0:
            break
        torn = life.flash.path.read_bytes()
        first, second = choose(life.flash.path)
        # On trial once at most, and then never again unless it was kept.
        assert first in [(*OLD, False), (*NEW, True), (*NEW, False)], cut_after
        assert second == ((*OLD, False) if first != (*NEW, False) else first), cut_after
        outcomes.add(first)
        life.flash.path.write_bytes(torn)
        status, said = life.run()
        assert (status, said[-1]) == (0, "kept"), cut_after
        assert choose(life.flash.path) == [(*NEW, False)] * 2, cut_after
        spared += any(line.startswith("have") for line in said)
    assert outcomes == {(*OLD, False), (*NEW, True)}, "the very last write is what keeps it"
    assert cut_after > 20, "so many writes there were"
    assert spared > 3, "what had come is not sent again"


@pytest.mark.parametrize(
    ("damage", "runs"),
    [
        ({"choice": b"\xff\xfe"}, OLD),
        ({"choice": b"c"}, OLD),
        ({"choice": b""}, OLD),
        ({"trial": b"b"}, OLD),
        ({"trial": b"../a"}, OLD),
        ({"a/lamp.py": b"broken"}, NEW),
        ({"a/manifest": b"\xff" * 80 + b"\n"}, NEW),
        ({"a/manifest": b""}, NEW),
        ({"b/program.py": b"broken", "choice": b"b"}, OLD),
        ({"b/manifest": SMALL.manifest[: SMALL.manifest.index(b"\n") + 1], "choice": b"b"}, OLD),
    ],
)
def test_what_is_damaged_does_not_run(tmp_path: Path, damage: dict[str, bytes], runs: tuple[str, str]) -> None:
    flash = Flash(tmp_path / "flash")
    if "trial" not in damage:
        flash.put({f"b/{name}": data for name, data in {**SMALL.files, "manifest": SMALL.manifest}.items()})
    flash.put(damage)
    assert choose(flash.path) == [(*runs, False)] * 2


def test_nothing_whole_runs_nothing(tmp_path: Path) -> None:
    flash = Flash(tmp_path / "flash")
    flash.put({"a/lamp.py": b"broken"})
    assert choose(flash.path) == [None, None]
