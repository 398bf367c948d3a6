"""`make run`: the main job on simulated hardware, from the press on the button to the playing MP4.

The camera and the microphone are simulated and really encode; light and button are gpiozero's mock pins; recorder,
store, verifier and export are the real ones, the last two run as anybody would run them, from the command line.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

from capture.errors import CaptureError
from drivers.errors import DriverError
from firmware.cli import main as firmware_main
from firmware.errors import FirmwareError
from firmware.inputs import PowerOff
from firmware.parts import Parts
from firmware.settings import load_settings
from firmware.states import State
from firmware.wiring import Device
from storage.errors import StorageError
from tools.measure import MeasureError, Measurement, measure
from tools.mock_pins import MockPins
from tools.prepare import States, TroubleError, prepare, run_station

_HOLD_S = 2.3
_SYNC_MS = 20.0


def main() -> int:
    """Run the demo; the exit status is 0 if the footage is authentic, whole and in sync."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("build/demo"))
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--profile", default="720p30")
    parser.add_argument("--segment", type=int, default=60, help="seconds of media in a segment")
    parser.add_argument("--simulate", action="store_true", help="hold the device in the terminal instead")
    options = parser.parse_args()
    try:
        _say(f"1. Throw-away keys and a newly enrolled device, in {options.folder}/")
        prepare(options.folder, options.profile, options.segment)
        if options.simulate:
            return _simulate(options.folder)
        _record(options.folder, options.seconds)
        return _check(options.folder)
    except (TroubleError, FirmwareError, StorageError, DriverError, CaptureError, MeasureError) as error:
        sys.stderr.write(f"demo: {error}\n")
        return 2


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _simulate(folder: Path) -> int:
    status = firmware_main(["simulate", "--settings", str(folder / "device.toml")])
    _say(f"Check it with: .venv/bin/python -m station verify {folder}/flash --device-key {folder}/device.pub")
    return status


def _record(folder: Path, seconds: float) -> None:
    """Be the officer: press, wait, hold."""
    settings = load_settings(folder / "device.toml")
    pins = MockPins()
    states = States()
    with Device(settings, Parts(settings.board, pin_factory=pins.factory), states.changed) as device:
        button = pins.button
        ending: list[str] = []
        thread = threading.Thread(target=lambda: ending.append(device.run()), name="appliance", daemon=True)
        thread.start()
        states.wait_for(State.STANDBY, 30.0)
        _say("2. The officer presses the button")
        pressed_s = time.monotonic()
        button.drive_low()
        time.sleep(0.15)
        button.drive_high()
        states.wait_for(State.RECORDING, 10.0)
        _wait(lambda: device.recorder.progress.media_ns > 0, 15.0, "no chunk became durable")
        _say(f"   light on and sensed; first chunk durable {time.monotonic() - pressed_s:.2f} s after the press")
        _show_progress(device, seconds)
        _say("3. The officer holds the button for 2 s: stop")
        button.drive_low()
        time.sleep(_HOLD_S)
        button.drive_high()
        states.wait_for(State.STANDBY, 15.0)
        device.inputs.put(PowerOff(), timeout=1.0)
        thread.join(20.0)
        if thread.is_alive() or ending != [""]:
            raise TroubleError(f"the device did not end cleanly: {ending[0] if ending else 'it still runs'}")


def _show_progress(device: Device, seconds: float) -> None:
    end_s = time.monotonic() + seconds - _HOLD_S
    terminal = sys.stdout.isatty()
    while (left_s := end_s - time.monotonic()) > 0:
        progress = device.recorder.progress
        line = (
            f"   recording {progress.media_ns / 1e9:5.1f} s   segment {progress.segment}, "
            f"chunk {progress.chunk:3d}, chain {progress.chain.hex()[:12]}"
        )
        if terminal:
            sys.stdout.write(f"\r{line}")
            sys.stdout.flush()
        else:
            _say(line)
        time.sleep(min(left_s, 0.2 if terminal else 2.0))
    if terminal:
        sys.stdout.write("\n")


def _check(folder: Path) -> int:
    """Be the defence expert, then the unit; measure what came out."""
    _say("4. Anybody verifies it, with the public key alone")
    verified = json.loads(
        run_station("verify", str(folder / "flash"), "--device-key", str(folder / "device.pub"), "--json")
    )
    recording = verified["recordings"][0]
    _say("5. The unit opens and exports it")
    output = folder / "recording.mp4"
    run_station(
        "export", str(folder / "flash"), "--key", str(folder / "station.key"), "--recording", recording["id"],
        "--output", str(output), "--report", str(folder / "report.json"),
    )  # fmt: skip
    measured = measure(output)
    worst_ms = measured.lip_sync_max_ms
    whole = not measured.lost and not measured.duplicated and not measured.out_of_order and not measured.unreadable
    good = verified["verdict"] == "authentic" and whole and worst_ms is not None and worst_ms <= _SYNC_MS
    for line in _summary(recording, verified["verdict"], measured, output):
        _say(line)
    return 0 if good else 1


def _summary(recording: dict[str, Any], verdict: str, measured: Measurement, output: Path) -> list[str]:
    light = recording["indicator"]
    gaps = recording["gaps"]
    return [
        "",
        f"Recorded       {recording['duration_s']:.1f} s, {recording['profile']}, {measured.frames} frames with sound",
        f"Chain          {verdict}; {recording['chunks']} chunks, ended by {recording['end_reason']}",
        f"Light          on for {light['coverage']:.0%} of chunks, sensed lit in {light['sensed_lit_chunks']}",
        f"Lost frames    {measured.lost}" + (f"; {len(gaps)} gaps on record" if gaps else ", and no gap on record"),
        _sync(measured),
        f"Plays anywhere {output}",
        f"Report         {output.with_name('report.json')}",
    ]


def _sync(measured: Measurement) -> str:
    worst_ms = measured.lip_sync_max_ms
    if worst_ms is None:
        return "Lip-sync       not measured: no flash has its beep"
    return f"Lip-sync       {worst_ms:.1f} ms off at worst, over {len(measured.lip_sync_ms)} flashes and beeps"


def _wait(done: Any, timeout_s: float, otherwise: str) -> None:
    end_s = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > end_s:
            raise TroubleError(otherwise)
        time.sleep(0.01)


if __name__ == "__main__":
    sys.exit(main())
