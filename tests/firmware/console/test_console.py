"""The console's loop on a pseudo-terminal: who may ask what, and what a cable does to it."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from drivers.clock.simulated import SimulatedClock
from drivers.errors import DriverError
from firmware.console.dispatcher import Dispatcher
from firmware.console.gate import Gate
from firmware.console.handler import Access
from firmware.console.place import Place
from firmware.console.service import ConsoleService
from firmware.settings import load_settings
from firmware.version import VERSION
from tests.firmware.console.cable import Cable, Console, calling
from tests.firmware.device import ROOT, Kit
from tests.firmware.policies import UNIT
from wire.answering import Answering, Asked, Reply
from wire.credential import Credential, Technician
from wire.errors import LineLostError, RefusedError
from wire.serial_line import SerialLine

JAN = Ed25519PrivateKey.generate()
YEAR_S = 365 * 24 * 3600
ISSUED_S = 1_767_225_600
"""2026-01-01, when the tests' policy is issued."""


@dataclass
class Echo:
    """A handler that says what it was asked."""

    verb: str = "echo"
    access: Access = Access.OPEN

    def handle(self, asked: Asked) -> Reply:
        if asked.fields.get("fail"):
            raise [DriverError("no light"), OSError(28, "No space left on device")][int(asked.fields["fail"]) - 1]
        return Reply(dict(asked.fields))


OPEN, SIGNED = Echo(), Echo("secret", Access.TECHNICIAN)


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    return Kit.make(tmp_path_factory.mktemp("device") / "device")


def place(kit: Kit, clock: SimulatedClock | None = None) -> Place:
    return Place(load_settings(kit.settings), clock or SimulatedClock())


def technician(from_s: int = ISSUED_S, until_s: int = ISSUED_S + 5 * YEAR_S) -> Technician:
    made = Credential("Jan", JAN.public_key().public_bytes_raw(), from_s, until_s)
    return Technician(replace(made, signature=UNIT.sign(made.statement)), JAN.sign)


def test_who_it_is_and_who_may_ask(kit: Kit) -> None:
    here = place(kit)
    with Cable() as cable, Console(here, [OPEN, SIGNED], cable.device), calling(cable) as asks:
        greeting = asks.hello()
        assert greeting.device == here.device()
        assert greeting.fields["unit"] == UNIT.public.hex()
        assert (greeting.fields["firmware"], greeting.fields["board"]) == (VERSION, "board")
        assert asks.call("echo", {"a": 1}).fields == {"a": 1}
        assert asks.call("secret", {"a": 2}, technician=technician()).fields == {"a": 2}
        for verb, fields, who, code, says in (
            ("secret", {}, None, "not-allowed", "needs a technician's signature"),
            ("none", {}, None, "no-verb", "cannot none"),
            ("echo", {"fail": 1}, None, "failed", "no light"),
            ("echo", {"fail": 2}, None, "failed", "echo: No space left on device"),
        ):
            with pytest.raises(RefusedError, match=says) as refused:
                asks.call(verb, fields, technician=who)
            assert refused.value.code == code


def ask(here: Place, who: Technician) -> str:
    gate = Gate(here.device, here.unit, here.on_record_ns, here.clock)
    answering = Answering(here.greeting, Dispatcher([SIGNED], gate).handle)

    class Direct:
        came = bytearray()

        def write(self, data: bytes) -> None:
            answering.take(data, self.came.extend)

        def read(self, timeout_s: float) -> bytes:
            data, self.came = bytes(self.came), bytearray()
            return data

    from wire.calling import Calling

    try:
        Calling(Direct(), patience_s=1.0).call("secret", technician=who)
    except RefusedError as error:
        return str(error)
    return "done"


