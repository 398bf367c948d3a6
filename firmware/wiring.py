"""From settings to a whole device: every part made once, handed to those who need it, closed in reverse order."""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from capture.capture import Capture
from capture.profiles import Profile, bytes_per_s, profile_named
from drivers.accelerometer.falls import FallDetector
from drivers.accelerometer.protocol import Acceleration
from drivers.clock.protocol import Clock
from drivers.companion.link import CompanionLink
from drivers.errors import DriverError
from drivers.gnss.protocol import Fix
from firmware.acts import ActWatch
from firmware.appliance import Appliance, Records, Snapshot
from firmware.boot import boot_id
from firmware.checks import make_checks
from firmware.companion_program import ProgramLog, carried_program
from firmware.custodian import Custodian
from firmware.docking import Docking
from firmware.enrolment.watch import EnrolmentWatch, marks
from firmware.errors import EnrolError, FirmwareError
from firmware.gesture import GestureReader, GestureTimes
from firmware.hardware import Hardware, make_hardware
from firmware.health import HealthWatch
from firmware.inputs import Docked, Fall, Input, PowerOff, Trouble
from firmware.light_witness import LightWitness
from firmware.line_counts import LineCounts
from firmware.live_uplink import LiveUplink, health_of
from firmware.live_view import LiveView
from firmware.networks import NetworksFile, with_broker
from firmware.night import NightWatch
from firmware.parts import Parts
from firmware.patterns import NIGHT_LEVEL
from firmware.policy_keeper import PolicyKeeper
from firmware.positions import PositionLog
from firmware.recorder import Recorder, RecorderTimes, Report
from firmware.rules import Rules, gesture_times
from firmware.service import Service
from firmware.settings import Settings
from firmware.signaller import Signaller
from firmware.stamps import Stamper
from firmware.states import State
from firmware.status_file import StatusFile, status_of
from firmware.tester import SelfTester
from firmware.unenrolled import NoRecorder
from storage.keyring_file import is_enrolled
from storage.policy_fields import Live, Policy
from storage.room import minutes_left
from storage.seal import SealedChunk
from storage.store import Store, StoreSettings

_log = logging.getLogger("getuige")
_INPUTS = 4096
_NO_BUFFER = "the companion controller keeps the camera without power until the light is lit: nothing is held before"


