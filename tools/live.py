"""`make live`: a simulated device, a real broker, the receiver, and a page that shows the picture as it is recorded.

Everything is the real thing but camera, microphone, light and button: the device publishes over TLS to mosquitto, and
`python -m station live serve` verifies and shows. Enrolment's part, handing out TLS identities, is done here by hand.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from drivers.errors import DriverError
from firmware.errors import FirmwareError
from firmware.inputs import PowerOff
from firmware.parts import Parts
from firmware.settings import load_settings
from firmware.states import State
from firmware.wiring import Device
from station.authority import encode_tls_key, load_authority, new_key
from storage.durable import replace_file
from storage.errors import StorageError
from storage.keyfiles import device_id, load_device_key
from tools.browser import Browser, BrowserError
from tools.mock_pins import MockPins
from tools.prepare import States, TroubleError, prepare, run_station

_HOLD_S = 2.3
_START_S = 20.0


def main() -> int:
    """Run it; the exit status is 0 if what was shown is what is on flash."""
    parser = argparse.ArgumentParser(prog="live", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("build/live"))
    parser.add_argument("--seconds", type=float, help="record so long, then end; otherwise until Ctrl-C")
    parser.add_argument("--profile", default="720p30")
    parser.add_argument("--screenshot", type=Path, help="have a browser look, and keep what it saw")
    options = parser.parse_args()
    try:
        return _run(options.folder.absolute(), options.profile, options.seconds, options.screenshot)
    except (TroubleError, BrowserError, FirmwareError, StorageError, DriverError) as error:
        sys.stderr.write(f"live: {error}\n")
        return 2


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _run(folder: Path, profile: str, seconds: float | None, screenshot: Path | None) -> int:
    _say(f"1. Throw-away keys, an authority for TLS, and a newly enrolled device, in {folder}")
    port = free_port()
    prepare(folder, profile, 60, live="on", broker=port)
    set_up_tls(folder)
    run_station(
        "live", "broker", str(folder / "broker"), "--authority", str(folder / "authority"), "--host", "localhost",
        "--address", "127.0.0.1", "--port", str(port),
    )  # fmt: skip
    _say(f"2. mosquitto at 127.0.0.1:{port}, TLS 1.3, certificates both ways")
    with running([mosquitto(), "-c", str(folder / "broker" / "mosquitto.conf")], folder / "broker.log"):
        _await_port(port)
        _say("3. The station: python -m station live serve")
        serve = [
            sys.executable, "-m", "station", "live", "serve", "--devices", str(folder / "devices"),
            "--key", str(folder / "station.key"), "--tls", str(folder / "station-tls"),
            "--shelf", str(folder / "shelf"), "--port", str(port), "--page-port", "0",
        ]  # fmt: skip
        with running(serve, folder / "station.log", stdout=subprocess.PIPE) as station:
            assert station.stdout is not None
            address = station.stdout.readline().strip()
            if not address:
                raise TroubleError(f"the station did not start: see {folder / 'station.log'}")
            _record(folder, address, seconds, screenshot)
    return _compare(folder)


def set_up_tls(folder: Path) -> None:
    """Be the unit: an authority, the station's TLS identity, and the device's."""
    authority = folder / "authority"
    run_station("authority", "new", str(authority))
    run_station(
        "authority", "station", "station", "--authority", str(authority), "--output", str(folder / "station-tls"),
        "--host", "localhost",
    )  # fmt: skip
    made = load_authority(authority)
    key = new_key()
    device = device_id(load_device_key(folder / "device.pub"))
    files = folder / "tls"
    files.mkdir(mode=0o700)
    replace_file(files / "device.key", encode_tls_key(key), mode=0o600)
    certificate = made.issue_device(device, key.public_key(), 30, datetime.now(UTC))
    replace_file(files / "device.crt", certificate, mode=0o644)
    replace_file(files / "ca.crt", made.pem, mode=0o644)
    (folder / "devices").mkdir()
    shutil.copyfile(folder / "device.pub", folder / "devices" / f"{device.hex()}.pub")


def _record(folder: Path, address: str, seconds: float | None, screenshot: Path | None) -> None:
    settings = load_settings(folder / "device.toml")
    pins, states = MockPins(), States()
    with Device(settings, Parts(settings.board, pin_factory=pins.factory), states.changed) as device:
        ending: list[str] = []
        thread = threading.Thread(target=lambda: ending.append(device.run()), name="appliance", daemon=True)
        thread.start()
        states.wait_for(State.STANDBY, 30.0)
        _say("4. The officer presses the button; the policy says live, the light says so too")
        pins.button.drive_low()
        time.sleep(0.15)
        pins.button.drive_high()
        states.wait_for(State.RECORDING, 15.0)
        _wait(lambda: device.appliance.snapshot.live, 20.0, f"no link to the broker: see {folder / 'broker.log'}")
        _say(f"\n   Open this in a browser on this machine:\n   {address}\n")
        try:
            _watch(address, seconds, screenshot)
        except KeyboardInterrupt:
            _say("")
        _say("5. The officer holds the button for 2 s: stop")
        pins.button.drive_low()
        time.sleep(_HOLD_S)
        pins.button.drive_high()
        states.wait_for(State.STANDBY, 15.0)
        device.inputs.put(PowerOff(), timeout=1.0)
        thread.join(20.0)
        if thread.is_alive() or ending != [""]:
            raise TroubleError(f"the device did not end cleanly: {ending[0] if ending else 'it still runs'}")


def _watch(address: str, seconds: float | None, screenshot: Path | None) -> None:
    if screenshot is not None:
        with Browser(address, width=1180, height=900) as browser:
            browser.wait_for("document.getElementById('video')?.currentTime > 2", 40.0)
            time.sleep(max(0.0, (seconds or 6.0) - 2.0))
            browser.screenshot(screenshot)
            _say(f"   seen by a browser: {screenshot}")
            for line in browser.evaluate(
                "[...document.querySelectorAll('#facts div')].map((one) => one.innerText.replace('\\n', ': '))"
            ):
                _say(f"   {line}")
        return
    _say("   Ctrl-C ends it." if seconds is None else f"   It ends by itself after {seconds:.0f} s.")
    threading.Event().wait(seconds)


def _compare(folder: Path) -> int:
    """Say whether the station holds, bit for bit, what the device has of its recording."""
    live, flash = sorted(folder.glob("shelf/*/*.live")), folder / "flash" / "segments"
    same = missing = 0
    for path in live:
        segment = flash / f"{path.stem}.seg"
        arrived, written = path.read_bytes(), segment.read_bytes()
        if arrived == written:
            same += 1
        else:
            missing += 1
    _say(f"6. The station has {len(live)} segment(s): {same} whole, as on flash bit for bit, {missing} in part")
    _say("   (what came before live view began, or was lost on the way, is fetched at the dock)")
    _say(f"   Verify it all: .venv/bin/python -m station verify {folder}/flash --device-key {folder}/device.pub")
    return 0 if live else 1


class running:  # noqa: N801 - reads as a verb
    """A program that runs for as long as the context lasts."""

    def __init__(self, command: list[str], log: Path, *, stdout: int = subprocess.DEVNULL) -> None:
        self._log = log.open("w")
        # Ctrl-C is for this program, which then ends the others in order.
        self._process = subprocess.Popen(command, stdout=stdout, stderr=self._log, text=True, start_new_session=True)

    def __enter__(self) -> subprocess.Popen[str]:
        return self._process

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()


def mosquitto() -> str:
    """Return the broker's program: Debian keeps it where a user's own PATH does not look.

    Raises:
        TroubleError: it is not installed.
    """
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/sbin")
    if found is None:
        raise TroubleError("mosquitto is missing: run `make setup`")
    return found


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _await_port(port: int) -> None:
    def answers() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return False
        return True

    _wait(answers, _START_S, "the broker did not start")


def _wait(done: object, timeout_s: float, otherwise: str) -> None:
    end_s = time.monotonic() + timeout_s
    while not done():  # type: ignore[operator]
        if time.monotonic() > end_s:
            raise TroubleError(otherwise)
        time.sleep(0.01)


if __name__ == "__main__":
    sys.exit(main())
