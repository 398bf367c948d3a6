"""The self-test: all well, each failure there is, parts that hang, and what goes into the journal."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from drivers.button.simulated import SimulatedButton
from drivers.buzzer.disabled import DisabledBuzzer
from drivers.buzzer.protocol import Buzzer
from drivers.buzzer.simulated import SimulatedBuzzer
from drivers.camera.protocol import AccessUnitSink, VideoFormat
from drivers.clock.simulated import SimulatedClock
from drivers.errors import DriverError
from drivers.indicator.disabled import DisabledIndicator
from drivers.indicator.protocol import Indicator
from drivers.indicator.simulated import SimulatedIndicator
from drivers.microphone.disabled import DisabledMicrophone
from drivers.microphone.protocol import AudioFormat
from firmware.part_checks import BatteryCheck, ButtonCheck, CameraCheck, Harmless, LightCheck, MicrophoneCheck
from firmware.patience import GaveUpError, Patience
from firmware.policy_keeper import Kept, PolicyKeeper
from firmware.selftest import Check, Finding, Outcome, Result, SelfTest, SelfTestReport, passed
from firmware.state_checks import EARLIEST_UTC_NS, ClockCheck, FlashCheck, KeysCheck, PolicyCheck
from firmware.tone import SILENCE_DB, first_channel, tone_level_db
from storage.errors import EnrolmentError, StoreFailedError
from storage.events import encode_events, parse_events
from storage.keyring_file import KeyringFile, enrol_device
from storage.signer import MemorySigner
from tests.firmware.policies import make_policy
from tests.firmware.world import FORMAT, SECOND, World, WorldBattery, WorldCamera, WorldMicrophone, WorldPower, sound

YEAR_NS = 365 * 24 * 3600 * SECOND


@dataclass
class Bench:
    """Every part of a device, and the checks over them."""

    folder: Path
    world: World = field(default_factory=World)
    light: SimulatedIndicator = field(default_factory=SimulatedIndicator)
    button: SimulatedButton = field(default_factory=SimulatedButton)
    clock: SimulatedClock = field(default_factory=SimulatedClock)

    def __post_init__(self) -> None:
        self.buzzer = SimulatedBuzzer(now=self.world.now)
        self.microphone = WorldMicrophone(self.world, self.buzzer, self.light)
        self.power = WorldPower(self.world, self.light)
        self.camera = WorldCamera(self.world, self.power, self.light)
        self.battery = WorldBattery(self.world)

    def run(self, *checks: Check) -> SelfTestReport:
        return SelfTest(checks, patience=self.world.patience).run()

    def one(self, check: Check) -> Result:
        (result,) = self.run(check).results
        assert "\n" not in result.text
        assert not self.light.state().commanded
        assert not self.microphone.running
        assert not self.camera.running
        assert not self.power.asked
        assert self.buzzer.tone_hz == 0
        return result

    def light_check(self) -> Check:
        return LightCheck(self.light)

    def microphone_check(self, buzzer: Buzzer | None = None) -> Check:
        return MicrophoneCheck(self.microphone, buzzer or self.buzzer, self.light)

    def camera_check(self) -> Check:
        return CameraCheck(self.camera, self.power, self.light, FORMAT)

    def battery_check(self) -> Check:
        return BatteryCheck(self.battery, critical_percent=5)

    def flash_check(self, reserve_bytes: int = 0) -> Check:
        return FlashCheck(self.folder, reserve_bytes=reserve_bytes)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.light.close()
    made.button.close()
    made.buzzer.close()


def told(result: Result) -> tuple[Outcome, str]:
    return result.outcome, result.text


def all_checks(bench: Bench, state: Path) -> list[Check]:
    enrol_device(state, MemorySigner.generate())
    make_policy(state)
    keeper = PolicyKeeper(state)
    policy = keeper.load().policy
    assert policy is not None
    bench.clock.set_utc(policy.issued_utc_ns)
    return [
        bench.light_check(),
        ButtonCheck(bench.button),
        bench.microphone_check(),
        bench.camera_check(),
        bench.flash_check(),
        ClockCheck(bench.clock),
        bench.battery_check(),
        KeysCheck(KeyringFile(state).load, lambda: 1),
        PolicyCheck(keeper.load, bench.clock),
    ]


def test_all_is_well(bench: Bench, tmp_path: Path) -> None:
    report = bench.run(*all_checks(bench, tmp_path / "state"))
    assert report.passed, report.failures
    assert {result.outcome for result in report.results} == {Outcome.PASSED}
    assert not bench.camera.ran_in_the_dark
    assert not bench.microphone.ran_in_the_dark
    assert not bench.light.shining


def test_the_journal_gets_one_event_for_each_check_and_one_for_all(bench: Bench) -> None:
    bench.battery.refusal = "battery: no answer\n(errno 121)"
    no_microphone = MicrophoneCheck(DisabledMicrophone(), bench.buzzer, bench.light)
    report = bench.run(bench.light_check(), bench.battery_check(), no_microphone)
    events = report.events()
    assert parse_events(encode_events(events)) == events
    assert [event.name for event in events] == ["self-test check"] * 3 + ["self-test"]
    assert [event.time_ns for event in events] == sorted(event.time_ns for event in events)
    assert [(event.details["check"], event.details["outcome"]) for event in events[:3]] == [
        ("light", "passed"),
        ("battery", "failed"),
        ("microphone", "absent"),
    ]
    assert events[1].details["text"] == "battery: no answer (errno 121)"
    assert (events[3].details["passed"], events[3].details["failed"]) == (False, "battery")
    assert report.result("battery") == report.failures[0]
    assert report.result("gnss") is None
    assert SelfTestReport(()).events() == []


def test_a_light_that_follows(bench: Bench) -> None:
    assert told(bench.one(bench.light_check())) == (Outcome.PASSED, "sensed lit after 0 ms, and dark when off")


def test_a_light_that_comes_late(bench: Bench) -> None:
    bench.light.stick(False)
    bench.world.after(0.3, lambda: bench.light.stick(None))
    result = bench.one(bench.light_check())
    assert told(result) == (Outcome.PASSED, "sensed lit after 300 ms, and dark when off")
    assert result.duration_ns == 300_000_000


def test_a_light_that_stays_dark(bench: Bench) -> None:
    bench.light.stick(False)
    result = bench.one(bench.light_check())
    assert result.outcome is Outcome.FAILED
    assert result.text.startswith("commanded on, sensed dark for 0.5 s")
    assert not bench.light.state().commanded


def test_a_light_that_stays_lit(bench: Bench) -> None:
    bench.light.stick(True)
    (result,) = bench.run(bench.light_check()).results
    assert result.outcome is Outcome.FAILED
    assert result.text.startswith("commanded off, sensed lit for 0.5 s")


def test_a_light_without_a_sense_line(bench: Bench) -> None:
    bench.light = SimulatedIndicator(has_sense=False)
    result = bench.one(bench.light_check())
    assert result.outcome is Outcome.PASSED
    assert "not sensed" in result.text


@pytest.mark.parametrize("kind", [SimulatedIndicator, DisabledIndicator])
def test_a_light_that_cannot_be_commanded(bench: Bench, kind: type[Indicator]) -> None:
    light = kind()
    if isinstance(light, SimulatedIndicator):
        light.refuse("wire cut")
    with light:
        (result,) = bench.run(LightCheck(light)).results
    assert result.outcome is Outcome.FAILED


def test_a_button_that_is_up(bench: Bench) -> None:
    assert told(bench.one(ButtonCheck(bench.button))) == (Outcome.PASSED, "not pressed")


def test_a_button_that_is_stuck(bench: Bench) -> None:
    bench.button.press()
    result = bench.one(ButtonCheck(bench.button))
    assert told(result) == (Outcome.FAILED, "down for 5 s; free it, or check its wiring")
    assert result.duration_ns == 5 * SECOND


def test_a_press_during_the_test_is_no_fault(bench: Bench) -> None:
    bench.button.press()
    bench.world.after(1.0, bench.button.release)
    assert bench.one(ButtonCheck(bench.button)).outcome is Outcome.PASSED


def test_the_microphone_hears_the_buzzer(bench: Bench) -> None:
    result = bench.one(bench.microphone_check())
    assert result.outcome is Outcome.PASSED
    assert result.text.startswith("hears the buzzer: 3000 Hz at -18 dB")
    assert [tone for _, tone in bench.buzzer.changes] == [3000, 0]
    (on_ns, _), (off_ns, _) = bench.buzzer.changes
    assert off_ns - on_ns == 300_000_000
    assert not bench.microphone.ran_in_the_dark


def test_a_mute_buzzer_and_a_deaf_microphone(bench: Bench) -> None:
    bench.buzzer.mute(True)
    result = bench.one(bench.microphone_check())
    assert result.outcome is Outcome.FAILED
    assert result.text.startswith("does not hear the buzzer")
    assert len(bench.buzzer.changes) == 4, "it tries twice"
    bench.buzzer.mute(False)
    bench.microphone.deaf = True
    assert bench.one(bench.microphone_check()).outcome is Outcome.FAILED


def test_the_same_tone_from_elsewhere_is_not_the_buzzer(bench: Bench) -> None:
    bench.microphone.noise_hz = 3000
    assert bench.one(bench.microphone_check()).outcome is Outcome.FAILED


def test_another_tone_is_not_the_buzzer(bench: Bench) -> None:
    bench.microphone.deaf = True
    bench.world.each_step.append(lambda: setattr(bench.microphone, "noise_hz", 2000 if bench.buzzer.tone_hz else 0))
    assert bench.one(bench.microphone_check()).outcome is Outcome.FAILED


def test_a_knock_spoils_the_first_attempt_only(bench: Bench) -> None:
    bench.microphone.noise_hz = 3000
    bench.world.after(0.9, lambda: setattr(bench.microphone, "noise_hz", 0))
    assert bench.one(bench.microphone_check()).outcome is Outcome.PASSED


def test_a_microphone_that_delivers_nothing(bench: Bench) -> None:
    bench.microphone.silent = True
    bench.microphone.trouble = "microphone world: unplugged"
    result = bench.one(bench.microphone_check())
    assert told(result) == (Outcome.FAILED, "no sound came within 3 s; microphone world: unplugged")


def test_a_microphone_that_ends_in_the_middle(bench: Bench) -> None:
    bench.microphone.dies_after_s = 0.3
    result = bench.one(bench.microphone_check())
    assert told(result) == (Outcome.FAILED, "the sound stopped coming; check its connection")


def test_a_microphone_that_does_not_start(bench: Bench) -> None:
    bench.microphone.refusal = "microphone world: busy"
    assert told(bench.one(bench.microphone_check())) == (Outcome.FAILED, "microphone world: busy")


def test_a_buzzer_that_cannot_be_commanded(bench: Bench) -> None:
    bench.buzzer.refuse("wire cut")
    result = bench.one(bench.microphone_check())
    assert result.outcome is Outcome.FAILED
    assert "wire cut" in result.text


def test_without_a_buzzer_the_microphone_delivers_at_least(bench: Bench) -> None:
    result = bench.one(bench.microphone_check(DisabledBuzzer()))
    assert told(result) == (Outcome.PASSED, "it delivers sound; there is no buzzer that it could hear")


def test_without_a_microphone(bench: Bench) -> None:
    result = bench.one(MicrophoneCheck(DisabledMicrophone(), bench.buzzer, bench.light))
    assert told(result) == (Outcome.ABSENT, "the board has no microphone")
    assert bench.buzzer.changes == []


@pytest.mark.parametrize("which", ["microphone", "camera"])
def test_nothing_runs_while_the_light_is_dark(bench: Bench, which: str) -> None:
    bench.light.stick(False)
    result = bench.one(bench.microphone_check() if which == "microphone" else bench.camera_check())
    assert told(result) == (Outcome.FAILED, "not tried: the light stays dark; mend the light first")
    assert (bench.microphone.starts, bench.camera.starts) == (0, 0)


@pytest.mark.parametrize("which", ["microphone", "camera"])
def test_a_light_that_goes_dark_ends_it_at_once(bench: Bench, which: str) -> None:
    bench.camera.key_after_s = 3.0
    bench.world.after(0.21, lambda: bench.light.stick(False))
    result = bench.one(bench.microphone_check() if which == "microphone" else bench.camera_check())
    assert told(result) == (Outcome.FAILED, "the light went dark; ended at once")
    assert result.duration_ns <= 230_000_000


def test_the_camera_delivers(bench: Bench) -> None:
    result = bench.one(bench.camera_check())
    assert told(result) == (Outcome.PASSED, "a key picture after 400 ms")
    assert bench.camera.formats == [FORMAT]
    assert not bench.camera.ran_in_the_dark


def test_a_camera_without_a_key_picture(bench: Bench) -> None:
    bench.camera.key_after_s = 6.0
    result = bench.one(bench.camera_check())
    assert told(result) == (Outcome.FAILED, "no key picture within 5 s; check its cable")
    bench.camera.trouble = "camera world: the sensor is silent"
    assert bench.one(bench.camera_check()).text.endswith("the sensor is silent")


def test_a_camera_that_does_not_start(bench: Bench) -> None:
    bench.camera.refusal = "camera world: absent"
    assert told(bench.one(bench.camera_check())) == (Outcome.FAILED, "camera world: absent")


def test_a_camera_without_power(bench: Bench) -> None:
    bench.power.dead = True
    result = bench.one(bench.camera_check())
    assert told(result) == (Outcome.FAILED, "the camera has no power 2 s after it was asked for")
    assert bench.camera.starts == 0


def test_a_power_switch_that_cannot_be_commanded(bench: Bench) -> None:
    bench.power.refusal = "companion: no answer"
    result = bench.one(bench.camera_check())
    assert told(result) == (Outcome.FAILED, "companion: no answer")


def test_a_battery(bench: Bench) -> None:
    assert told(bench.one(bench.battery_check())) == (Outcome.PASSED, "80 %, 3912 mV, not charging")
    bench.battery.percent = 5.0
    assert told(bench.one(bench.battery_check())) == (
        Outcome.FAILED,
        "5 %, 3912 mV, not charging: at or below 5 %; charge it",
    )
    bench.battery.charging = True
    assert bench.one(bench.battery_check()).outcome is Outcome.PASSED
    bench.battery.charging = None
    assert bench.one(bench.battery_check()).outcome is Outcome.FAILED


def test_a_gauge_that_needs_a_moment_and_one_that_says_nothing(bench: Bench) -> None:
    bench.battery.answers_at_ns = bench.world.now_ns + SECOND
    assert bench.one(bench.battery_check()).outcome is Outcome.PASSED
    bench.battery.answers_at_ns = bench.world.now_ns + 100 * SECOND
    assert bench.one(bench.battery_check()).text == "the gauge said nothing for 2 s; check its connection"


def test_no_gauge_and_a_broken_one(bench: Bench) -> None:
    bench.battery.refusal = "battery: no answer"
    assert told(bench.one(bench.battery_check())) == (Outcome.FAILED, "battery: no answer")
    bench.battery.present = False
    assert bench.one(bench.battery_check()).outcome is Outcome.ABSENT


def test_the_flash_takes_and_gives_back(bench: Bench) -> None:
    (bench.folder / "self-test.tmp").write_bytes(b"left by a power cut")
    result = bench.one(bench.flash_check())
    assert result.outcome is Outcome.PASSED
    assert "MiB are free" in result.text
    assert list(bench.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("call", "code", "said"),
    [
        ("fdatasync", 5, "refused a write or a read (Input/output error)"),
        ("writev", 28, "no room is left on the flash"),
        ("writev", 30, "refused a write or a read (Read-only file system)"),
    ],
)
def test_a_flash_that_refuses(bench: Bench, monkeypatch: pytest.MonkeyPatch, call: str, code: int, said: str) -> None:
    def refuse(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, refuse)
        result = bench.one(bench.flash_check())
    assert result.outcome is Outcome.FAILED
    assert said in result.text
    assert list(bench.folder.iterdir()) == []


def test_a_flash_that_forgets(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", lambda _: bytes(256 * 1024))
        result = bench.one(bench.flash_check())
    assert told(result) == (Outcome.FAILED, "the flash gave back something else than was written; replace the card")


def test_a_flash_that_is_full_or_not_there(bench: Bench) -> None:
    result = bench.one(bench.flash_check(reserve_bytes=1 << 60))
    assert result.outcome is Outcome.FAILED
    assert "in reserve; offload it" in result.text
    missing = bench.one(FlashCheck(bench.folder / "none", reserve_bytes=0))
    assert "No such file" in missing.text


def test_a_clock(bench: Bench) -> None:
    bench.clock.set_utc(1_790_000_000 * SECOND)
    assert told(bench.one(ClockCheck(bench.clock))) == (
        Outcome.PASSED,
        "2026-09-21 14:13:20 UTC, synchronised within 10 ms",
    )
    bench.clock.uncertainty_ms = None
    assert bench.one(ClockCheck(bench.clock)).text.endswith("UTC, synchronised")
    bench.clock.synchronised = False
    assert told(bench.one(ClockCheck(bench.clock))) == (Outcome.PASSED, "2026-09-21 14:13:20 UTC, not synchronised")


@pytest.mark.parametrize("utc_ns", [0, -(1 << 70), EARLIEST_UTC_NS - 1, EARLIEST_UTC_NS + 100 * YEAR_NS, 1 << 80])
def test_a_clock_that_went_astray(bench: Bench, utc_ns: int) -> None:
    bench.clock.set_utc(utc_ns)
    assert bench.one(ClockCheck(bench.clock)).outcome is Outcome.FAILED


def test_a_clock_behind_what_is_on_record(bench: Bench) -> None:
    last_ns = bench.clock.read().utc_ns
    bench.clock.set_utc(last_ns - SECOND)
    result = bench.one(ClockCheck(bench.clock, earliest_utc_ns=last_ns))
    assert result.outcome is Outcome.FAILED
    assert result.text.endswith("UTC before; set the clock")


def test_keys(bench: Bench, tmp_path: Path) -> None:
    state = tmp_path / "state"
    keyring = KeyringFile(state)
    none = bench.one(KeysCheck(keyring.load, lambda: 1))
    assert none.outcome is Outcome.FAILED
    assert "not enrolled" in none.text
    enrol_device(state, MemorySigner.generate())
    good = bench.one(KeysCheck(keyring.load, lambda: 1))
    assert good.outcome is Outcome.PASSED
    gone = bench.one(KeysCheck(keyring.load, lambda: 1000))
    assert told(gone) == (Outcome.FAILED, "the signing key of segment 1000 is not in the keyring; take the device in")
    asked: list[int] = []

    def opening() -> int:
        """The recorder goes on to the next segment while it is looked at."""
        asked.append(1000 if len(asked) < 3 else 1)
        return asked[-1]

    assert bench.one(KeysCheck(keyring.load, opening)).outcome is Outcome.PASSED
    data = bytearray((state / "keyring").read_bytes())
    data[len(data) // 2] ^= 1
    (state / "keyring").write_bytes(data)
    assert "damaged" in bench.one(KeysCheck(keyring.load, lambda: 1)).text


def test_a_policy(bench: Bench, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    keeper = PolicyKeeper(state)
    none = bench.one(PolicyCheck(keeper.load, bench.clock))
    assert none.outcome is Outcome.FAILED
    assert "belongs to no unit" in none.text
    make_policy(state)
    policy = keeper.load()
    assert policy.policy is not None
    bench.clock.set_utc(policy.policy.expires_utc_ns - 1)
    good = bench.one(PolicyCheck(keeper.load, bench.clock))
    assert good.outcome is Outcome.PASSED
    assert good.text.startswith("serial 1 of Test unit, until ")
    bench.clock.set_utc(policy.policy.expires_utc_ns)
    expired = bench.one(PolicyCheck(keeper.load, bench.clock))
    assert expired.outcome is Outcome.FAILED
    assert "has expired; it stays in force" in expired.text
    troubled = Kept(policy.policy, "the note cannot be written")
    assert told(bench.one(PolicyCheck(lambda: troubled, bench.clock))) == (
        Outcome.FAILED,
        "the note cannot be written",
    )
    assert bench.one(PolicyCheck(lambda: Kept(None), bench.clock)).outcome is Outcome.FAILED


class HangingCamera(WorldCamera):
    """Hangs in `start` until somebody takes its power away."""

    def __init__(self, world: World, power: HangingPower, light: SimulatedIndicator) -> None:
        super().__init__(world, power, light)
        self._switch = power

    def start(self, fmt: VideoFormat, sink: AccessUnitSink) -> None:
        self.begin()
        assert self._switch.cut.wait(30)


class HangingPower(WorldPower):
    """Tells when its power is taken away."""

    def __init__(self, world: World, light: SimulatedIndicator) -> None:
        super().__init__(world, light)
        self.cut = threading.Event()

    def enable(self, on: bool) -> None:
        super().enable(on)
        if not on:
            self.cut.set()


def test_a_camera_that_hangs_loses_its_power_and_the_test_goes_on(bench: Bench) -> None:
    power = HangingPower(bench.world, bench.light)
    camera = HangingCamera(bench.world, power, bench.light)
    check = CameraCheck(camera, power, bench.light, FORMAT)
    check.limit_s = 0.05
    report = bench.run(check, ButtonCheck(bench.button))
    assert [result.outcome for result in report.results] == [Outcome.FAILED, Outcome.PASSED]
    assert report.results[0].text == "did not answer within 0.05 s; restart the device"
    assert (camera.running, power.asked, bench.light.shining) == (False, False, False)


class Stubborn(Harmless):
    """Hangs for good; cannot be made harmless either."""

    name = "stubborn"
    limit_s = 0.05

    def __init__(self) -> None:
        self.release = threading.Event()

    def run(self, _patience: Patience) -> Finding:
        self.release.wait(30)
        return passed("too late")

    def abandon(self) -> None:
        self.release.set()
        raise DriverError("stubborn: cannot be stopped")


def test_what_comes_too_late_does_not_count(bench: Bench) -> None:
    (result,) = bench.run(Stubborn()).results
    assert told(result) == (
        Outcome.FAILED,
        "did not answer within 0.05 s; restart the device (stubborn: cannot be stopped)",
    )


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (DriverError("part: broken"), "part: broken"),
        (StoreFailedError("store: broken"), "store: broken"),
        (EnrolmentError("not enrolled"), "not enrolled"),
        (OSError(5, "Input/output error"), "Input/output error"),
        (KeyError("secret"), "the check itself broke (KeyError)"),
        (DriverError("x" * 500), "x" * 199 + "…"),
    ],
)
def test_every_error_is_a_failure_in_one_line(
    bench: Bench, caplog: pytest.LogCaptureFixture, error: Exception, said: str
) -> None:
    class Broken(Harmless):
        name = "broken"
        limit_s = 5.0

        def run(self, _patience: Patience) -> Finding:
            raise error

    assert told(bench.one(Broken())) == (Outcome.FAILED, said)


def test_checks_run_on_threads_with_a_name(bench: Bench) -> None:
    class Named(Harmless):
        name = "named"
        limit_s = 5.0

        def run(self, _patience: Patience) -> Finding:
            return passed(threading.current_thread().name)

    assert bench.one(Named()).text == "self-test named"


def test_patience_in_real_time() -> None:
    patience = Patience()
    looks: list[int] = []

    def third_look() -> bool:
        looks.append(1)
        return len(looks) >= 3

    assert patience.until(third_look, 10)
    assert len(looks) == 3
    assert not patience.until(lambda: False, 0.02)
    assert patience.until(lambda: True, 0)
    patience.give_up()
    with pytest.raises(GaveUpError):
        patience.pause(10)
    with pytest.raises(GaveUpError):
        patience.until(lambda: False, 10)


@pytest.mark.parametrize(("peak", "level"), [(32700, 0.0), (3277, -20.0), (33, -60.0)])
def test_the_level_of_a_tone(peak: int, level: float) -> None:
    fmt = AudioFormat(channels=2)
    samples = first_channel(sound(fmt, 3000, peak), 2)
    assert len(samples) == 960
    assert tone_level_db(samples, 48_000, 3000) == pytest.approx(level, abs=0.5)
    if peak > 100:
        assert tone_level_db(samples, 48_000, 2500) < level - 20


def test_the_level_of_nothing() -> None:
    assert tone_level_db([], 48_000, 3000) == SILENCE_DB
    assert tone_level_db([0] * 960, 48_000, 3000) == SILENCE_DB
