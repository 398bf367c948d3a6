"""`make dock`: the end of a shift, end to end, with two simulated devices.

They record, dock, one is pulled in the middle; the station resumes, verifies, receipts, and they destroy what it holds.
One recording is kept, one destroyed at once; the audit log is verified; a bundle for court is verified by the script
that is in it. The station is used as anybody would use it, from the command line.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drivers.errors import DriverError
from firmware.errors import FirmwareError
from firmware.inputs import PowerOff
from firmware.parts import Parts
from firmware.settings import load_settings
from firmware.states import State
from firmware.wiring import Device
from station.authority import encode_tls_key, load_authority, new_key
from station.enrolment.records import Granted, Records
from storage.durable import replace_file
from storage.errors import StorageError
from storage.keyfiles import device_id, load_device_key, load_signing_key
from tools.cable import Cable
from tools.live import free_port
from tools.mock_pins import MockPins
from tools.prepare import States, TroubleError, prepare, run_station

_HOLD_S = 2.3
_PEOPLE = {
    "T100": ("Techniek", "technician"),
    "P201": ("Agent Een", "officer"),
    "P202": ("Agent Twee", "officer"),
    "E300": ("Beheer", "evidence-manager"),
    "F400": ("Privacy", "privacy-officer"),
}


@dataclass
class _Camera:
    """A running device and its hands."""

    folder: Path
    device: Device
    pins: MockPins
    states: States
    thread: threading.Thread
    id: str
    port: int


def main() -> int:
    """Run it; the exit status is 0 if everything ended as it should."""
    parser = argparse.ArgumentParser(prog="dock", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("build/dock"))
    parser.add_argument("--seconds", type=float, default=6.0)
    options = parser.parse_args()
    try:
        return _run(options.folder.absolute(), options.seconds)
    except (TroubleError, FirmwareError, StorageError, DriverError) as error:
        sys.stderr.write(f"dock: {error}\n")
        return 2


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _run(folder: Path, seconds: float) -> int:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    station = folder / "station"
    _say(f"1. A station with five people, and two newly enrolled devices, in {folder}")
    _make_station(folder, station)
    with ExitStack() as stack:
        cameras = [_make_camera(stack, folder, station, name, officer) for name, officer in
                   (("one", "P201"), ("two", "P202"))]  # fmt: skip
        _say(f"2. Two officers record {seconds:.0f} s each, and drop their cameras into the dock")
        _record(cameras, seconds)
        for camera in cameras:
            camera.device.hardware.dock.put(True)  # type: ignore[attr-defined]
            camera.states.wait_for(State.DOCKED, 10.0)
            _wait(lambda camera=camera: camera.device.docking.port, 10.0, "the offload server did not start")
        _say("3. The dock takes them off; the first is pulled in the middle, and put back")
        _offload(station, cameras)
        left = [len(list((camera.folder / "flash" / "segments").glob("*.seg"))) for camera in cameras]
        _say(f"   what is left on the devices: {left[0]} and {left[1]} segment (the journal that is open)")
        for camera in cameras:
            camera.device.inputs.put(PowerOff(), timeout=1.0)
            camera.thread.join(20.0)
    kept, gone = _review(folder, station)
    good = _check(folder, station, kept)
    return 0 if good and left == [1, 1] and kept and gone else 1


def _make_station(folder: Path, station: Path) -> None:
    password = folder / "password"
    _secret(password, "correct horse battery")
    _secret(folder / "empty", "")
    run_station(
        "office", "init", str(station), "--unit", "Demo", "--host", "127.0.0.1", "--passphrase-file",
        str(folder / "empty"),
    )  # fmt: skip
    for number, (name, role) in _PEOPLE.items():
        run_station(
            "people", "add", number, "--station", str(station), "--name", name, "--role", role, "--password-file",
            str(password),
        )  # fmt: skip


def _make_camera(stack: ExitStack, folder: Path, station: Path, name: str, officer: str) -> _Camera:
    base, port = folder / name, free_port()
    receipts = load_signing_key(station / "signing.pub", "station's key").hex()
    prepare(
        base, "480p30", 60, recipient=station / "station.pub", receipt_key=receipts,
        more=f'\n[dock]\naddress = "127.0.0.1"\nport = {port}\nannounce = false\n',
    )  # fmt: skip
    device = device_id(load_device_key(base / "device.pub"))
    key = new_key()
    made = load_authority(station / "authority")
    tls = base / "tls"
    tls.mkdir(mode=0o700)
    replace_file(tls / "device.key", encode_tls_key(key), mode=0o600)
    certificate = made.issue_device(device, key.public_key(), 30, datetime.now(UTC))
    replace_file(tls / "device.crt", certificate, mode=0o644)
    replace_file(tls / "ca.crt", made.pem, mode=0o644)
    _act(folder, "device", "add", str(base / "device.pub"), "--name", name, who="T100")
    _act(folder, "device", "assign", device.hex(), officer, who="T100")
    # As an enrolment at the technician's cable leaves it (docs/ENROL.md); here it was enrolled in its own folder.
    granted = Granted(device.hex(), "", certificate.decode(), name, "", "simulated", "", int(time.time()), "T100")
    Records(station).put(granted)
    settings = load_settings(base / "device.toml")
    pins, states = MockPins(), States()
    running = stack.enter_context(Device(settings, Parts(settings.board, pin_factory=pins.factory), states.changed))
    thread = threading.Thread(target=running.run, name=f"appliance-{name}", daemon=True)
    thread.start()
    states.wait_for(State.STANDBY, 30.0)
    return _Camera(base, running, pins, states, thread, device.hex(), port)


def _record(cameras: list[_Camera], seconds: float) -> None:
    for camera in cameras:
        _press(camera, 0.15)
        camera.states.wait_for(State.RECORDING, 15.0)
    time.sleep(seconds)
    for camera in cameras:
        _press(camera, _HOLD_S)
        camera.states.wait_for(State.STANDBY, 15.0)


def _press(camera: _Camera, duration_s: float) -> None:
    camera.pins.button.drive_low()
    time.sleep(duration_s)
    camera.pins.button.drive_high()


def _offload(station: Path, cameras: list[_Camera]) -> None:
    size = sum(path.stat().st_size for path in (cameras[0].folder / "flash" / "segments").glob("*.seg"))
    cable = Cable(cameras[0].port, size // 2)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "station", "dock", "--station", str(station), "--once",
             "--bay", f"1=127.0.0.1:{cable.port}", "--bay", f"2=127.0.0.1:{cameras[1].port}"],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
    finally:
        cable.close()
    for line in done.stdout.splitlines():
        _say(f"   {line}")
    if done.returncode or not cable.pulled.is_set():
        raise TroubleError(f"the dock did not take everything: {done.stderr.strip() or done.stdout.strip()}")


def _review(folder: Path, station: Path) -> tuple[str, str]:
    _say("4. Each officer sees the own recording; one is kept, one is not needed and destroyed at once")
    found = {who: _act(folder, "review", "list", who=who).split()[0] for who in ("P201", "P202")}
    _say("   " + _act(folder, "review", "list", who="E300").rstrip().replace("\n", "\n   "))
    kept, gone = found["P201"], found["P202"]
    _act(folder, "review", "keep", kept, "--purpose", "b", "--reason", "aangifte 2026-0815", who="P201")
    _say("   " + _act(folder, "review", "not-needed", gone, "--reason", "niets voorgevallen", who="P202").strip())
    refused = subprocess.run(
        _command(folder, "review", "view", kept, "--reason", "nieuwsgierig", "--output", str(folder / "x.mp4"),
                 who="T100"),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    _say(f"   a technician who wants to look: {refused.stderr.strip()}")
    if refused.returncode != 2 or (folder / "x.mp4").exists():
        raise TroubleError("a technician saw footage")
    bodies = list((station / "bodies").rglob("*.seg"))
    _say(f"   sealed files at the station: {len(bodies)}")
    _say("   " + _act(folder, "review", "list", who="E300").rstrip().replace("\n", "\n   "))
    return kept, gone


def _check(folder: Path, station: Path, kept: str) -> bool:
    _say("5. The kept one is disclosed, and the defence checks it with the script in the bundle")
    bundle = folder / "bundle.zip"
    _act(
        folder, "review", "disclose", kept, "--reason", "verzoek van de verdediging", "--recipient", "mr. X",
        "--output", str(bundle), who="E300",
    )  # fmt: skip
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(folder)
    checked = subprocess.run(
        [sys.executable, str(folder / "bundle" / "verify.py")], capture_output=True, text=True, check=False,
        cwd=folder / "bundle",
    )  # fmt: skip
    _say("   " + (checked.stdout + checked.stderr).rstrip().replace("\n", "\n   "))
    _say("6. The audit log, with the station's public key alone")
    log, public = str(station / "audit" / "audit.log"), str(station / "signing.pub")
    audit = run_station("audit", "verify", log, "--station", public)
    _say("   " + audit.strip())
    _say(f"   Read it: .venv/bin/python -m station audit show {log} --station {public}")
    return checked.returncode == 0 and audit.startswith("Sound")


def _command(folder: Path, *arguments: str, who: str) -> list[str]:
    return [
        sys.executable, "-m", "station", *arguments, "--station", str(folder / "station"), "--as", who,
        "--password-file", str(folder / "password"),
    ]  # fmt: skip


def _act(folder: Path, *arguments: str, who: str) -> str:
    return run_station(*_command(folder, *arguments, who=who)[3:])


def _secret(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text + "\n", "utf-8")


def _wait(done: Any, timeout_s: float, otherwise: str) -> None:
    end_s = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > end_s:
            raise TroubleError(otherwise)
        time.sleep(0.01)


if __name__ == "__main__":
    sys.exit(main())
