"""``python -m firmware self-test``: the self-test of a device that is not running, for people and, in JSON, programs.

It looks at the store and records nothing, so that what a crash left there is found, and put on record, by the next
start. A device without a unit is tested as far as it goes, and says what it lacks.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from capture.profiles import PROFILES, profile_named
from drivers.companion.link import CompanionLink
from firmware.checks import make_checks
from firmware.hardware import Hardware, make_hardware
from firmware.part_checks import BatteryCheck, ButtonCheck, CameraCheck, Harmless, LightCheck, MicrophoneCheck
from firmware.parts import Parts
from firmware.patience import Patience
from firmware.policy_keeper import PolicyKeeper
from firmware.selftest import Check, Finding, Outcome, Result, SelfTest, SelfTestReport, failed
from firmware.settings import Settings, StoreOptions
from firmware.state_checks import ClockCheck, FlashCheck
from storage.inventory import SEGMENTS, SUFFIX, segment_number
from storage.keyring_file import KeyringFile, is_enrolled
from storage.policy_fields import WarningLimits

_PASSED, _FAILED = 0, 1
_REFRESH_S = 0.2
_MARKS = {Outcome.PASSED: "ok", Outcome.FAILED: "FAILED", Outcome.ABSENT: "absent"}


def self_test(settings: Settings, out: TextIO, *, as_json: bool = False) -> int:
    """Run every check, and tell each result as it comes; return the exit status, 1 if any check failed.

    Raises:
        DriverError: a part of the board is not there at all.
    """
    with ExitStack() as stack:
        parts = Parts(settings.board)
        hardware = make_hardware(parts, stack)
        checks = checks_for(settings, hardware, parts.link)

        def tell(result: Result) -> None:
            if not as_json:
                out.write(f"{_MARKS[result.outcome]:6} {result.name}: {result.text}\n")
                out.flush()

        report = run_checks(checks, tell, parts.link)
    if as_json:
        out.write(json.dumps(as_dict(report), ensure_ascii=False) + "\n")
    else:
        names = ", ".join(result.name for result in report.failures)
        out.write(f"self-test failed: {names}\n" if names else "self-test passed\n")
    return _PASSED if report.passed else _FAILED


def run_checks(checks: Sequence[Check], tell: Callable[[Result], None], link: CompanionLink | None) -> SelfTestReport:
    """Run checks one after another; while they run, the companion controller, where there is one, is kept awake."""
    results: list[Result] = []
    found: queue.Queue[Result] = queue.Queue(len(checks))

    def work() -> None:
        for check in checks:
            found.put(SelfTest([check]).run().results[0])

    threading.Thread(target=work, name="self-test", daemon=True).start()
    while len(results) < len(checks):
        if link is not None:
            link.refresh()
        with suppress(queue.Empty):
            results.append(found.get(timeout=_REFRESH_S))
            tell(results[-1])
    return SelfTestReport(tuple(results))


def as_dict(report: SelfTestReport) -> dict[str, object]:
    """Return a report as JSON has it."""
    return {
        "passed": report.passed,
        "checks": [
            {
                "name": result.name,
                "outcome": result.outcome.value,
                "text": result.text,
                "duration_ms": result.duration_ns // 1_000_000,
            }
            for result in report.results
        ],
    }


def checks_for(settings: Settings, hardware: Hardware, link: CompanionLink | None = None) -> list[Check]:
    """Return the checks of a device that is not running; without a unit, as far as they go."""
    keeper = PolicyKeeper(settings.store.state)
    kept = keeper.load()
    if not is_enrolled(settings.store.state):
        return _without_unit(settings, hardware, "keys", "the device has no identity; enrol it")
    if kept.policy is None:
        return _without_unit(settings, hardware, "policy", kept.trouble)
    profile = profile_named(kept.policy.recording.video_profile)

    def next_segment() -> int:
        return _next_segment(settings.store)

    # Before its first start a device has no store yet.
    placed = replace(settings, store=replace(settings.store, flash=_place(settings.store.flash)))
    return make_checks(hardware, placed, kept.policy, next_segment, keeper, profile, link)


def _next_segment(store: StoreOptions) -> int:
    """Return which segment the next start will open: after the last file, or that one where its beginning was cut."""
    numbers = [segment_number(path) for path in (store.flash / SEGMENTS).glob(f"*{SUFFIX}")]
    last = max((number for number in numbers if number is not None), default=0)
    seeds = KeyringFile(store.state).load().seeds
    return last if last in seeds else last + 1


@dataclass(frozen=True, slots=True)
class _Lacking(Harmless):
    """Stands for the checks that cannot be made, and says why."""

    name: str
    text: str
    limit_s: float = 1.0

    def run(self, _patience: Patience) -> Finding:
        """Say it."""
        return failed(self.text)


def _without_unit(settings: Settings, hardware: Hardware, lacking: str, why: str) -> list[Check]:
    """Return the checks that need no policy and no store."""
    return [
        LightCheck(hardware.indicator),
        ButtonCheck(hardware.button, patience_s=1.0),
        _Lacking(lacking, why),
        ClockCheck(hardware.clock),
        BatteryCheck(hardware.battery, critical_percent=WarningLimits().critical_battery_percent),
        FlashCheck(_place(settings.store.flash), reserve_bytes=settings.store.reserve_mib * 1024 * 1024),
        MicrophoneCheck(hardware.microphone, hardware.buzzer, hardware.indicator),
        CameraCheck(
            hardware.bare_camera, hardware.camera_power, hardware.indicator, next(iter(PROFILES.values())).video
        ),
    ]


def _place(flash: Path) -> Path:
    """The store's folder, or where it will be made."""
    return flash if flash.is_dir() else flash.parent
