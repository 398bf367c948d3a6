"""Whether the device at the cable holds the identity that it claims: a challenge, its proof, and what that is worth."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from station.console_line.session import Session
from station.errors import StationError
from storage.errors import FormatError
from storage.identity import P256_BYTES
from storage.keyfiles import device_id
from storage.prove import CHALLENGE_BYTES, Proven, owed, parse_proof, proven
from wire.errors import MessageError

_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Shown:
    """What was found."""

    device: bytes
    """Id of the device that it has to be."""
    named: bool
    """Who asks said which; otherwise the device did."""
    proven: Proven
    in_tpm: bool = False
    """The identity is of the sort that a TPM keeps."""
    segment: int = 0
    """Whose key signed, by the device's word; 0 where the identity's own did, or nothing is proven."""
    why: str = ""
    """Why it does not hold it; empty where it does."""

    @property
    def holds(self) -> bool:
        """Whether it holds of that identity what its device must."""
        return not self.why

    @property
    def fields(self) -> Mapping[str, Any]:
        """As JSON."""
        return {
            "device": self.device.hex(), "named": self.named, "holds": self.holds, "proven": self.proven.value,
            "in_tpm": self.in_tpm, "copy_excluded": self.holds and self.in_tpm, "segment": self.segment or None,
            "why": self.why,
        }  # fmt: skip


def parse_device(text: str | None, key: bytes | None) -> bytes | None:
    """Return the id of the device that is meant, by its id or its public key; None where neither is given.

    Raises:
        StationError: it is no id, or the two are of different devices.
    """
    by_key = device_id(key) if key is not None else None
    if text is None:
        return by_key
    if not _ID.fullmatch(text.lower()):
        raise StationError(f"{text!r} is no device id: it has 32 hexadecimal digits, as on the label")
    named = bytes.fromhex(text)
    if by_key not in (None, named):
        raise StationError("the device key is not that of the device with that id: give one of the two")
    return named


def ask_proof(
    session: Session,
    named: bytes | None,
    key: bytes | None,
    challenge: Callable[[], bytes] = lambda: secrets.token_bytes(CHALLENGE_BYTES),
) -> Shown:
    """Have the device prove it; `named` and `key` are what is known of the device that it has to be.

    Raises:
        WireError: it refuses, is gone, or sends no proof.
    """
    claimed = session.calling.greeting.device
    device = named if named is not None else claimed
    if device != claimed and session.enrolled:
        return Shown(device, True, Proven.NOTHING, why=f"it says that it is another one, {claimed.hex()}")
    asked = challenge()
    try:
        proof = parse_proof(session.ask("prove", {"challenge": asked.hex()}).body)
    except FormatError as error:
        raise MessageError(f"no proof came: {error}") from None
    # The id is the digest of the public key: only the key of that very device can stand for it.
    identity = proof.identity if key is None else key
    told = Shown(device, named is not None, Proven.NOTHING)
    if proof.device != device:
        return replace(told, why=f"the key of another device answered, {proof.device.hex()}")
    told = replace(told, in_tpm=len(identity) == P256_BYTES)
    found = proven(identity, asked, proof)
    if found is Proven.NOTHING:
        return replace(told, why="what it answered is not signed with that device's keys for this challenge")
    if found is not Proven.IDENTITY and owed(identity) is Proven.IDENTITY:
        why = "it has the keys on its card, as a copy of the card has; the identity's own key, in a TPM, did not answer"
        return replace(told, proven=found, segment=proof.segment, why=why)
    return replace(told, proven=found, segment=proof.segment)


def proof_line(shown: Shown) -> str:
    """Tell in one line what is shown, and what is not."""
    device = shown.device.hex()
    compare = "" if shown.named else "; compare that with its label"
    if not shown.holds:
        return f"it is NOT shown to be {device}: {shown.why}"
    if shown.proven is Proven.IDENTITY:
        only = ", which no copy of its card has" if shown.in_tpm else ""
        return f"it is {device}: the identity's own key answered{only}{compare}"
    return (
        f"it holds signing keys that {device} certified (of segment {shown.segment}){compare}; "
        "a copy of its card holds them too, and nothing tells the two apart"
    )
