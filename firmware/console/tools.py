"""What the console's handlers use beside the place that they are in: the system, its log, the recorder's word."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivers.clock.protocol import Clock
from drivers.system.protocol import SystemControl, SystemLog
from firmware.acts import ActSpool
from firmware.boot import boot_id
from firmware.console.bench import Bench
from firmware.console.busy import refuse_if_busy
from firmware.settings import Settings
from firmware.status_file import read_status


@dataclass(frozen=True, slots=True)
class Tools:
    """Made once, and shared by the handlers."""

    control: SystemControl
    log: SystemLog
    acts: ActSpool
    bench: Bench
    settings: Settings
    clock: Clock
    boot: bytes

    def recorder(self) -> Mapping[str, Any] | None:
        """What the running recorder says of itself; None where none runs, or the settings name no status file."""
        path = self.settings.console.status
        return read_status(Path(path), self.boot, self.clock.monotonic_ns()) if path else None

    def refuse_if_busy(self) -> None:
        """See `firmware.console.busy`."""
        refuse_if_busy(self.recorder(), self.settings.store.flash)


def make_tools(settings: Settings, settings_file: Path, clock: Clock, stop: threading.Event) -> Tools:
    """Make them as the settings say; `stop` is set when the console is to end."""
    control, log = _system(settings)
    bench = Bench(control, settings.store.state, settings.store.flash, settings_file, stop)
    return Tools(control, log, ActSpool(settings.store.state), bench, settings, clock, boot_id())


def _system(settings: Settings) -> tuple[SystemControl, SystemLog]:
    match settings.console.system:
        case "systemd":
            from drivers.system.journald import JournaldLog
            from drivers.system.systemd import SystemdControl

            return SystemdControl(settings.console.unit), JournaldLog()
        case "simulated":
            from drivers.system.simulated import SimulatedLog, SimulatedSystem

            return SimulatedSystem(), SimulatedLog()
        case _:
            from drivers.system.disabled import DisabledLog, DisabledSystem

            return DisabledSystem(), DisabledLog()
