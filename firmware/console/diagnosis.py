"""The handlers of `docs/CONSOLE.md`: all of them need a technician's signature."""

from __future__ import annotations

from firmware.console.checks import CheckBoard, SelfTest
from firmware.console.clock import ReadClock, SetClock
from firmware.console.companion import UpdateCompanion
from firmware.console.handler import Handler
from firmware.console.log import ExportLog, Journal
from firmware.console.place import Place
from firmware.console.power import RestartRecorder, ShutDown
from firmware.console.prove import Prove
from firmware.console.status import Status
from firmware.console.tools import Tools


def make_diagnosis(place: Place, tools: Tools) -> list[Handler]:
    """Make all of them."""
    return [
        Status(place, tools),
        SelfTest(tools),
        CheckBoard(tools),
        UpdateCompanion(tools),
        Prove(tools),
        Journal(tools),
        ExportLog(tools),
        ReadClock(tools),
        SetClock(place, tools),
        RestartRecorder(tools),
        ShutDown(tools),
    ]
