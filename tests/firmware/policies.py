"""Throw-away units and their policies, for tests and demos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from firmware.policy_keeper import PolicyKeeper
from station.keys import StationKey
from storage.envelope import Recipient
from storage.keyfiles import encode_recipient
from storage.policy import sign_policy
from storage.signer import MemorySigner

ISSUED = "2026-01-01T00:00:00Z"
EXPIRES = "2036-01-01T00:00:00Z"
UNIT = MemorySigner.from_seed(bytes(range(32)))
"""The unit of every test. Its key is public knowledge."""
_TABLES = {
    "evidence": ("recipients", "cipher", "retention_days", "receipt_keys"),
    "recording": ("video_profile", "pre_event_s", "on_dark_light", "live", "reminder_min", "resume_after_reboot"),
    "signals": ("languages", "night_allowed", "night_from_h", "night_until_h", "night_floor_percent"),
    "limits": ("low_storage_percent", "low_storage_min", "low_battery_percent", "critical_battery_percent"),
    "button": ("debounce_ms", "hold_ms", "double_ms"),
}


def policy_text(recipients: Sequence[Recipient], /, **changes: str) -> bytes:
    """Return a policy that is not signed; `changes` are keys with the TOML text of their value, empty to leave one out.

    A key that no policy has goes into the head.
    """
    pems = [f"'''{encode_recipient(item).decode()}'''" for item in recipients]
    values = {
        "format": "1",
        "unit": '"Test unit"',
        "serial": "1",
        "issued": ISSUED,
        "expires": EXPIRES,
        "recipients": f"[{', '.join(pems)}]",
    } | changes
    tables = {key: name for name, keys in _TABLES.items() for key in keys}
    lines = [f"{key} = {value}" for key, value in values.items() if key not in tables and value]
    for name in _TABLES:
        lines.append(f"[{name}]")
        lines += [f"{key} = {value}" for key, value in values.items() if tables.get(key) == name and value]
    return "\n".join([*lines, ""]).encode()


def make_policy(base: Path, station: StationKey | None = None, /, **changes: str) -> bytes:
    """Make `base`, a device's state folder, one that belongs to `UNIT` and holds a policy; return the signed policy.

    `changes` are keys of the policy with the TOML text of their value, such as ``pre_event_s="5"`` or
    ``live='"on"'``. The policy is sealed to `station`, or to a new key. No date is judged.
    """
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    data = sign_policy(policy_text([(station or StationKey.generate()).recipient], **changes), UNIT)
    keeper = PolicyKeeper(base)
    keeper.trust(UNIT.public)
    keeper.offer(data, 0, clock_known=False)
    return data
