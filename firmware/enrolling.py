"""Enrolment on the device itself: identity, unit and policy, checked before anything is written."""

from __future__ import annotations

from pathlib import Path

from drivers.clock.protocol import ClockReading
from firmware.errors import EnrolError
from firmware.policy_keeper import PolicyKeeper
from storage.errors import EnrolmentError
from storage.keyfiles import device_id, load_signing_key
from storage.keyring_file import enrol_device, is_enrolled
from storage.policy import parse_policy
from storage.policy_file import MAX_POLICY_BYTES
from storage.signer import signer_from_uri


def enrol(state: Path, unit: Path, policy: Path, now: ClockReading, identity: str = "memory:") -> bytes:
    """Give a device its unit (public key file), its policy and its identity, in `state`; return the device's id.

    The identity comes last: a device that was cut off before is not enrolled, and may be enrolled again. It is born
    where the URI `identity` says (`storage.signer`), and is new even where one is there already.

    Raises:
        StorageError: a file is wrong, the policy is refused, the device is enrolled already, `state` is
            not writable, or the TPM cannot be used.
        EnrolError: a file cannot be read.
    """
    if is_enrolled(state):
        raise EnrolmentError(f"this device is enrolled already: {state} holds its keyring; its chain would end")
    key = load_signing_key(unit, "unit's key")
    data = _read(policy)
    parse_policy(data, key)
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise EnrolError(f"cannot make the state folder {state}: {error.strerror}") from error
    keeper = PolicyKeeper(state)
    keeper.trust(key)
    keeper.offer(data, now.utc_ns, clock_known=now.synchronised)
    return device_id(enrol_device(state, signer_from_uri(identity, anew=True)))


def offer_policy(state: Path, file: Path, now: ClockReading) -> str:
    """Offer the device a policy; return what is in force, in words. A running device obeys it from its next start.

    Raises:
        StorageError: refused, with the reason; the last good one stays.
        EnrolError: the file cannot be read.
    """
    policy = PolicyKeeper(state).offer(_read(file), now.utc_ns, clock_known=now.synchronised)
    return f"Policy {policy.serial} of {policy.unit} is in force from the next start on."


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_POLICY_BYTES + 1)
    except OSError as error:
        raise EnrolError(f"cannot read the policy {path}: {error.strerror}") from None
