"""docs/TECHNICIAN.md, walked through: its commands as they stand there, by somebody at a terminal."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from firmware.board import BOARDS
from firmware.networks import NetworksFile
from storage.keyfiles import device_id, load_device_key
from tests.firmware.console.cable import Cable
from tests.firmware.console.manager import Manager
from tests.firmware.device import PATIENCE_S, ROOT
from tests.hardware.image_kit import Bench as ImageBench
from tests.technician.hands import Hands
from tests.technician.page import PAGE, Step, steps, unlike

ANSWERS = {
    r"New password of T100:": "correct horse battery",
    r"Password of T100:": "correct horse battery",
    r"Passphrase of .*\(empty: none\):": "",
    r"Passphrase of .*:": "a long passphrase",
    r"Type yes:": "yes",
}
SETTINGS = """
[store]
flash = "flash"
state = "state"
reserve_mib = 0
[hardware]
board = "board.toml"
[enrolment]
serial_file = "serial"
[console]
status = "status.json"
system = "systemd"
"""
NETWORKS = '[live]\nhost = "broker.unit.example"\n[[wifi]]\nssid = "Team West"\npassphrase = "a good long one"\n'
CARD_BYTES = 512 * 1024 * 1024

pytestmark = pytest.mark.timeout(600)


class Bench:
    """What lies on the technician's bench: a base image, a card, a device, a cable."""

    def __init__(self, base: Path) -> None:
        self._stack = ExitStack()
        self.base = base
        self.cable = self._stack.enter_context(Cable())
        self.images = ImageBench(base / "images")
        self.images.folder.mkdir()
        self.image_base = self.images.base()
        self.images.project()
        self.images.debs()
        self.card = base / "card"
        with self.card.open("wb") as file:
            file.truncate(CARD_BYTES)
        self.device = base / "device"
        self.device.mkdir()
        (self.device / "device.toml").write_text(SETTINGS, "utf-8")
        (self.device / "board.toml").write_text((BOARDS / "simulated.toml").read_text("utf-8"), "utf-8")
        (self.device / "serial").write_text("10000000abcdef01\0", "ascii")
        self.manager = self._stack.enter_context(Manager(base, self.device / "device.toml"))

    def happens(self, what: str) -> None:
        """Do what a person does with their hands, or what systemd does by itself."""
        match what:
            case "a device is plugged in":
                self.manager.start()
                self.manager.until_said("unenrolled")
                console = subprocess.Popen(
                    [sys.executable, "-m", "firmware", "console", "--settings", str(self.device / "device.toml"),
                     "--port", self.cable.device],
                    cwd=ROOT, env=self.manager.env, stderr=subprocess.DEVNULL,
                )  # fmt: skip
                self._stack.callback(console.wait, PATIENCE_S)
                self._stack.callback(console.terminate)
            case "the networks are written down":
                (self.base / "unit" / "networks.toml").write_text(NETWORKS, "utf-8")
            case "the recorder starts anew":
                self.manager.until_ended()
                self.manager.start()
                self.manager.until_said("standby")
            case _:
                raise AssertionError(f"the page says that {what!r}, and nobody here can do that")

    def values(self, commands: tuple[str, ...]) -> list[str]:
        """Give the values of this bench to the names that the page leaves to its reader."""
        own = {
            "UNIT": str(self.base / "unit"), "BASE": str(self.image_base), "CARD": str(self.card),
            "PORT": self.cable.station,
        }  # fmt: skip
        return [
            f"{match[1]}={own.pop(match[1], match[2])}" if (match := re.match(r"(\w+)=(\S+)", line)) else line
            for line in commands
        ]

    def close(self) -> None:
        self._stack.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def test_every_step_of_the_page_works_as_written(bench: Bench, tmp_path: Path) -> None:
    walked: list[Step] = steps(PAGE.read_text("utf-8"))
    env = {**os.environ, "SMALL": str(bench.images.folder), "SOURCE_DATE_EPOCH": "1780000000"}
    with Hands(ROOT, env, ANSWERS) as hands:
        # The image is of a small base and of no real wheels, and not compiled, so that no emulator is wanted;
        # `make soak` makes one of all that a device needs.
        small = 'if [ "$1" = setup-image ]; then true; '
        small += f'elif [ "$1" = image ]; then "{sys.executable}" -m tests.technician.small_image "$@"'
        hands.give(f'sudo() {{ "$@"; }}; make() {{ {small}; else command make -o .venv/.installed "$@"; fi; }}')
        given = 0
        for step in walked:
            if step.happens:
                bench.happens(step.happens)
                continue
            said: list[str] = []
            for command in bench.values(step.commands) if step.values else step.commands:
                status, lines = hands.give(command)
                assert status == 0, f"{command}\n" + "\n".join(lines)
                said += lines
                given += 1
            missing = unlike(said, step.prints or ())
            assert not missing, f"the page says {missing!r}, and what was printed is:\n" + "\n".join(said)
    assert given >= 25
    unit = tmp_path / "unit"
    identity = load_device_key(bench.device / "state" / "device.pub")
    label = device_id(identity).hex()[:8]
    assert sorted(path.suffix for path in (unit / "labels").glob(f"*{label}*")) == [".pdf", ".svg"]
    image = (unit / "bodycam.img").read_bytes()
    with bench.card.open("rb") as file:
        assert file.read(len(image)) == image
    for secret in ("unit.key", "jansen.key"):
        assert (unit / secret).stat().st_mode & 0o077 == 0
    assert b"ENCRYPTED" in (unit / "unit.key").read_bytes()
    assert NetworksFile(bench.device / "state").load().host == "broker.unit.example"
    assert bench.manager.asked[-1][-3:] == ["PowerOff", "b", "false"]


def test_the_page_hides_no_command_from_the_test() -> None:
    """Commands in a plain block are not given; each such block is marked on the page, and the introduction says so."""
    text = PAGE.read_text("utf-8")
    hidden = [step for step in steps(text) if re.search(r"^(station|console|printf|make) ", " ".join(step.shown))]
    assert len(hidden) == text.count("†") - 1 == 3
