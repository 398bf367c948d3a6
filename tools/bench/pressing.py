"""From the press on the button to the camera: what the device itself adds before the first picture that is kept."""

from __future__ import annotations

import os
import shutil
import statistics
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drivers.camera.protocol import AccessUnitSink, Camera, VideoFormat
from drivers.camera.synthetic import SyntheticCamera
from drivers.clock.system import SystemClock
from firmware.appliance import Snapshot
from firmware.board import find_board
from firmware.enrolling import enrol
from firmware.inputs import PowerOff
from firmware.parts import Parts
from firmware.settings import RecordingOptions, Settings, StoreOptions
from firmware.states import State
from firmware.wiring import Device
from station.keys import StationKey
from station.policy import template
from storage.keyfiles import encode_device_key
from storage.policy import sign_policy
from storage.signer import MemorySigner
from tools.bench.scratch import TMPFS
from tools.bench.table import Row

_PRESSES = 15
_WAIT_S = 30.0


class _TimedCamera(SyntheticCamera):
    """Remembers when it was started: from then on the time is the camera's own."""

    def __init__(self) -> None:
        super().__init__()
        self.started_ns: list[int] = []

    def start(self, fmt: VideoFormat, sink: AccessUnitSink) -> None:
        self.started_ns.append(SystemClock().monotonic_ns())
        super().start(fmt, sink)


class _TimedParts(Parts):
    """The simulated board with that camera."""

    def __init__(self) -> None:
        super().__init__(find_board("simulated"))
        self.timed = _TimedCamera()

    def camera(self) -> Camera:
        return self.timed


def pressing_rows() -> Iterator[Row]:
    """Press, record, stop, fifteen times over."""
    base = TMPFS / f"getuige-bench-pressing-{os.getpid()}"
    try:
        latencies_ms = _press(base)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    yield Row(
        "button to first kept picture", statistics.median(latencies_ms), "ms",
        f"median of {len(latencies_ms)} presses, beyond the camera's own start; worst {max(latencies_ms):.0f} ms; "
        "debouncing, light and its confirmation included",
        300, at_most=True,
    )  # fmt: skip


def _press(base: Path) -> list[float]:
    settings = _enrolled(base)
    parts = _TimedParts()
    changed = threading.Condition()
    states: list[State] = []

    def see(snapshot: Snapshot) -> None:
        with changed:
            states.append(snapshot.state)
            changed.notify_all()

    def wait_for(state: State) -> None:
        with changed:
            if not changed.wait_for(lambda: states[-1:] == [state], _WAIT_S):
                raise RuntimeError(f"the device did not come to {state.value}: {states[-3:]}")

    latencies_ms = []
    with Device(settings, parts, see) as device:
        button: Any = device.hardware.button
        thread = threading.Thread(target=device.run, name="appliance", daemon=True)
        thread.start()
        for _ in range(_PRESSES):
            wait_for(State.STANDBY)
            pressed_ns = SystemClock().monotonic_ns()
            button.press()
            wait_for(State.RECORDING)
            button.release()
            latencies_ms.append((parts.timed.started_ns[-1] - pressed_ns) / 1e6)
            threading.Event().wait(0.2)
            button.press()
            wait_for(State.STANDBY)
            button.release()
            threading.Event().wait(0.1)
        device.inputs.put(PowerOff(), timeout=1.0)
        thread.join(_WAIT_S)
    return latencies_ms


def _enrolled(base: Path) -> Settings:
    """A device of a throw-away unit, whose hold is a second so that the bench is over sooner."""
    base.mkdir(parents=True)
    unit = MemorySigner.generate()
    text = template("Bench", 1, datetime.now(UTC).replace(microsecond=0), 30, [StationKey.generate().recipient])
    text = text.replace('"1080p30"', '"480p30"').replace("hold_ms = 2000", "hold_ms = 1000")
    (base / "unit.pub").write_bytes(encode_device_key(unit.public))
    (base / "policy.toml").write_bytes(sign_policy(text.encode(), unit))
    enrol(base / "state", base / "unit.pub", base / "policy.toml", SystemClock().read())
    store = StoreOptions(flash=base / "flash", state=base / "state", reserve_mib=0)
    return Settings(store, RecordingOptions(), find_board("simulated"), self_test=False)
