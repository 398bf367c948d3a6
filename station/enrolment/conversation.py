"""One device at one cable, from its greeting to the proof that it is enrolled. Each step may be done twice."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from station.enrolment.desk import Desk, Shown
from station.enrolment.errors import EnrolmentRefusedError, EnrolmentUnfinishedError
from station.enrolment.records import Granted
from wire.bodies import BytesBody
from wire.calling import Calling
from wire.enrolment import NONCE_BYTES, Kind, parse_request, take_identity
from wire.errors import LineLostError, RefusedError, WireError
from wire.networks import VERSION as NETWORKS
from wire.plain import take_bytes, take_int, take_map, take_text

_LOOK_S = 1.0
_MOST_CERTIFICATE = 4096


class Outcome(Enum):
    """How it ended."""

    ENROLLED = "enrolled"
    ALREADY = "already enrolled"
    RENEWED = "renewed"
    AGAIN = "enrolled again"


@dataclass(frozen=True, slots=True)
class Ended:
    """A device that is enrolled."""

    outcome: Outcome
    identity: bytes
    granted: Granted
    clock_off_s: int | None = None
    """By how much its clock is ahead; None where it was not asked."""
    left_segments: int = 0
    """Footage of the old identity that no station has receipted."""
    left_bytes: int = 0
    networks: bool | None = None
    """Whether it was given the networks; None where there were none to give."""


class Conversation:
    """For one thread."""

    def __init__(
        self,
        calling: Calling,
        desk: Desk,
        *,
        tell: Callable[[str], None] = lambda _text: None,
        monotonic_s: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
        patience_s: float = 60.0,
    ) -> None:
        """`patience_s` is how long a recorder may take to end and start anew."""
        self._calling = calling
        self._desk = desk
        self._tell = tell
        self._monotonic_s = monotonic_s
        self._pause = pause
        self._patience_s = patience_s

    def run(self) -> Ended:
        """Enrol the device.

        Raises:
            EnrolmentRefusedError: it is refused.
            EnrolmentUnfinishedError: the line was lost, or the device is busy: try again.
            StationError: the station cannot.
        """
        try:
            return self._run()
        except LineLostError as error:
            raise EnrolmentUnfinishedError(str(error)) from None
        except RefusedError as error:
            if error.code in _AGAIN:
                raise EnrolmentUnfinishedError(f"the device: {error}") from None
            raise EnrolmentRefusedError(f"the device refuses: {error}") from None
        except WireError as error:
            raise EnrolmentRefusedError(f"what answers is not a device of this kind: {error}") from None

    def _run(self) -> Ended:
        greeting = self._calling.hello()
        agreement = self._desk.agreement
        nonce, said = self._offer()
        if said["state"] == "offered":
            if agreement is not None:
                raise EnrolmentRefusedError("this device belongs to no unit: enrol it without --again")
            return self._granted(nonce, said)
        shown = _shown(said)
        if self._desk.is_foreign(shown):
            self._desk.confirm(shown, nonce)  # says whose it is
        taken = self._desk.unconfirmed(shown)
        if said["state"] == "waiting":
            return self._see_through(Outcome.AGAIN)
        if agreement is None or agreement.kind is taken:
            granted = self._desk.confirm(shown, nonce)
            if taken is None:
                # It is enrolled as it was before, and nothing was given.
                return Ended(Outcome.ALREADY, shown.identity, granted, networks=self._given(taken=False))
            return Ended(_OUTCOMES[taken], shown.identity, granted, networks=self._given(taken=granted.networks))
        if shown.device != greeting.device:
            # It has just finished what was granted before, or lies: the consent is for one device.
            raise EnrolmentUnfinishedError("the device shows another identity than it greeted with: begin anew")
        proved = self._desk.proves(shown, nonce)
        consent = self._desk.consent(greeting.device, greeting.challenge)
        nonce = secrets.token_bytes(NONCE_BYTES)
        said = dict(self._calling.call("enrol-again", {"nonce": nonce.hex(), "consent": consent.fields}).fields)
        if said.get("state") == "waiting":
            return self._see_through(Outcome.AGAIN)
        return self._granted(nonce, said, of=greeting.device, proved=proved)

    def _granted(self, nonce: bytes, said: Mapping[str, Any], *, of: bytes = b"", proved: bool = False) -> Ended:
        request = parse_request(take_map(said, "request"))
        # What was shown is that this is `of`: of that one alone may the request be, or take the place.
        meant = {Kind.FIRST: b"", Kind.AGAIN: request.replaces, Kind.RENEWAL: request.device}[request.kind]
        if of != meant or (request.kind is Kind.AGAIN and request.device == of):
            raise EnrolmentRefusedError("the device asks for something else than it was offered: it lies")
        if self._desk.networks is not None and said.get("networks") != NETWORKS:
            raise EnrolmentRefusedError(
                f"this device's firmware ({request.firmware}) takes no networks: write it a newer image, or enrol it"
                " without --networks"
            )
        grant, granted = self._desk.grant(request, take_bytes(said, "proof", most=128), nonce, proved=proved)
        self._tell(f"{granted.name}: granted to {granted.device}")
        answer = self._calling.call("enrol-grant", body=BytesBody(grant.encode())).fields
        off_s = take_int(answer, "clock_off_s", least=-(2**40), most=2**40)
        segments, size_bytes = _left(said)
        return self._see_through(_OUTCOMES[request.kind], off_s, segments, size_bytes, granted)

    def _see_through(
        self,
        outcome: Outcome,
        off_s: int | None = None,
        segments: int = 0,
        size_bytes: int = 0,
        expected: Granted | None = None,
    ) -> Ended:
        """Wait until the device shows that it is enrolled: a new identity comes with the recorder's next start."""
        ends_s = self._monotonic_s() + self._patience_s
        while True:
            nonce, said = self._offer()
            if said["state"] == "enrolled":
                shown = _shown(said)
                if expected is not None and shown.device.hex() != expected.device:
                    raise EnrolmentRefusedError("the device took the grant, and shows another identity: it lies")
                granted = self._desk.confirm(shown, nonce)
                if expected is not None and shown.certificate != expected.certificate:
                    raise EnrolmentRefusedError("the device took the grant, and goes on with its old certificate")
                given = self._given(taken=granted.networks)
                return Ended(outcome, shown.identity, granted, off_s, segments, size_bytes, given)
            if said["state"] != "waiting" or self._monotonic_s() >= ends_s:
                raise EnrolmentUnfinishedError(
                    "the device has the grant and waits for its recorder to end: is something recorded? Try again later"
                )
            self._tell("waiting for the recorder to start anew")
            self._pause(_LOOK_S)

    def _given(self, *, taken: bool) -> bool | None:
        return None if self._desk.networks is None else taken

    def _offer(self) -> tuple[bytes, dict[str, Any]]:
        nonce = secrets.token_bytes(NONCE_BYTES)
        said = dict(self._calling.call("enrol-offer", {"nonce": nonce.hex()}).fields)
        said["state"] = take_text(said, "state", 16)
        return nonce, said


_OUTCOMES = {Kind.FIRST: Outcome.ENROLLED, Kind.AGAIN: Outcome.AGAIN, Kind.RENEWAL: Outcome.RENEWED}
_AGAIN = frozenset({"failed", "busy", "no-session", "no-body", "recording", "no-request"})
"""Refusals that another try may mend: a full card, a session that ended, a recording that runs."""


def _shown(said: Mapping[str, Any]) -> Shown:
    certificate = said.get("certificate")
    if not isinstance(certificate, str) or len(certificate) > _MOST_CERTIFICATE:
        certificate = ""
    return Shown(
        take_bytes(said, "device", 16),
        take_identity(said),
        take_bytes(said, "unit", 32),
        certificate if certificate.isascii() else "",
        take_bytes(said, "proof", most=128),
    )


def _left(said: Mapping[str, Any]) -> tuple[int, int]:
    found = said.get("left")
    if not isinstance(found, dict):
        return 0, 0
    return take_int(found, "segments"), take_int(found, "bytes")
