"""``python -m firmware console``: be the device at the technician's cable, until SIGTERM."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

from drivers.clock.system import SystemClock
from firmware.console.diagnosis import make_diagnosis
from firmware.console.dispatcher import Dispatcher
from firmware.console.gate import Gate
from firmware.console.handlers import make_handlers
from firmware.console.on_record import OnRecord
from firmware.console.place import Place
from firmware.console.service import ConsoleService
from firmware.console.tools import make_tools
from firmware.enrolment.evidence import recorder_runs
from firmware.service import Service
from firmware.settings import Settings
from wire.answering import Answering
from wire.serial_line import SerialLine


def console(settings: Settings, port: Path, settings_file: Path) -> int:
    """Answer at `port` until told to end; return the exit status."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    place = Place(settings, SystemClock())
    tools = make_tools(settings, settings_file.absolute(), place.clock, stop)
    tools.bench.make_good()
    gate = Gate(place.device, place.unit, place.on_record_ns, place.clock)
    handlers = [*make_handlers(place), *make_diagnosis(place, tools)]
    on_record = OnRecord(tools.acts, place.clock, lambda: recorder_runs(settings.store.flash))
    answering = Answering(place.greeting, Dispatcher(handlers, gate, on_record).handle)
    with Service.from_environment() as service:
        service.ready("at the cable")
        ConsoleService(lambda: SerialLine(port), answering, stop, on_round=service.alive).run()
        service.stopping()
    return 0
