"""``shut-down`` and ``restart-recorder``: refused while something is recorded."""

from __future__ import annotations

from dataclasses import dataclass

from firmware.console.handler import Access
from firmware.console.tools import Tools
from wire.answering import Asked, Reply
from wire.plain import expect


@dataclass(frozen=True, slots=True)
class ShutDown:
    """``shut-down``: the system is asked to switch off, which closes the chain in good order."""

    tools: Tools
    verb: str = "shut-down"
    access: Access = Access.TECHNICIAN

    def handle(self, asked: Asked) -> Reply:
        """Ask for it."""
        expect(asked.fields, "a shut-down", "")
        self.tools.refuse_if_busy()
        self.tools.control.power_off()
        return Reply({"state": "switching-off"})


@dataclass(frozen=True, slots=True)
class RestartRecorder:
    """``restart-recorder``."""

    tools: Tools
    verb: str = "restart-recorder"
    access: Access = Access.TECHNICIAN

    def handle(self, asked: Asked) -> Reply:
        """Ask for it."""
        expect(asked.fields, "a restart", "")
        self.tools.refuse_if_busy()
        self.tools.control.restart_recorder()
        return Reply({"state": "restarting"})
