"""The device's command line: ``python -m firmware enrol | run | simulate``."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from capture.errors import CaptureError
from drivers.errors import DriverError
from firmware.appliance import Snapshot
from firmware.errors import FirmwareError
from firmware.parts import Parts
from firmware.settings import load_settings
from firmware.signals import hold_back, power_off_on_signal
from firmware.wiring import Device
from storage.errors import StorageError
from storage.keyfiles import device_id
from storage.keyring_file import enrol_device
from storage.signer import signer_from_uri

_OK, _FAULT, _UNUSABLE = 0, 1, 2
_log = logging.getLogger("getuige")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; every error of ours is one line on stderr and exit status 2."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stderr)
    try:
        match options.command:
            case "enrol":
                return _enrol(options.settings)
            case "run":
                return _run(options.settings)
            case _:
                from firmware.simulate import simulate

                return simulate(load_settings(options.settings))
    except (FirmwareError, StorageError, DriverError, CaptureError) as error:
        sys.stderr.write(f"firmware: {error}\n")
        return _UNUSABLE
    except KeyboardInterrupt:
        return _OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="firmware", description="Getuige, the recorder of a bodycam.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("enrol", "Give the device its identity and signing keys; writes device.pub. Once in a device's life."),
        ("run", "Be the device: wait for the button, record, until told to end (SIGTERM)."),
        ("simulate", "Be the device in a terminal: keys are the button, the screen shows light and state."),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--settings", type=Path, required=True, help="the settings file (TOML)")
    return parser


def _enrol(path: Path) -> int:
    settings = load_settings(path)
    identity = enrol_device(settings.store.state, signer_from_uri("memory:"))
    sys.stdout.write(
        f"Device {device_id(identity).hex()} enrolled; its public key: {settings.store.state}/device.pub\n"
    )
    return _OK


def _run(path: Path) -> int:
    settings = load_settings(path)
    hold_back()
    with Device(settings, Parts(settings.hardware), _tell) as device:
        power_off_on_signal(device.inputs)
        fault = device.run()
    if fault:
        sys.stderr.write(f"firmware: {fault}\n")
    return _FAULT if fault else _OK


def _tell(snapshot: Snapshot) -> None:
    _log.info("%s%s", snapshot.state.value, f" ({snapshot.fault})" if snapshot.fault else "")
