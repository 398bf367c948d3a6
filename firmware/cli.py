"""The device's command line: ``python -m firmware`` and a command (docs/SETTINGS.md)."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from capture.errors import CaptureError
from drivers.clock.system import SystemClock
from drivers.errors import DriverError
from firmware.appliance import Snapshot
from firmware.board_bench import board_parts
from firmware.check_board import check_board, places_of
from firmware.companion_command import add_arguments, companion
from firmware.console.command import console
from firmware.enrolling import enrol, offer_policy
from firmware.enrolment.settling import Places, settle
from firmware.errors import FirmwareError
from firmware.parts import Parts
from firmware.radio_command import tell_radio
from firmware.selftest_command import self_test
from firmware.service import Service
from firmware.settings import Settings, load_settings
from firmware.signals import hold_back, power_off_on_signal
from firmware.simulated_bench import SimulatedBench
from firmware.wiring import Device
from storage.errors import StorageError
from wire.errors import WireError

_OK, _FAULT, _UNUSABLE = 0, 1, 2
_log = logging.getLogger("getuige")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; every error of ours is one line on stderr and exit status 2."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stderr)
    try:
        settings = load_settings(options.settings)
        match options.command:
            case "enrol":
                return _enrol(settings, options.unit, options.policy, options.identity)
            case "policy":
                sys.stdout.write(offer_policy(settings.store.state, options.file, SystemClock().read()) + "\n")
                return _OK
            case "check-board":
                return _check_board(settings)
            case "companion":
                return companion(options.act, settings.board, options.port, options.config, sys.stdout)
            case "run":
                return _run(settings)
            case "console":
                return console(settings, options.port, options.settings)
            case "self-test":
                return self_test(settings, sys.stdout, as_json=options.json)
            case "radio":
                return tell_radio(settings, options.flag, options.profiles, sys.stdout)
            case _:
                from firmware.simulate import simulate

                return simulate(settings)
    except (FirmwareError, StorageError, DriverError, CaptureError) as error:
        sys.stderr.write(f"firmware: {error}\n")
        return _UNUSABLE
    except KeyboardInterrupt:
        return _OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="firmware", description="Getuige, the recorder of a bodycam.")
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--settings", type=Path, required=True, help="the settings file (TOML)")
        return command

    enrolment = add("enrol", "Give the device its identity, its unit and its policy. Once in a device's life.")
    enrolment.add_argument("--unit", type=Path, required=True, help="the unit's public key")
    enrolment.add_argument("--policy", type=Path, required=True, help="the unit's signed policy (TOML)")
    enrolment.add_argument(
        "--identity", default="memory:", metavar="URI", help="where it is born: memory: (the default), or tpm:HANDLE"
    )
    policy = add("policy", "Offer the device a newer policy of its unit; it says why it refuses one.")
    policy.add_argument("file", type=Path, help="the signed policy (TOML)")
    add("check-board", "Light, sound and read every part of the board in turn, for a technician.")
    add_arguments(add("companion", "Say which program the companion controller runs, or put this firmware's on it."))
    test = add("self-test", "Run the self-test of a device that is not running, and tell what each check found.")
    test.add_argument("--json", action="store_true", help="for programs")
    radio = add("radio", "Tell the system whether the unit's policy allows a radio, and which networks it may join.")
    radio.add_argument("--flag", type=Path, required=True, help="the file that stands for yes")
    radio.add_argument("--profiles", type=Path, required=True, help="the folder of NetworkManager's profiles in memory")
    add("run", "Be the device: wait for the button, record, until told to end (SIGTERM).")
    cable = add("console", "Answer a technician at the USB serial port, until told to end (SIGTERM).")
    cable.add_argument("--port", type=Path, default=Path("/dev/ttyGS0"), help="the serial port; %(default)s by default")
    add("simulate", "Be the device in a terminal: keys are the button, the screen shows light and state.")
    return parser


def _enrol(settings: Settings, unit: Path, policy: Path, identity: str) -> int:
    device = enrol(settings.store.state, unit, policy, SystemClock().read(), identity)
    sys.stdout.write(f"Device {device.hex()} enrolled; its public key: {settings.store.state}/device.pub\n")
    return _OK


def _check_board(settings: Settings) -> int:
    with Parts(settings.board) as parts, SimulatedBench() as bench:
        made = board_parts(parts, bench, SystemClock(), lambda text: _write(text + "\n"))
        return check_board(made, sys.stdout, places=places_of(settings.board))


def _write(text: str) -> None:
    sys.stdout.write(text)


def _run(settings: Settings) -> int:
    hold_back()
    try:
        settle(Places(settings.store.state, settings.store.flash, settings.tls))
    except (FirmwareError, StorageError, WireError, OSError) as error:
        # Who it was it still is, or the store says that it does not fit its keys any more.
        _log.warning("an enrolment that was granted cannot be finished: %s", error)
    with (
        Service.from_environment() as service,
        Device(settings, Parts(settings.board), lambda snapshot: _tell(service, snapshot), service) as device,
    ):
        power_off_on_signal(device.inputs)
        fault = device.run()
    if fault:
        sys.stderr.write(f"firmware: {fault}\n")
    return _FAULT if fault else _OK


def _tell(service: Service, snapshot: Snapshot) -> None:
    text = f"{snapshot.state.value}{f' ({snapshot.fault})' if snapshot.fault else ''}"
    service.status(text)
    _log.info("%s", text)
