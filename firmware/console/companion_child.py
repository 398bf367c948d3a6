"""The companion's update, in a process of its own (`firmware.console.child`): it talks to the controller.

It says ``{"say":...}`` for people, ``{"percent":...}``, and at last ``{"running":{...}}`` or ``{"trouble":...}``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from drivers.companion_program.bundle import Program
from drivers.companion_program.line import CompanionLine
from drivers.companion_program.protocol import Controller
from drivers.errors import DriverError
from firmware.board import Board
from firmware.companion_program import carried_program
from firmware.percent import Percent

_SHORT = 12

Emit = Callable[[Mapping[str, Any]], None]
OpenLine = Callable[[str, int], AbstractContextManager[Controller]]


def _open_line(port: str, baud: int) -> AbstractContextManager[Controller]:
    return CompanionLine(port, baud=baud)


def update_companion(
    board: Board, emit: Emit, *, carried: Callable[[], Program] = carried_program, open_line: OpenLine = _open_line
) -> None:
    """Put the carried program on the board's controller; what fails is said, and nothing raised."""
    part = board.companion
    if part is None:
        emit({"trouble": f"the board {board.name} has no companion controller"})
        return
    try:
        _update(carried(), part.port, part.baud, emit, open_line)
    except DriverError as error:
        emit({"trouble": " ".join(str(error).split())})


def _update(program: Program, port: str, baud: int, emit: Emit, open_line: OpenLine) -> None:
    with open_line(port, baud) as line:
        there = line.running()
        before = there.digest == program.digest
        if not before:
            runs = f"{there.version} ({there.digest[:_SHORT]})" if there.digest else there.version
            emit({"say": f"it runs {runs}; {program.version} ({program.digest[:_SHORT]}) goes on it"})
        now = line.update(
            program, Percent(lambda percent: emit({"percent": percent})), lambda text: emit({"say": text})
        )
    emit(
        {
            "running": {
                "version": now.version, "digest": now.digest or "", "config": now.config or "", "before": before,
            }
        }
    )  # fmt: skip
