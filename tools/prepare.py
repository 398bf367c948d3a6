"""What the demo and the longer tests share: an enrolled device from nothing, and somebody who follows its states."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from pathlib import Path

from firmware.appliance import Snapshot
from firmware.cli import main as firmware_main
from firmware.states import State
from tools.mock_pins import BOARD

_SETTINGS = """\
# A device of the demo or of a test: simulated camera and microphone. See docs/SETTINGS.md.
[store]
flash = "flash"
state = "device"

[recording]
segment_s = {segment_s}

[hardware]
board = "board.toml"
self_test = {self_test}
"""


class TroubleError(Exception):
    """It cannot go on; the text says why."""


def prepare(
    folder: Path,
    profile: str,
    segment_s: int,
    *,
    board: str = BOARD,
    self_test: bool = True,
    live: str = "off",
    broker: int | None = None,
    recipient: Path | None = None,
    receipt_key: str | None = None,
    more: str = "",
) -> None:
    """Make throw-away keys and an enrolled device, from nothing.

    `broker` is the port of a broker on this machine, `recipient` a station's public key (a new one by default),
    `receipt_key` the station whose receipts the device obeys, `more` goes to the end of its settings.

    Raises:
        TroubleError: it could not be made.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if recipient is None:
        run_station("keygen", str(folder / "station.key"))
    settings = folder / "device.toml"
    text = _SETTINGS.format(segment_s=segment_s, self_test=str(self_test).lower())
    if broker is not None:
        more += f'\n[live]\nhost = "localhost"\nport = {broker}\n'
    settings.write_text(text + more, "utf-8")
    (folder / "board.toml").write_text(board, "utf-8")
    choices = {"video_profile": f'"{profile}"', "live": f'"{live}"'}
    if receipt_key is not None:
        choices["receipt_keys"] = f'["{receipt_key}"]'
    _make_policy(folder, recipient or folder / "station.pub", choices)
    unit, policy = folder / "unit.pub", folder / "policy.toml"
    if firmware_main(["enrol", "--settings", str(settings), "--unit", str(unit), "--policy", str(policy)]):
        raise TroubleError("the device was not enrolled")
    shutil.copyfile(folder / "device" / "device.pub", folder / "device.pub")


def _make_policy(folder: Path, recipient: Path, choices: dict[str, str]) -> None:
    """Be the unit: write its policy, and sign it."""
    run_station("policy", "keygen", "--output", str(folder / "unit.key"))
    draft = run_station("policy", "template", "--recipient", str(recipient))
    lines = [_chosen(line, choices) for line in draft.splitlines()]
    (folder / "policy.draft.toml").write_text("\n".join(lines) + "\n", "utf-8")
    run_station(
        "policy", "sign", str(folder / "policy.draft.toml"), "--key", str(folder / "unit.key"),
        "--output", str(folder / "policy.toml"),
    )  # fmt: skip


def _chosen(line: str, choices: dict[str, str]) -> str:
    key, equals, _ = line.partition(" = ")
    return f"{key} = {choices[key]}" if equals and key in choices else line


class States:
    """Follows the device's states."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._snapshot: Snapshot | None = None

    def changed(self, snapshot: Snapshot) -> None:
        """Take note: the device's `on_change`."""
        with self._changed:
            self._snapshot = snapshot
            self._changed.notify_all()

    def wait_for(self, state: State, timeout_s: float) -> None:
        """Wait until the device is in that state.

        Raises:
            TroubleError: it is not, or a fault came instead.
        """
        with self._changed:
            found = self._changed.wait_for(
                lambda: self._snapshot and self._snapshot.state in (state, State.FAULT), timeout_s
            )
            now = self._snapshot
        if not found or now is None or now.state is not state:
            raise TroubleError(f"the device is not in {state.value}: {now and (now.fault or now.state.value)}")


def run_station(*arguments: str) -> str:
    """Run `python -m station` with these arguments and return what it printed.

    Raises:
        TroubleError: it could not use what it was given.
    """
    done = subprocess.run([sys.executable, "-m", "station", *arguments], capture_output=True, text=True, check=False)
    if done.returncode == 2:
        raise TroubleError(done.stderr.strip())
    return done.stdout