def test_a_clock_in_1970_makes_no_credential_good_and_locks_nobody_out(kit: Kit) -> None:
    clock = SimulatedClock(utc_ns=1000)
    clock.synchronised = False
    here = place(kit, clock)
    assert here.on_record_ns() >= ISSUED_S * 10**9
    assert ask(here, technician()) == "done"
    assert "is over" in ask(here, technician(ISSUED_S - YEAR_S, ISSUED_S - 1))
    # What a station said last counts too.
    (kit.base / "state" / "time.known").write_text(str((ISSUED_S + YEAR_S) * 10**9))
    assert "is over" in ask(here, technician(until_s=ISSUED_S + YEAR_S))
    assert ask(here, technician(ISSUED_S + 2 * YEAR_S)) == "done"
    clock.synchronised = True
    assert "not good yet" in ask(here, technician())
    clock.set_utc((ISSUED_S + 6 * YEAR_S) * 10**9)
    assert "is over" in ask(here, technician())
    (kit.base / "state" / "time.known").unlink()


def test_the_newest_segment_says_how_late_it_is(kit: Kit, tmp_path: Path) -> None:
    from storage.layout import ClockSource, Stamp
    from tests.storage.kit import EPOCH_NS, Device

    device = Device(tmp_path)
    here = place(kit)
    for source, known in ((ClockSource.NONE, False), (ClockSource.NTP, True)):
        with device.open() as store:
            stamp = Stamp(1, EPOCH_NS * 2, clock_source=source)
            store.begin(stamp).close("power-off", stamp)
        settings = replace(here.settings, store=replace(here.settings.store, flash=device.flash))
        assert (Place(settings, here.clock).on_record_ns() == EPOCH_NS * 2) is known


def test_a_device_without_a_unit_has_nobody_to_ask(tmp_path: Path) -> None:
    (tmp_path / "serial").write_bytes(b"10000000abcdef01\0")
    (tmp_path / "device.toml").write_text(
        '[store]\nflash = "flash"\nstate = "state"\n[hardware]\nboard = "simulated"\n'
        '[enrolment]\nserial_file = "serial"\n'
    )
    here = Place(load_settings(tmp_path / "device.toml"), SimulatedClock())
    greeting = here.greeting()
    assert (greeting["device"], greeting["unit"], greeting["serial"]) == ("", "", "10000000abcdef01")
    assert "belongs to no unit" in ask(here, technician())
    assert here.on_record_ns() == 0
    (tmp_path / "serial").unlink()
    assert here.serial == ""


def test_two_handlers_of_a_verb_are_a_mistake(kit: Kit) -> None:
    here = place(kit)
    gate = Gate(here.device, here.unit, here.on_record_ns, here.clock)
    with pytest.raises(ValueError, match="two handlers"):
        Dispatcher([OPEN, OPEN], gate)


def test_a_port_that_comes_late_and_goes_is_opened_again(kit: Kit, tmp_path: Path) -> None:
    port, stop, tried = tmp_path / "tty", threading.Event(), threading.Event()

    def open_line() -> SerialLine:
        try:
            return SerialLine(port)
        except LineLostError:
            tried.set()
            raise

    here = place(kit)
    gate = Gate(here.device, here.unit, here.on_record_ns, here.clock)
    answering = Answering(here.greeting, Dispatcher([OPEN], gate).handle)
    thread = threading.Thread(target=ConsoleService(open_line, answering, stop, again_s=0.01).run)
    thread.start()
    try:
        assert tried.wait(10)
        for number in range(2):
            with Cable() as cable:
                port.symlink_to(cable.device)
                with calling(cable) as asks:
                    assert asks.call("echo", {"n": number}).fields == {"n": number}
                port.unlink()
            tried.clear()
            assert tried.wait(10)
    finally:
        stop.set()
        thread.join(10)
    assert not thread.is_alive()


def test_a_port_is_one_programs(tmp_path: Path) -> None:
    with Cable() as cable, SerialLine(cable.station), pytest.raises(LineLostError, match="another program has it open"):
        SerialLine(cable.station)
    with pytest.raises(LineLostError, match="No such file"):
        SerialLine(tmp_path / "none")


def test_it_runs_as_a_process_and_ends_when_told(kit: Kit) -> None:
    with Cable() as cable:
        process = subprocess.Popen(
            [sys.executable, "-m", "firmware", "console", "--settings", str(kit.settings), "--port", cable.device],
            cwd=ROOT, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            with calling(cable, 30.0) as asks:
                assert asks.hello().device == place(kit).device()
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
            assert process.stderr is not None
            process.stderr.close()


def test_the_version_is_the_projects() -> None:
    import tomllib

    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION
