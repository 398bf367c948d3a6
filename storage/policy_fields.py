"""The fields of a unit policy: the one declaration that parser, template and the tables in docs/POLICY.md follow."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Annotated, Any, get_type_hints

from storage.envelope import Cipher, Recipient
from storage.policy_rules import OneOf, Recipients, Rule, SigningKeys, SomeOf, Text, When, Whole, YesNo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class DarkLight(Enum):
    """What is done when the recording light is broken."""

    STOP = "stop"
    ANNOUNCE = "announce"


class Live(Enum):
    """Whether pictures may go out while a recording is made."""

    OFF = "off"
    ASK = "ask"
    """Only when the officer says so, asked by a station or not."""
    ON = "on"
    """With every recording, unless the officer refuses."""


@dataclass(frozen=True, slots=True)
class Key:
    """What stands behind one key of the file, as the annotation of its field."""

    rule: Rule
    meaning: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """`[evidence]`: whom footage is sealed to, and how long it stays."""

    recipients: Annotated[tuple[Recipient, ...], Key(Recipients(), "who can open the footage: the unit's public keys")]
    cipher: Annotated[Cipher, Key(OneOf(Cipher), "what footage is encrypted with")] = Cipher.CHACHA20_POLY1305
    retention_days: Annotated[
        int,
        Key(Whole(1, 28, "days"), "footage is destroyed this long after it was recorded, unless the unit extends it"),
    ] = 28
    receipt_keys: Annotated[
        tuple[str, ...], Key(SigningKeys(), "stations on whose signed receipt a device destroys what they hold")
    ] = ()


@dataclass(frozen=True, slots=True)
class RecordingRules:
    """`[recording]`: how a recording is made."""

    video_profile: Annotated[str, Key(Text(40), "name of a profile that the devices know: 1080p30, 720p30, 480p30")] = (
        "1080p30"
    )
    pre_event_s: Annotated[
        int, Key(Whole(0, 30, "seconds"), "held in memory before the press; with more than 0, standby shows that it is")
    ] = 0
    on_dark_light: Annotated[
        DarkLight, Key(OneOf(DarkLight), "the light is broken: stop, or go on and announce by sound and touch")
    ] = DarkLight.STOP
    live: Annotated[
        Live, Key(OneOf(Live), "live view: never, when the officer says so, or until the officer refuses")
    ] = Live.OFF
    reminder_min: Annotated[
        int, Key(Whole(0, 60, "minutes"), "the wearer is reminded each time a recording has gone on so long; 0 never")
    ] = 30
    resume_after_reboot: Annotated[
        bool, Key(YesNo(), "a recording cut by a restart goes on by itself, announced afresh")
    ] = False


@dataclass(frozen=True, slots=True)
class SignalRules:
    """`[signals]`: how the device speaks and shines."""

    languages: Annotated[
        tuple[str, ...],
        Key(SomeOf("nl", "en"), "of cards and pages for the officer, the preferred one first; the device has no words"),
    ] = ("nl", "en")
    night_allowed: Annotated[bool, Key(YesNo(), "the light is dimmed at night")] = True
    night_from_h: Annotated[int, Key(Whole(0, 23, "full hours, local time"), "when the night begins")] = 22
    night_until_h: Annotated[
        int, Key(Whole(0, 23, "full hours, local time"), "when it ends; the same hour as night_from_h is no night")
    ] = 6
    night_floor_percent: Annotated[
        int, Key(Whole(20, 100, "percent of full brightness"), "the recording light is never dimmer, at night either")
    ] = 25


@dataclass(frozen=True, slots=True)
class WarningLimits:
    """`[limits]`: when the device warns, and when it closes a recording."""

    low_storage_percent: Annotated[int, Key(Whole(1, 50, "percent of the flash"), "warn when less is free")] = 10
    low_storage_min: Annotated[int, Key(Whole(0, 240, "minutes"), "warn when less recording time is left")] = 30
    low_battery_percent: Annotated[int, Key(Whole(5, 50, "percent of a full battery"), "warn when less is left")] = 20
    critical_battery_percent: Annotated[
        int,
        Key(
            Whole(1, 20, "percent of a full battery"),
            "close the recording when less is left; must be below low_battery_percent",
        ),
    ] = 5


@dataclass(frozen=True, slots=True)
class ButtonTimes:
    """`[button]`: how long is long."""

    debounce_ms: Annotated[int, Key(Whole(10, 100, "milliseconds"), "a contact shorter than this is chatter")] = 30
    hold_ms: Annotated[int, Key(Whole(1000, 5000, "milliseconds"), "a press this long stops the recording")] = 2000
    double_ms: Annotated[
        int, Key(Whole(200, 800, "milliseconds"), "a second press this soon after a first makes a double one")
    ] = 400


@dataclass(frozen=True, slots=True)
class Policy:
    """A whole unit policy. Only one that `storage.policy.parse_policy` made may be obeyed."""

    unit: Annotated[str, Key(Text(80), "name of the unit")]
    serial: Annotated[
        int, Key(Whole(1, 2**32 - 1), "a device takes a policy only if its serial is higher than any it took before")
    ]
    issued: Annotated[datetime, Key(When(), "when the unit decided so; no device takes it more than a day before")]
    expires: Annotated[
        datetime, Key(When(), "no device takes it from then on; one taken before stays in force, with a warning")
    ]
    evidence: Evidence
    recording: RecordingRules
    signals: SignalRules
    limits: WarningLimits
    button: ButtonTimes
    digest: bytes
    """SHA-256 of the file, its signature included; of the text alone where it is a draft."""

    @property
    def issued_utc_ns(self) -> int:
        """The instant of `issued`, ns since 1970-01-01T00:00Z."""
        return _utc_ns(self.issued)

    @property
    def expires_utc_ns(self) -> int:
        """The instant of `expires`, ns since 1970-01-01T00:00Z."""
        return _utc_ns(self.expires)

    def expired_at(self, utc_ns: int) -> bool:
        """Whether the policy has expired at this wall-clock time, ns since 1970-01-01T00:00Z."""
        return utc_ns >= self.expires_utc_ns


SECTIONS: dict[str, type[Any]] = {
    "evidence": Evidence,
    "recording": RecordingRules,
    "signals": SignalRules,
    "limits": WarningLimits,
    "button": ButtonTimes,
}
"""The tables of the file, in the order in which they are written."""


def keys_of(table: type[Any]) -> dict[str, tuple[Key, Any]]:
    """Return the keys of a table of the file, or of its head (`Policy`), each with its default or MISSING."""
    hints = get_type_hints(table, include_extras=True)
    found = {}
    for field in fields(table):
        for key in getattr(hints[field.name], "__metadata__", ()):
            found[field.name] = (key, field.default)
    return found


def _utc_ns(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(microseconds=1) * 1000
