"""``self-test`` and ``check-board``: told line by line while they run, and once more in the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from firmware.console.handler import Access
from firmware.console.tools import Tools
from firmware.selftest import Outcome
from wire.answering import Asked, Reply
from wire.plain import expect, printable, take_int

_MOST_CHECKS = 24
_MOST_TEXT = 200
_MOST_WAIT_S = 60
_MOST_WATCH_S = 120
_OUTCOMES = frozenset(outcome.value for outcome in Outcome)


@dataclass(frozen=True, slots=True)
class SelfTest:
    """``self-test``."""

    tools: Tools
    verb: str = "self-test"
    access: Access = Access.TECHNICIAN

    def handle(self, asked: Asked) -> Reply:
        """Stop the recorder, test, start it again."""
        expect(asked.fields, "a self-test", "")
        return _checked(self.tools, asked, ["self-test"])


@dataclass(frozen=True, slots=True)
class CheckBoard:
    """``check-board``: `wait_s` is how long the technician has to press; `watch_s`, how long to show live values."""

    tools: Tools
    verb: str = "check-board"
    access: Access = Access.TECHNICIAN

    def handle(self, asked: Asked) -> Reply:
        """Stop the recorder, check, start it again."""
        expect(asked.fields, "a board check", "wait_s watch_s")
        wait_s = take_int(asked.fields, "wait_s", _MOST_WAIT_S, 1)
        watch_s = take_int(asked.fields, "watch_s", _MOST_WATCH_S)
        return _checked(self.tools, asked, ["check-board", str(wait_s), str(watch_s)])


@dataclass(slots=True)
class _Heard:
    """What the checks said, bounded, and handed on while they run."""

    asked: Asked
    checks: list[dict[str, str]] = field(default_factory=list)
    values: dict[str, int | bool | None] = field(default_factory=dict)

    def hear(self, fields: Mapping[str, Any]) -> None:
        if "check" in fields and len(self.checks) < _MOST_CHECKS:
            outcome = str(fields.get("outcome"))
            check = {
                "check": printable(str(fields["check"]), 24),
                "outcome": outcome if outcome in _OUTCOMES else Outcome.FAILED.value,
                "text": printable(str(fields.get("text")), _MOST_TEXT),
            }
            self.checks.append(check)
            self.asked.tell(check)
        elif "say" in fields:
            self.asked.tell({"say": printable(str(fields["say"]), _MOST_TEXT)})
        elif isinstance(fields.get("values"), dict):
            self.values = {
                printable(name, 24): value
                for name, value in list(fields["values"].items())[:_MOST_CHECKS]
                if value is None or (isinstance(value, int) and abs(value) < 2**53)
            }
            self.asked.tell({"values": self.values})


def _checked(tools: Tools, asked: Asked, arguments: Sequence[str]) -> Reply:
    tools.refuse_if_busy()
    heard = _Heard(asked)
    with tools.bench.without_recorder(lambda: asked.tell({})):
        asked.tell({"say": "the recorder is stopped"})
        tools.bench.run(arguments, heard.hear, lambda: asked.tell({}), what=f"the {asked.ask.verb}")
    passed = bool(heard.checks) and not any(item["outcome"] == Outcome.FAILED.value for item in heard.checks)
    return Reply({"passed": passed, "checks": heard.checks, "values": heard.values or None})
