"""What `Bench` runs: ``python -m firmware.console.child SETTINGS WHAT``.

WHAT: ``self-test``, ``check-board WAIT_S WATCH_S``, ``update-companion``, or ``prove CHALLENGE``.

What checks find goes to standard output, a JSON object a line: ``{"say":...}``, ``{"check":...,"text":...}``
or ``{"values":{...}}``; what an update says, see `companion_child`, and a proof, `prove_child`. Whatever a library
prints there goes to standard error instead.
"""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from capture.errors import CaptureError
from drivers.clock.system import SystemClock
from drivers.errors import DriverError
from firmware.board_bench import board_parts
from firmware.check_board import check_board, places_of
from firmware.console.companion_child import update_companion
from firmware.console.prove_child import tell_proof
from firmware.errors import FirmwareError
from firmware.hardware import make_hardware
from firmware.live_values import watch
from firmware.parts import Parts
from firmware.patience import Patience
from firmware.selftest import Outcome, Result
from firmware.selftest_command import checks_for, run_checks
from firmware.settings import Settings, load_settings
from firmware.simulated_bench import SimulatedBench
from storage.errors import StorageError

_OK, _UNUSABLE = 0, 2
_REFRESH_S = 0.2
_JOIN_S = 2.0
_log = logging.getLogger("getuige")

Emit = Callable[[Mapping[str, Any]], None]


class _Heartbeat:
    """Keeps the companion controller from its safe state while parts are checked. Thread "heartbeat"."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def _run(self) -> None:
        while not self._stop.wait(_REFRESH_S):
            link = self._parts.link
            if link is not None:
                link.refresh()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(_JOIN_S)


def main(arguments: Sequence[str]) -> int:
    """Run the checks; the exit status says whether they could be made, not what they found."""
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stderr)
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)

        def emit(fields: Mapping[str, Any]) -> None:
            out.write(json.dumps(fields) + "\n")
            out.flush()

        try:
            settings = load_settings(Path(arguments[0]))
            match list(arguments[1:]):
                case ["self-test"]:
                    self_test(settings, emit)
                case ["check-board", wait_s, watch_s]:
                    board(settings, emit, int(wait_s), int(watch_s))
                case ["update-companion"]:
                    update_companion(settings.board, emit)
                case ["prove", challenge]:
                    tell_proof(settings.store.state, settings.enrolment.identity, bytes.fromhex(challenge), emit)
                case _:
                    return _UNUSABLE
        except (FirmwareError, StorageError, DriverError, CaptureError) as error:
            _log.error("checks: %s", error)
            emit(_check("checks", str(error), Outcome.FAILED))
    return _OK


def self_test(settings: Settings, emit: Emit) -> None:
    """Make the checks that the device makes at its start."""

    def tell(result: Result) -> None:
        emit(_check(result.name, result.text, result.outcome))

    with ExitStack() as stack:
        parts = Parts(settings.board)
        hardware = make_hardware(parts, stack)
        run_checks(checks_for(settings, hardware, parts.link), tell, parts.link)


def board(settings: Settings, emit: Emit, wait_s: int, watch_s: int) -> None:
    """Check every part of the board, then watch what they say."""

    def tell(name: str, text: str, outcome: Outcome | None) -> None:
        emit({"say": text} if outcome is None else _check(name, text, outcome))

    clock = SystemClock()
    with Parts(settings.board) as parts, SimulatedBench() as bench, _Heartbeat(parts):
        made = board_parts(parts, bench, clock, lambda text: emit({"say": text}))
        check_board(made, io.StringIO(), patience_s=wait_s, places=places_of(settings.board), heard=tell)
    if not watch_s:
        return
    with Parts(settings.board) as parts, SimulatedBench() as bench, _Heartbeat(parts):
        made = board_parts(parts, bench, clock, lambda _text: None)
        watch(
            made,
            watch_s,
            lambda values: emit({"values": values}),
            lambda name, text: tell(name, text, Outcome.FAILED),
            patience=Patience(),
        )


def _check(name: str, text: str, outcome: Outcome) -> dict[str, str]:
    return {"check": name, "outcome": outcome.value, "text": " ".join(text.split())}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
