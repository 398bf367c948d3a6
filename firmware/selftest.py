"""The self-test: every check in turn, each with a time-out, its result for the journal.

A check has the parts it needs passed in and runs on a thread of its own, ``self-test <name>``: a driver that hangs
fails its check, and the next one goes on.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from drivers.errors import DriverError
from firmware.errors import FirmwareError
from firmware.patience import Patience
from storage.errors import StorageError
from storage.events import Event

_TIDY_S = 1.0
"""How long a check that was given up may take to put its parts to rest."""
_MAX_TEXT = 200
_log = logging.getLogger("getuige")


class Outcome(Enum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    ABSENT = "absent"
    """The board has no such part; nothing is wrong."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found, in one line."""

    outcome: Outcome
    text: str


def passed(text: str) -> Finding:
    """The part does what it should."""
    return Finding(Outcome.PASSED, text)


def failed(text: str) -> Finding:
    """The part does not do what it should."""
    return Finding(Outcome.FAILED, text)


def absent(text: str) -> Finding:
    """There is no such part."""
    return Finding(Outcome.ABSENT, text)


class Check(Protocol):
    """One check. It leaves its parts at rest, however it ends."""

    @property
    def name(self) -> str:
        """One word for the part, such as ``light``."""
        ...

    @property
    def limit_s(self) -> float:
        """After so long the check has failed: longer than all of its own waits together."""
        ...

    def run(self, patience: Patience, /) -> Finding:
        """Check the part; wait by `patience` alone.

        Raises:
            DriverError, StorageError, FirmwareError, OSError: the part failed; the text says how.
        """
        ...

    def abandon(self) -> None:
        """Make harmless what can be, while `run` hangs in a driver. Called on another thread; never blocks.

        Raises:
            DriverError: it cannot be.
        """
        ...


@dataclass(frozen=True, slots=True)
class Result:
    """What one check found, and how long it took."""

    name: str
    outcome: Outcome
    text: str
    started_ns: int
    duration_ns: int


@dataclass(frozen=True, slots=True)
class SelfTestReport:
    """What all checks found."""

    results: tuple[Result, ...]

    @property
    def passed(self) -> bool:
        """No check failed."""
        return not self.failures

    @property
    def failures(self) -> tuple[Result, ...]:
        """The checks that failed."""
        return tuple(result for result in self.results if result.outcome is Outcome.FAILED)

    def result(self, name: str) -> Result | None:
        """The result of the check of that name, or None if it was not made."""
        return next((result for result in self.results if result.name == name), None)

    def events(self) -> list[Event]:
        """Return what goes into the journal: an event for each check, and one for the whole."""
        if not self.results:
            return []
        last = self.results[-1]
        ended_ns = last.started_ns + last.duration_ns
        events = [
            Event(
                result.started_ns + result.duration_ns,
                "self-test check",
                {
                    "check": result.name,
                    "outcome": result.outcome.value,
                    "text": result.text,
                    "duration_ms": result.duration_ns // 1_000_000,
                },
            )
            for result in self.results
        ]
        whole = {
            "passed": self.passed,
            "failed": ", ".join(result.name for result in self.failures) or None,
            "duration_ms": (ended_ns - self.results[0].started_ns) // 1_000_000,
        }
        return [*events, Event(ended_ns, "self-test", whole)]


class SelfTest:
    """Runs checks one after another. Nothing else may command light, buzzer, camera or microphone meanwhile."""

    def __init__(self, checks: Sequence[Check], *, patience: Callable[[], Patience] = Patience) -> None:
        """`patience` makes the clock of each check."""
        self._checks = list(checks)
        self._patience = patience

    def run(self) -> SelfTestReport:
        """Run every check; takes no longer than their limits together."""
        return SelfTestReport(tuple(self._run(check) for check in self._checks))

    def _run(self, check: Check) -> Result:
        patience = self._patience()
        started_ns = patience.now_ns()
        findings: list[Finding] = []
        thread = threading.Thread(
            target=lambda: findings.append(_outcome(check, patience)), name=f"self-test {check.name}", daemon=True
        )
        thread.start()
        thread.join(check.limit_s)
        finding = self._give_up(check, patience, thread) if thread.is_alive() else findings[0]
        duration_ns = max(0, patience.now_ns() - started_ns)
        return Result(check.name, finding.outcome, _one_line(finding.text), started_ns, duration_ns)

    def _give_up(self, check: Check, patience: Patience, thread: threading.Thread) -> Finding:
        text = f"did not answer within {check.limit_s:g} s; restart the device"
        patience.give_up()
        try:
            check.abandon()
        except DriverError as error:
            text += f" ({error})"
        thread.join(_TIDY_S)
        return failed(text)


def _outcome(check: Check, patience: Patience) -> Finding:
    try:
        return check.run(patience)
    except (DriverError, StorageError, FirmwareError) as error:
        return failed(str(error))
    except OSError as error:
        return failed(error.strerror or str(error))
    except Exception as error:  # noqa: BLE001 - goes on record; a defect here must not keep a device from starting
        _log.exception("self-test: the check %s broke", check.name)
        return failed(f"the check itself broke ({type(error).__name__})")


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MAX_TEXT else line[: _MAX_TEXT - 1] + "…"
