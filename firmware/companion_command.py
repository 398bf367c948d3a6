"""``python -m firmware companion``: which program the companion controller runs, and putting another one on it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TextIO

from drivers.companion_program.bundle import Program, read_starter
from drivers.companion_program.line import CompanionLine
from drivers.companion_program.protocol import Controller, Running
from drivers.companion_program.usb import UsbPrompt
from firmware.board import Board
from firmware.companion_program import COMPANION, carried_program, compare
from firmware.errors import FirmwareError
from firmware.percent import Percent

_OK, _DIFFERS = 0, 1

OpenLine = Callable[[str, int], AbstractContextManager[Controller]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument(
        "act",
        choices=("status", "update", "install"),
        help="status: which program runs; update: over the recorder's own line; install: over USB, on a blank "
        "controller or with the service jumper in",
    )
    parser.add_argument("--port", help="another port than the board profile's; for install: the controller's USB port")
    parser.add_argument("--config", type=Path, help="install only: put this config.py in the place of the one there")


def _open_line(port: str, baud: int) -> AbstractContextManager[Controller]:
    return CompanionLine(port, baud=baud)


def companion(
    act: str,
    board: Board,
    port: str | None,
    config: Path | None,
    out: TextIO,
    *,
    open_line: OpenLine = _open_line,
    open_usb: Callable[[str], UsbPrompt] = UsbPrompt,
) -> int:
    """Carry out the command; 0 if the controller runs the program that this firmware carries afterwards, else 1.

    Raises:
        FirmwareError: it cannot be done with this board or these arguments.
        DriverError: the controller did not do it.
    """
    carried = carried_program()
    if config is not None and act != "install":
        raise FirmwareError(f"companion {act}: --config is for install only: an update leaves the board's own alone")
    if act == "install":
        if port is None:
            raise FirmwareError("companion install: which USB port? --port /dev/ttyACM0, or another of that kind")
        return _install(carried, port, config, out, open_usb)
    part = board.companion
    if part is None and port is None:
        raise FirmwareError("companion: this board has none; nothing to do (or name its port with --port)")
    path, baud = port or (part.port if part else ""), part.baud if part else 115_200
    with open_line(path, baud) as line:
        if act == "status":
            running = line.running()
        else:
            out.write(f"{path}: {carried.version} ({carried.digest[:12]}) goes on the companion controller\n")
            running = line.update(carried, _percent(out), lambda text: _say(out, text))
    return _tell(running, carried, out)


def _install(
    program: Program, port: str, config: Path | None, out: TextIO, open_usb: Callable[[str], UsbPrompt]
) -> int:
    starter = read_starter(COMPANION)
    if config is not None:
        try:
            starter["config.py"] = config.read_bytes()
        except OSError as error:
            raise FirmwareError(f"companion install: {config} cannot be read ({error.strerror})") from error
    with open_usb(port) as prompt:
        out.write(f"{port}: {program.version} ({program.digest[:12]}) goes on the controller\n")
        prompt.install(program, starter, _percent(out), config=config is not None)
    out.write(
        "installed, read back and restarted; take the service jumper out, switch it off and on, and ask it: "
        "python -m firmware companion status\n"
    )
    return _OK


def _say(out: TextIO, text: str) -> None:
    out.write(text + "\n")
    out.flush()


def _percent(out: TextIO) -> Percent:
    return Percent(lambda percent: _say(out, f"{percent:3d} %"))


def _tell(running: Running, carried: Program, out: TextIO) -> int:
    out.write(f"version  {running.version}\n")
    out.write(f"digest   {running.digest or 'not told'}\n")
    out.write(f"config   {running.config or 'not told'}\n")
    out.write(f"folder   {running.slot or 'not told'}{' (on trial)' if running.trial else ''}\n")
    wrong = compare(running.version, running.digest, carried)
    if not wrong and running.trial:
        wrong = "is on trial: it gives way to the one before; python -m firmware companion update keeps it"
    out.write(f"the controller {wrong}\n" if wrong else "as this firmware carries it\n")
    return _DIFFERS if wrong else _OK