class Device:
    """A device, wired. A context manager: leaving it closes every part.

    Without an identity, a unit or a policy it is *unenrolled*: light and button work and say so, and nothing records.
    """

    def __init__(
        self,
        settings: Settings,
        parts: Parts,
        on_change: Callable[[Snapshot], None],
        service: Service | None = None,
        *,
        clock: Clock | None = None,
        sync: Callable[[int], None] | None = None,
        health_s: float = 5.0,
        custody_s: float = 60.0,
    ) -> None:
        """Read the policy, open the store, recover, and make every part.

        `clock` stands in for the system's, and `sync` for fdatasync(2), where those are simulated; `health_s` is how
        often battery, room and clock are looked at, `custody_s` how often the age of what is stored.

        Raises:
            StorageError: the store cannot be used.
            DriverError: a part is not there.
        """
        self.inputs: queue.Queue[Input] = queue.Queue(_INPUTS)
        self.captures: list[Capture] = []
        self._service = service or Service(None)
        self._boot = boot_id()
        self._stack = ExitStack()
        try:
            begun = marks(settings.store.state)
            keeper = PolicyKeeper(settings.store.state)
            kept = keeper.load()
            self.policy = kept.policy if is_enrolled(settings.store.state) else None
            self.rules = Rules.of(self.policy) if self.policy else Rules()
            self._health_s, self._custody_s = health_s, custody_s
            parts.audible = self.rules.on_dark_announce
            if self.rules.buffering and parts.board.camera_power.driver == "companion":
                # It gives the camera no power in standby, whatever a policy says.
                self.rules = replace(self.rules, buffering=False)
                self._put(Trouble("pre-event buffer", _NO_BUFFER))
            self.hardware: Hardware = make_hardware(parts, self._stack, clock)
            self._link = parts.link
            self._link_fault = ""
            self._enrolment = EnrolmentWatch(
                settings.store.state, begun, self.hardware.clock.monotonic_ns, enrolled=self.policy is not None
            )
            self._wire(settings, keeper, kept.trouble, on_change, sync)
        except BaseException:
            self._stack.close()
            raise

    def _wire(
        self,
        settings: Settings,
        keeper: PolicyKeeper,
        trouble: str,
        on_change: Callable[[Snapshot], None],
        sync: Callable[[int], None] | None,
    ) -> None:
        hardware = self.hardware
        witness = LightWitness(hardware.indicator.state())
        self.store: Store | None = None
        self._line_counts: LineCounts | None = None
        self._program_log: ProgramLog | None = None
        self._acts: ActWatch | None = None
        self._status: StatusFile | None = None
        if settings.console.status:
            self._status = StatusFile(Path(settings.console.status), self._boot, hardware.clock.monotonic_ns)
            self._stack.callback(self._status.close)
        self._custodian_missed = False
        self._uplink_missed = False
        tester: SelfTester | None = None
        cut: bytes | None = None
        records: Records = NoRecorder()
        live: LiveView | None = None

        def changed(snapshot: Snapshot) -> None:
            if self.uplink is not None:
                self.uplink.changed()
            if self._status is not None:
                self._status.write(self._told(snapshot))
            on_change(snapshot)

        self.uplink: LiveUplink | None = None
        if self.policy is not None:
            store = self._stack.enter_context(_open_store(settings, self.policy, self._durable, sync, self._boot))
            self.store, cut = store, store.recovery.recording
            if self.policy.recording.live is not Live.OFF:
                self.uplink = self._make_uplink(settings, store)
            self.recorder = self._make_recorder(settings, self.policy, store, Stamper(hardware.clock, witness))
            records = self.recorder
            self._line_counts = LineCounts(self.recorder.note)
            self._program_log = ProgramLog(self.recorder.note, carried_program)
            self._acts = ActWatch(settings.store.state, self.recorder.offer, hardware.clock.monotonic_ns)
            self._stack.callback(self._acts.close)
            self._acts.begin()
            if settings.self_test:
                profile = profile_named(self.policy.recording.video_profile)

                def next_segment() -> int:
                    return store.previous.segment + 1 + (store.open_segment is not None)

                checks = make_checks(hardware, settings, self.policy, next_segment, keeper, profile, self._link)
                tester = SelfTester(checks, lambda name, details: self.recorder.note(name, **details), self._put)
            self._make_watches(settings, self.policy, store, keeper)
        else:
            # There is no chain to put it on record in.
            _log.warning("unenrolled: %s", trouble or "the device has no identity; enrol it")
        floor = self.policy.signals.night_floor_percent / 100 if self.policy else NIGHT_LEVEL
        self.signaller = Signaller(
            hardware.indicator,
            hardware.buzzer,
            hardware.haptics,
            hardware.clock.monotonic_ns,
            on_fault=lambda part, text: self._put(Trouble(part, text)),
            floor=floor,
        )
        self._stack.callback(self.signaller.close)
        self._night = NightWatch(hardware.clock, self.policy.signals, self._set_night) if self.policy else None
        if self.policy is not None and self.uplink is not None:
            live = LiveView(
                self.policy.recording.live,
                self.uplink,
                self.recorder.note,
                self.signaller.play,
                hardware.clock.monotonic_ns,
            )
        self.appliance = Appliance(
            records,
            hardware.indicator,
            hardware.button,
            self.signaller,
            hardware.clock,
            witness,
            self.inputs,
            gestures=GestureReader(gesture_times(self.policy) if self.policy else GestureTimes()),
            rules=self.rules,
            tester=tester,
            enrolled=self.policy is not None,
            cut_recording=cut,
            live=live,
            on_change=changed,
            on_tick=self._tick,
        )

    def _make_recorder(self, settings: Settings, policy: Policy, store: Store, stamper: Stamper) -> Recorder:
        profile = profile_named(policy.recording.video_profile)
        recovery = store.recovery
        recorder = Recorder(
            store,
            stamper,
            lambda: self._capture(profile),
            profile.name,
            self._report,
            monotonic_ns=self.hardware.clock.monotonic_ns,
            times=RecorderTimes(
                segment_ns=settings.recording.segment_s * 1_000_000_000,
                heartbeat_ns=settings.recording.heartbeat_s * 1_000_000_000,
                pre_event_ns=policy.recording.pre_event_s * 1_000_000_000 if self.rules.buffering else 0,
            ),
            on_sound=self._sound if self.hardware.microphone.present else None,
            on_buffer_trouble=lambda text: self._put(Trouble("pre-event buffer", text)),
            previews=self.uplink,
        )
        recorder.note(
            "boot",
            last_run=recovery.how,
            cut_recording=recovery.recording.hex() if recovery.recording else None,
            torn_bytes=recovery.torn_bytes,
        )
        recorder.note("policy", serial=policy.serial, unit=policy.unit, digest=policy.digest.hex())
        if policy.expired_at(self.hardware.clock.read().utc_ns):
            recorder.note("policy-expired", serial=policy.serial)
        return recorder

    def _make_uplink(self, settings: Settings, store: Store) -> LiveUplink:
        def health() -> dict[str, object]:
            return health_of(self.appliance.snapshot)

        live = settings.live
        try:
            live = with_broker(live, NetworksFile(settings.store.state).load())
        except EnrolError as error:
            self._put(Trouble("networks", str(error)))
        uplink = LiveUplink(live, settings.tls, store.device, health, self._put, lambda: self.recorder.note)
        self._stack.callback(uplink.close)
        return uplink

    def _make_watches(self, settings: Settings, policy: Policy, store: Store, keeper: PolicyKeeper) -> None:
        hardware, note = self.hardware, self.recorder.note
        rate = bytes_per_s(profile_named(policy.recording.video_profile))
        health = HealthWatch(
            hardware.battery,
            store.free_percent,
            lambda: minutes_left(store.free_bytes(), rate),
            hardware.clock,
            self._put,
            note,
            period_s=self._health_s,
        )
        self._stack.callback(health.close)
        health.begin()
        self.custodian = custodian = Custodian(
            settings.store.flash,
            settings.store.state,
            store.identity,
            store.device,
            self._boot,
            policy.evidence.retention_days,
            policy.evidence.receipt_keys,
            hardware.clock,
            self.recorder,
            lambda: store.open_segment,
            self._put,
            period_s=self._custody_s,
        )
        self._stack.callback(custodian.close)
        custodian.begin()
        positions = PositionLog(lambda: any(self.recorder.progress.recording), note)
        falls = FallDetector()

        def feel(sample: Acceleration) -> None:
            if (kind := falls.feel(sample)) is not None:
                self._put(Fall(kind.kind, kind.peak_mg))

        def locate(fix: Fix) -> None:
            hardware.clock.gnss(fix)
            positions.fix(fix)

        if rtc_trouble := hardware.clock.rtc(hardware.rtc):
            self._put(Trouble("rtc", rtc_trouble))
        # An extra that is broken keeps no officer from recording.
        try:
            hardware.gnss.start(locate)
        except DriverError as error:
            self._put(Trouble("gnss", str(error)))
        try:
            hardware.accelerometer.start(feel)
        except DriverError as error:
            self._put(Trouble("accelerometer", str(error)))
        self.docking = docking = Docking(
            settings.dock, settings.tls, settings.store.flash, settings.store.state, store, keeper, custodian,
            hardware.clock, note, self._put,
        )  # fmt: skip
        self._stack.callback(docking.close)
        docking.begin()

        def dock(docked: bool) -> None:
            self._put(Docked(docked))
            docking.docked(docked)

        hardware.dock.watch(dock)
        self._stack.callback(hardware.dock.watch, None)
        if hardware.dock.docked:
            dock(True)

    def run(self) -> str:
        """Run the device until power-off; return the fault that stands then, or an empty text."""
        self.signaller.begin()
        if self.uplink is not None:
            self.uplink.begin()
        self._service.ready()
        try:
            fault = self.appliance.run()
            if self._acts is not None and not fault:
                self._acts.close()
                self._acts.ended()
            return fault
        finally:
            self._service.stopping()

    @property
    def capture(self) -> Capture | None:
        """The capture under way, or the last one."""
        return self.captures[-1] if self.captures else None

    def _tick(self) -> None:
        """The main thread lives: whoever would act on its death is told so."""
        self._service.alive()
        if self._status is not None:
            self._status.beat(lambda: self._told(self.appliance.snapshot))
        if self._link is not None:
            self._tend(self._link)
        if self._night is not None:
            self._night.look()
        if self.store is not None and not self.custodian.alive and not self._custodian_missed:
            # No recording suffers: it goes on, and says that nothing grows old any more.
            self._custodian_missed = True
            self._put(Trouble("retention", "the custodian's thread ended by itself; restart the device"))
        if self.uplink is not None and not self.uplink.alive and not self._uplink_missed:
            self._uplink_missed = True
            self._put(Trouble("live", "its thread ended by itself: nothing goes out; restart the device"))
        if self._enrolment.due(self.appliance.snapshot.state):
            _log.info("enrolled: ending, to be started anew")
            if self.store is not None:
                self.recorder.note("enrolment")
            self._put(PowerOff())
        if not self.signaller.alive:
            raise FirmwareError("the signaller ended by itself: the device can tell nobody what it does")

    def _told(self, snapshot: Snapshot) -> dict[str, Any]:
        return status_of(
            snapshot,
            self.hardware.clock.read(),
            policy_serial=self.policy.serial if self.policy else None,
            segment_open=self.store is not None and self.store.open_segment is not None,
            companion=self._link.greeting if self._link is not None else None,
        )

    def _set_night(self, night: bool) -> None:
        self.recorder.note("night", on=night)
        self.signaller.set_night(night)

    def _tend(self, link: CompanionLink) -> None:
        """Keep the companion controller from falling to its safe state, and tell what is wrong with its line."""
        if not link.alive:
            raise FirmwareError("the companion's thread ended by itself: light and button are out of reach")
        link.refresh()
        if self.appliance.snapshot.state is State.RECORDING_DARK and self.signaller.sounding:
            link.announce_audibly()
        if self._line_counts is not None:
            self._line_counts.look(link.counters, self.hardware.clock.monotonic_ns())
        if self._program_log is not None:
            self._program_log.look(link.greeting)
        fault = link.fault() or ""
        if fault != self._link_fault:
            self._link_fault = fault
            self._put(Trouble("companion", fault))

    def _capture(self, profile: Profile) -> Capture:
        clock = self.hardware.clock.monotonic_ns
        capture = Capture(profile, self.hardware.camera, self.hardware.microphone, clock=clock)
        self.captures[:] = [capture]
        return capture

    def _durable(self, chunk: SealedChunk) -> None:
        self.recorder.durable(chunk)
        if self.uplink is not None:
            self.uplink.durable(chunk)

    def _report(self, report: Report) -> None:
        self.inputs.put(report, timeout=1.0)

    def _sound(self, live: bool) -> None:
        self._put(Trouble("microphone", "" if live else "it is silent: the recording goes on without sound"))

    def _put(self, item: Input) -> None:
        """Hand over and return; what does not fit is on record as dropped."""
        try:
            self.inputs.put_nowait(item)
        except queue.Full:
            if self.store is not None:
                self.recorder.note("input-dropped", what=type(item).__name__)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def _open_store(
    settings: Settings,
    policy: Policy,
    on_durable: Callable[[SealedChunk], None],
    sync: Callable[[int], None] | None,
    boot: bytes,
) -> Store:
    options, evidence = settings.store, policy.evidence
    return Store(
        options.flash,
        options.state,
        StoreSettings(evidence.recipients, evidence.cipher, options.reserve_mib * 1024 * 1024),
        boot,
        on_durable,
        sync=sync,
    )
