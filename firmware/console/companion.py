"""``update-companion``: the program that this firmware carries goes on the companion controller."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from drivers.companion_program.bundle import Program
from drivers.errors import DriverError
from firmware.companion_program import carried_program
from firmware.console.handler import Access
from firmware.console.tools import Tools
from wire.answering import Asked, Reply
from wire.errors import RefusedError
from wire.plain import expect, printable

_MOST_TEXT = 300
_WHOLE = 100


@dataclass(frozen=True, slots=True)
class UpdateCompanion:
    """``update-companion``: somebody at the device holds its record button, and is told when."""

    tools: Tools
    carried: Callable[[], Program] = carried_program
    verb: str = "update-companion"
    access: Access = Access.TECHNICIAN

    def handle(self, asked: Asked) -> Reply:
        """Stop the recorder, which holds the controller's line, update, start it again."""
        expect(asked.fields, "an update of the companion", "")
        tools = self.tools
        if tools.settings.board.companion is None:
            raise RefusedError("no-companion", "this device's board has no companion controller: nothing to update")
        carried = self.carried().digest  # a firmware that carries none is told before anything is stopped
        tools.refuse_if_busy()
        heard = _Heard(asked)
        with tools.bench.without_recorder(lambda: asked.tell({})):
            asked.tell({"say": "the recorder is stopped"})
            tools.bench.run([self.verb], heard.hear, lambda: asked.tell({}), what="the update")
        if heard.trouble:
            raise RefusedError("failed", heard.trouble)
        if not heard.running:
            raise RefusedError("failed", "the update did not say what runs now: ask for it again")
        return Reply({**heard.running, "carried": carried, "as_carried": heard.running["digest"] == carried})


@dataclass(slots=True)
class _Heard:
    """What `firmware.console.companion_child` said, bounded, and handed on while it runs."""

    asked: Asked
    running: dict[str, Any] = field(default_factory=dict)
    trouble: str = ""

    def hear(self, fields: Mapping[str, Any]) -> None:
        if "say" in fields:
            self.asked.tell({"say": printable(str(fields["say"]), _MOST_TEXT)})
        elif "trouble" in fields:
            self.trouble = printable(str(fields["trouble"]), _MOST_TEXT) or "it failed"
        elif "check" in fields:  # the child could not even begin
            self.trouble = printable(str(fields.get("text")), _MOST_TEXT) or "it failed"
        elif isinstance(fields.get("percent"), int) and 0 <= fields["percent"] <= _WHOLE:
            self.asked.tell({"percent": int(fields["percent"])})
        elif isinstance(fields.get("running"), dict):
            said = fields["running"]
            self.running = {key: printable(str(said.get(key)), 64) for key in ("version", "digest", "config")}
            self.running["before"] = said.get("before") is True


def companion_status(tools: Tools, recorder: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return which program the controller last said to the recorder that it runs; None where the board has none.

    It is asked by the recorder alone, which holds its line: without one there is nothing but what the firmware carries.
    """
    if tools.settings.board.companion is None:
        return None
    try:
        carried = carried_program().digest
    except DriverError as error:
        return {"trouble": printable(str(error), _MOST_TEXT)}
    said = recorder.get("companion") if recorder is not None else None
    known = said if isinstance(said, dict) else {}
    told = {key: printable(str(known.get(key, "")), 64) for key in ("version", "digest", "config")}
    return {**told, "carried": carried, "as_carried": told["digest"] == carried}
