"""Finishing what was granted. Each step may be done twice; the keyring comes last, and makes the device enrolled.

Console and recorder both call this when they start, so that power may go at any instant. An identity that replaces
another needs the store for itself: there the recorder does it, at its start, after it has ended for it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from firmware.enrolment.birth import load_tls_key
from firmware.enrolment.evidence import RecorderRunsError, set_aside, store_locked
from firmware.enrolment.staging import Staging
from firmware.errors import EnrolError
from firmware.networks import NetworksFile
from firmware.policy_keeper import PolicyKeeper
from storage.durable import replace_file
from storage.errors import EnrolmentError, FormatError, KeyFileError
from storage.keyfiles import device_id, encode_device_key, load_device_key
from storage.keyring_file import KeyringFile, is_enrolled
from storage.ratchet import decode
from storage.tls import TlsFiles
from wire.enrolment import Grant, Kind, Request
from wire.errors import MessageError
from wire.networks import NONE, Networks, open_networks

_log = logging.getLogger("getuige")
_S = 1_000_000_000


class Settled(Enum):
    """How it stands."""

    NOTHING = "nothing"
    """Nothing was to be finished."""
    DONE = "done"
    WAITING = "waiting"
    """For the recorder to end."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where a device keeps what enrolment writes."""

    state: Path
    flash: Path
    tls: TlsFiles


def settle(places: Places) -> Settled:
    """Finish an enrolment that was granted, if there is one.

    Raises:
        StorageError: it cannot be finished; the text says why.
        RefusedError: somebody else is just finishing it.
        OSError: the medium refused. It may be called again.
    """
    staging = Staging(places.state)
    if not staging.granted:
        return Settled.NOTHING
    with staging.locked():
        return settle_locked(places, staging)


def settle_locked(places: Places, staging: Staging) -> Settled:
    """Do the same for whoever holds the staging folder."""
    request, grant = staging.request(), staging.grant()
    if grant is None:
        return Settled.NOTHING
    present, sound = _present(places.state)
    why = _moot(staging, request, grant, present, sound=sound) or _unreadable(staging, grant)
    if request is None or why:
        _log.warning("an enrolment that was granted is dropped: %s", why)
        staging.clear()
        return Settled.NOTHING
    if request.kind is Kind.RENEWAL:
        _write_tls(places, staging, grant)
        _write_papers(places, staging, grant, known_unit=True)
    elif present != request.identity or not sound:
        try:
            with store_locked(places.flash):
                _replace(places, staging, request, grant, present)
        except RecorderRunsError:
            return Settled.WAITING
    staging.clear()
    return Settled.DONE


def _moot(staging: Staging, request: Request | None, grant: Grant, present: bytes | None, *, sound: bool) -> str:
    """Return why what is staged means nothing any more; an empty text where it does. Nobody can log in to remove it."""
    if request is None or grant.request != request.digest:
        return "it is for another request, or none"  # such as where power went while it was erased, all being done
    if request.kind is Kind.RENEWAL:
        return "" if present == request.identity and sound else "it is for an identity that this device does not have"
    if present == request.identity and sound:
        return ""
    if present is not None and sound and (request.kind is Kind.FIRST or device_id(present) != request.replaces):
        return "the device was enrolled otherwise meanwhile"
    try:
        staged = decode(staging.keyring).identity
    except (OSError, FormatError):
        staged = b""
    return "" if staged == request.identity else "its keyring is damaged"


def _replace(places: Places, staging: Staging, request: Request, grant: Grant, present: bytes | None) -> None:
    """Give the device another identity, or its first."""
    state = places.state
    keyring = decode(staging.keyring)
    _write_tls(places, staging, grant)
    _write_papers(places, staging, grant, known_unit=present is not None)
    old = _public(state)
    if old is not None and old != request.identity:
        set_aside(places.flash, encode_device_key(old), f"before-{device_id(old).hex()[:8]}")
    elif present is None:
        set_aside(places.flash, None, "before-unknown")
    replace_file(state / "device.pub", encode_device_key(request.identity), mode=0o644)
    KeyringFile(state).save(keyring)  # overwrites the old one: its keys are gone


def _write_tls(places: Places, staging: Staging, grant: Grant) -> None:
    tls = places.tls
    for path in (tls.key, tls.certificate, tls.authority):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_file(tls.key, staging.tls_key, erase_old=True)
    replace_file(tls.certificate, grant.certificate.encode("ascii"), mode=0o644)
    replace_file(tls.authority, grant.authority.encode("ascii"), mode=0o644)


def _write_papers(places: Places, staging: Staging, grant: Grant, *, known_unit: bool) -> None:
    """Write unit, policy, networks, name and time.

    A policy that the device took meanwhile and that is newer stays. So do networks where none are given, unless nobody
    knows of which unit they are.
    """
    keeper = PolicyKeeper(places.state)
    if not known_unit:
        keeper.forget()
    keeper.trust(grant.unit)
    if keeper.load().policy is None or not keeper.replays(grant.policy):
        keeper.offer(grant.policy, 0, clock_known=False)  # its dates were judged when it was granted
    if grant.networks or not known_unit:
        NetworksFile(places.state).save(_networks(staging, grant))
    replace_file(places.state / "name", grant.name.encode("utf-8"), mode=0o644)
    replace_file(places.state / "time.known", b"%d" % (grant.utc_s * _S))


def _networks(staging: Staging, grant: Grant) -> Networks:
    if not grant.networks:
        return NONE
    return open_networks(grant.networks, load_tls_key(staging.tls_key), grant.request)


def _unreadable(staging: Staging, grant: Grant) -> str:
    """Return why a grant cannot be carried out, all of which was judged when it came; an empty text where it can."""
    try:
        _networks(staging, grant)
    except (OSError, EnrolError, MessageError) as error:
        return f"its networks are damaged ({error})"
    return ""


def _present(state: Path) -> tuple[bytes | None, bool]:
    """Return the identity in force, and whether its keyring is sound."""
    if not is_enrolled(state):
        return None, True
    try:
        return KeyringFile(state).load().identity, True
    except EnrolmentError:
        return _public(state), False


def _public(state: Path) -> bytes | None:
    try:
        return load_device_key(state / "device.pub")
    except KeyFileError:
        return None
