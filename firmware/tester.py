"""The self-test on a thread of its own, named "self-test", which a press can hurry."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from firmware.inputs import Tested, Trouble
from firmware.selftest import Check, Result, SelfTest, SelfTestReport
from storage.events import Detail

BLOCKING = frozenset({"light", "camera", "flash", "keys"})
"""Without these there is no recording: their failure is a fault. Any other is a warning."""

Note = Callable[[str, dict[str, Detail]], None]


class SelfTester:
    """Runs the checks in turn; puts every result on record and tells the main thread how it ended."""

    def __init__(
        self,
        checks: Sequence[Check],
        note: Note,
        tell: Callable[[Tested | Trouble], None],
        *,
        essential: int = 1,
    ) -> None:
        """The first `essential` checks are made even when hurried; nothing here is called before `begin`."""
        self._checks = list(checks)
        self._note = note
        self._tell = tell
        self._essential = essential
        self._hurried = threading.Event()

    def begin(self) -> None:
        """Start the test."""
        threading.Thread(target=self._run, name="self-test", daemon=True).start()

    def hurry(self) -> None:
        """Leave out what has not begun yet, but for what is essential."""
        self._hurried.set()

    def _run(self) -> None:
        results: list[Result] = []
        for number, check in enumerate(self._checks):
            if self._hurried.is_set() and number >= self._essential:
                break
            results += SelfTest([check]).run().results
        report = SelfTestReport(tuple(results))
        for event in report.events():
            self._note(event.name, dict(event.details))
        if len(results) < len(self._checks):
            self._note("self-test hurried", {"left_out": len(self._checks) - len(results)})
        for result in report.failures:
            if result.name not in BLOCKING:
                self._tell(Trouble(result.name, result.text))
        blocking = [f"{result.name}: {result.text}" for result in report.failures if result.name in BLOCKING]
        self._tell(Tested(not blocking, "; ".join(blocking)))
