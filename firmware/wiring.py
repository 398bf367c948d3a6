"""From settings to a whole device: every part made once, handed to those who need it, closed in reverse order."""

from __future__ import annotations

import queue
import secrets
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from capture.capture import Capture
from capture.profiles import Profile, profile_named
from drivers.button.protocol import Button
from drivers.camera.protocol import Camera
from drivers.clock.protocol import Clock
from drivers.clock.system import SystemClock
from drivers.indicator.protocol import Indicator
from drivers.microphone.protocol import Microphone
from firmware.appliance import Appliance, Input, Snapshot
from firmware.gesture import GestureReader
from firmware.light_witness import LightWitness
from firmware.parts import Parts
from firmware.recorder import Recorder, RecorderTimes, Report
from firmware.settings import Settings
from firmware.stamps import Stamper
from storage.keyfiles import load_recipient
from storage.seal import SealedChunk
from storage.store import Store, StoreSettings

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> bytes:
    """Return the 16 bytes that name this run of the monotonic clock: the kernel's boot id."""
    try:
        return bytes.fromhex(_BOOT_ID.read_text("ascii").strip().replace("-", ""))
    except (OSError, ValueError):
        return secrets.token_bytes(16)


@dataclass(frozen=True, slots=True)
class Hardware:
    """The parts of one device."""

    camera: Camera
    microphone: Microphone
    indicator: Indicator
    button: Button
    clock: Clock


class Device:
    """A device, wired. A context manager: leaving it closes every part."""

    def __init__(self, settings: Settings, parts: Parts, on_change: Callable[[Snapshot], None]) -> None:
        """Open the store, recover, and make every part.

        Raises:
            SettingsError: a driver is unknown.
            CaptureError: the profile is unknown.
            StorageError: not enrolled, no recipient, or the store cannot be used.
            DriverError: a part is not there.
        """
        self._stack = ExitStack()
        try:
            self._wire(settings, parts, on_change)
        except BaseException:
            self._stack.close()
            raise

    def _wire(self, settings: Settings, parts: Parts, on_change: Callable[[Snapshot], None]) -> None:
        profile = profile_named(settings.recording.profile)
        options = settings.store
        recipients = [load_recipient(path) for path in options.recipients]
        clock = SystemClock()
        self._stack.enter_context(parts)
        hardware = Hardware(
            camera=self._stack.enter_context(parts.camera()),
            microphone=self._stack.enter_context(parts.microphone()),
            indicator=self._stack.enter_context(parts.indicator()),
            button=self._stack.enter_context(parts.button()),
            clock=clock,
        )
        self.hardware = hardware
        witness = LightWitness(hardware.indicator.state())
        self.inputs: queue.Queue[Input] = queue.Queue(4096)
        store = Store(
            options.flash,
            options.state,
            StoreSettings(recipients, options.cipher, options.reserve_mib * 1024 * 1024),
            boot_id(),
            self._durable,
        )
        self.store = self._stack.enter_context(store)
        self.captures: list[Capture] = []
        self.recorder = Recorder(
            store,
            Stamper(clock, witness),
            lambda: self._capture(profile),
            profile.name,
            self._report,
            monotonic_ns=clock.monotonic_ns,
            times=RecorderTimes(
                segment_ns=settings.recording.segment_s * 1_000_000_000,
                heartbeat_ns=settings.recording.heartbeat_s * 1_000_000_000,
            ),
        )
        self.recorder.note(
            "boot",
            last_run=store.recovery.how,
            cut_recording=store.recovery.recording.hex() if store.recovery.recording else None,
            torn_bytes=store.recovery.torn_bytes,
        )
        self.appliance = Appliance(
            self.recorder,
            hardware.indicator,
            hardware.button,
            clock,
            witness,
            self.inputs,
            gestures=GestureReader(),
            on_change=on_change,
        )

    def run(self) -> str:
        """Run the device until power-off; return the fault that stands then, or an empty text."""
        return self.appliance.run()

    @property
    def capture(self) -> Capture | None:
        """The capture under way, or the last one."""
        return self.captures[-1] if self.captures else None

    def _capture(self, profile: Profile) -> Capture:
        capture = Capture(profile, self.hardware.camera, self.hardware.microphone)
        self.captures[:] = [capture]
        return capture

    def _durable(self, chunk: SealedChunk) -> None:
        self.recorder.durable(chunk)

    def _report(self, report: Report) -> None:
        self.inputs.put(report, timeout=1.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
