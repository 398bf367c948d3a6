"""The checks of a device's self-test, in their order: what is quick and what protects comes first."""

from __future__ import annotations

from collections.abc import Callable

from capture.profiles import Profile
from drivers.companion.link import CompanionLink
from firmware.companion_program import ProgramCheck, carried_program
from firmware.hardware import Hardware
from firmware.part_checks import BatteryCheck, ButtonCheck, CameraCheck, LightCheck, MicrophoneCheck
from firmware.policy_keeper import PolicyKeeper
from firmware.selftest import Check
from firmware.settings import Settings
from firmware.state_checks import ClockCheck, FlashCheck, KeysCheck, PolicyCheck
from storage.keyring_file import KeyringFile
from storage.policy_fields import Policy


def make_checks(
    hardware: Hardware,
    settings: Settings,
    policy: Policy,
    next_segment: Callable[[], int],
    keeper: PolicyKeeper,
    profile: Profile,
    link: CompanionLink | None = None,
) -> list[Check]:
    """Return the checks; the light's comes first.

    `next_segment` says which one will be opened next; `link` is the line to the companion, where the board has one.
    """
    program = [ProgramCheck(lambda: link.greeting, carried_program)] if link is not None else []
    keys = KeyringFile(settings.store.state)
    return [
        LightCheck(hardware.indicator),
        ButtonCheck(hardware.button, patience_s=1.0),
        *program,
        KeysCheck(keys.load, next_segment),
        PolicyCheck(keeper.load, hardware.clock),
        ClockCheck(hardware.clock),
        BatteryCheck(hardware.battery, critical_percent=policy.limits.critical_battery_percent),
        FlashCheck(settings.store.flash, reserve_bytes=settings.store.reserve_mib * 1024 * 1024),
        MicrophoneCheck(hardware.microphone, hardware.buzzer, hardware.indicator),
        CameraCheck(hardware.bare_camera, hardware.camera_power, hardware.indicator, profile.video),
    ]
