"""A device's console with a system that is simulated, and a technician who asks it, in one thread."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from drivers.clock.simulated import SimulatedClock
from drivers.system.disabled import DisabledLog, DisabledSystem
from drivers.system.protocol import LogLine
from drivers.system.simulated import SimulatedLog, SimulatedSystem
from firmware.acts import ActSpool
from firmware.console.bench import CHILD, Bench
from firmware.console.diagnosis import make_diagnosis
from firmware.console.dispatcher import Dispatcher
from firmware.console.gate import Gate
from firmware.console.on_record import OnRecord
from firmware.console.place import Place
from firmware.console.tools import Tools
from firmware.settings import load_settings
from firmware.status_file import StatusFile
from tests.firmware.device import Kit
from tests.firmware.policies import UNIT
from tests.wire.pair import Pair
from wire.calling import Got
from wire.credential import Credential, Technician
from wire.errors import RefusedError

JAN = Ed25519PrivateKey.generate()
BOOT = bytes(range(16))
YEAR_S = 365 * 24 * 3600
ISSUED_S = 1_767_225_600
"""2026-01-01, when the tests' policy is issued."""


def technician(name: str = "Jan", unit: Any = UNIT) -> Technician:
    made = Credential(name, JAN.public_key().public_bytes_raw(), ISSUED_S, ISSUED_S + 5 * YEAR_S)
    return Technician(replace(made, signature=unit.sign(made.statement)), JAN.sign)


@dataclass
class Desk:
    """`ask` asks as a technician does, each time in a session of its own unless `calling` is used."""

    kit: Kit
    control: SimulatedSystem = field(default_factory=SimulatedSystem)
    log: SimulatedLog = field(default_factory=SimulatedLog)
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    present: bool = True
    stop: threading.Event = field(default_factory=threading.Event)
    limit_s: float = 60.0
    runs: bool = False
    """Whether a recorder has the store."""
    child: Sequence[str] = CHILD

    def __post_init__(self) -> None:
        settings = load_settings(self.kit.settings)
        console = replace(settings.console, status=str(self.kit.base / "status.json"))
        settings = replace(settings, console=console)
        self.place = Place(settings, self.clock)
        control = self.control if self.present else DisabledSystem()
        self.bench = Bench(
            control, settings.store.state, settings.store.flash, self.kit.settings, self.stop,
            limit_s=self.limit_s, pause_s=0.0, child=self.child,
        )  # fmt: skip
        self.acts = ActSpool(settings.store.state)
        self.tools = Tools(
            control, self.log if self.present else DisabledLog(), self.acts, self.bench, settings, self.clock, BOOT
        )
        gate = Gate(self.place.device, self.place.unit, self.place.on_record_ns, self.clock)
        self.dispatcher = Dispatcher(
            make_diagnosis(self.place, self.tools), gate, OnRecord(self.acts, self.clock, lambda: self.runs)
        )
        self.pair = self.new_pair()

    def new_pair(self) -> Pair:
        return Pair(self.dispatcher.handle, greeting=dict(self.place.greeting()))

    def ask(self, verb: str, **fields: Any) -> Got:
        self.pair = self.new_pair()
        return self.pair.calling().call(verb, fields, technician=technician())

    def refused(self, verb: str, **fields: Any) -> str:
        try:
            self.ask(verb, **fields)
        except RefusedError as error:
            return f"{error.code}: {error}"
        raise AssertionError(f"{verb} was not refused")

    def says(self, **fields: Any) -> None:
        """Let a recorder say so."""
        told: Mapping[str, Any] = {"state": "standby", "busy": False, "fault": ""} | fields
        StatusFile(self.kit.base / "status.json", BOOT, self.clock.monotonic_ns).write(told)


def lines(*texts: str) -> Iterable[LogLine]:
    return [LogLine(1_790_000_000_000_000 + number, "getuige.service", 6, text) for number, text in enumerate(texts)]
