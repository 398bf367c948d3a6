"""Enrolment as the console offers it: show a request, take a consent, take a grant (docs/ENROL.md, "States")."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from firmware.console.handler import Access
from firmware.console.place import Place, read_name
from firmware.enrolment.birth import Board, Born, born_identity, born_tls, fresh, load_tls_key
from firmware.enrolment.evidence import left, recording_runs
from firmware.enrolment.judging import judge_grant
from firmware.enrolment.settling import Places, Settled, settle_locked
from firmware.enrolment.staging import Staging
from firmware.errors import EnrolError
from storage.keyfiles import device_id, load_device_key
from storage.signer import Signer, signer_from_uri
from wire.answering import Asked, Reply
from wire.enrolment import NONCE_BYTES, Consent, Grant, Kind, Request, parse_consent, parse_grant
from wire.errors import RefusedError
from wire.networks import VERSION as NETWORKS
from wire.networks import open_networks
from wire.plain import expect, take_bytes, take_map

_S = 1_000_000_000
_MOST_PEM_BYTES = 4096


class Enrolment:
    """What the three handlers share."""

    def __init__(self, place: Place) -> None:
        settings = place.settings
        self._place = place
        self._staging = Staging(place.state)
        self._places = Places(place.state, settings.store.flash, settings.tls)

    def offer(self, nonce: bytes) -> Mapping[str, Any]:
        """Say who this is, with proof that it is here now: an identity that wants to be the unit's, or one that is.

        Raises:
            EnrolError, StorageError, OSError: it cannot.
        """
        with self._staging.locked():
            settled = settle_locked(self._places, self._staging)
            if self._place.device() is not None:
                return self._enrolled(nonce, waiting=settled is Settled.WAITING)
            request = self._staging.request()
            if request is None or request.kind is not Kind.FIRST:
                request = self._stage(born_identity(self._signer(), self._board))
            return self._offered(request, nonce)

    def again(self, nonce: bytes, consent: Consent, challenge: bytes) -> Mapping[str, Any]:
        """Offer a new identity, or a new TLS key, for what is enrolled already, if its unit agrees.

        Raises:
            CredentialError: the unit does not.
            RefusedError: something is recorded just now.
            EnrolError, StorageError, OSError: it cannot.
        """
        with self._staging.locked():
            settled = settle_locked(self._places, self._staging)
            device = self._place.device()
            if device is None:
                raise RefusedError("not-enrolled", "this device belongs to no unit yet: enrol it as a new one")
            consent.check(self._place.unit(), device, challenge)
            if settled is Settled.WAITING:
                return self._enrolled(nonce, waiting=True)
            if consent.kind is Kind.AGAIN and recording_runs(self._places.flash):
                raise RefusedError("recording", "a recording runs: stop it first; nothing was changed")
            request = self._staging.request()
            if request is None or request.kind is not consent.kind or not self._concerns(request, device):
                request = self._stage(self._born(consent.kind, device))
            found = left(self._places.flash)
            about = {"segments": found.segments, "bytes": found.size_bytes}
            return {**self._offered(request, nonce), "left": about if consent.kind is Kind.AGAIN else None}

    def grant(self, grant: Grant, body: bytes) -> Mapping[str, Any]:
        """Take what a station grants; the answer says whether it is in force.

        Raises:
            EnrolError, StorageError, WireError: it is refused, with the reason; nothing was changed.
            OSError: the medium refused; it may be granted again.
        """
        with self._staging.locked():
            settled = settle_locked(self._places, self._staging)
            request = self._staging.request()
            if request is None or settled is Settled.WAITING:
                if self._place.device() == grant.device and self._certificate() == grant.certificate:
                    settled = Settled.DONE  # it was taken, and the answer lost
                elif settled is not Settled.WAITING or self._staging.grant() != grant:
                    raise RefusedError("no-request", "this device asks for nothing: begin anew")
                return self._taken(settled, grant)
            self._judge(grant, request)
            self._staging.accept(body)
            settled = settle_locked(self._places, self._staging)
            if settled is Settled.NOTHING:
                raise RefusedError("not-taken", "this device's own keys are damaged: give it a new identity (--again)")
            return self._taken(settled, grant)

    def _judge(self, grant: Grant, request: Request) -> None:
        unit = self._place.unit() if self._place.device() is not None else None
        key = load_tls_key(self._staging.tls_key)
        judge_grant(grant, request, key.public_key(), unit, self._place.clock.read(), self._place.on_record_ns())
        if grant.networks:
            open_networks(grant.networks, key, grant.request)

    def _taken(self, settled: Settled, grant: Grant) -> Mapping[str, Any]:
        return {
            "state": "waiting" if settled is Settled.WAITING else "enrolled",
            "device": grant.device.hex(),
            "clock_off_s": self._place.clock.read().utc_ns // _S - grant.utc_s,
        }

    def _born(self, kind: Kind, device: bytes) -> Born:
        if kind is Kind.AGAIN:
            return born_identity(self._signer(), self._board, device)
        identity = load_device_key(self._place.state / "device.pub")
        try:
            old = load_tls_key(self._places.tls.key.read_bytes())
        except FileNotFoundError:
            old = None
        return born_tls(identity, old, self._board)

    def _signer(self) -> Signer:
        # Whatever stands there was born for nobody: one identity has one chain.
        return signer_from_uri(self._place.settings.enrolment.identity, anew=True)

    def _concerns(self, request: Request, device: bytes) -> bool:
        return device in (request.replaces, request.device)

    def _stage(self, born: Born) -> Request:
        self._staging.stage(born.request, born.tls_key, born.keyring)
        return born.request

    def _offered(self, request: Request, nonce: bytes) -> dict[str, Any]:
        proof = fresh(self._staging.tls_key, nonce, request.core)
        # `networks`: which version of them this device takes in a grant. A station that knows of none passes over it.
        return {"state": "offered", "request": request.fields, "proof": proof.hex(), "networks": NETWORKS}

    def _enrolled(self, nonce: bytes, *, waiting: bool) -> dict[str, Any]:
        identity = load_device_key(self._place.state / "device.pub")
        pem, proof = self._certificate(), b""
        with suppress(ValueError, OSError, EnrolError):  # without it, it cannot be shown: the station says so
            der = x509.load_pem_x509_certificate(pem.encode("ascii")).public_bytes(Encoding.DER)
            proof = fresh(self._places.tls.key.read_bytes(), nonce, der)
        return {
            "state": "waiting" if waiting else "enrolled",
            "device": device_id(identity).hex(),
            "identity": identity.hex(),
            "unit": self._place.unit().hex(),
            "name": read_name(self._place.state),
            "certificate": pem,
            "proof": proof.hex(),
        }

    def _certificate(self) -> str:
        try:
            return self._places.tls.certificate.read_bytes()[:_MOST_PEM_BYTES].decode("ascii", "replace")
        except OSError:
            return ""

    @property
    def _board(self) -> Board:
        return Board(self._place.board, self._place.serial)


@dataclass(frozen=True, slots=True)
class Offering:
    """``enrol-offer``."""

    enrolment: Enrolment
    verb: str = "enrol-offer"
    access: Access = Access.OPEN

    def handle(self, asked: Asked) -> Reply:
        """Say who this is."""
        expect(asked.fields, "an offer's request", "nonce")
        return Reply(self.enrolment.offer(take_bytes(asked.fields, "nonce", NONCE_BYTES)))


@dataclass(frozen=True, slots=True)
class OfferingAgain:
    """``enrol-again``: the unit's consent in it is what allows it."""

    enrolment: Enrolment
    verb: str = "enrol-again"
    access: Access = Access.OPEN

    def handle(self, asked: Asked) -> Reply:
        """Offer again."""
        expect(asked.fields, "an offer's request", "nonce consent")
        consent = parse_consent(take_map(asked.fields, "consent"))
        return Reply(self.enrolment.again(take_bytes(asked.fields, "nonce", NONCE_BYTES), consent, asked.challenge))


@dataclass(frozen=True, slots=True)
class Granting:
    """``enrol-grant``: the grant is a body."""

    enrolment: Enrolment
    verb: str = "enrol-grant"
    access: Access = Access.OPEN

    def handle(self, asked: Asked) -> Reply:
        """Take it."""
        expect(asked.fields, "a grant's request", "")
        return Reply(self.enrolment.grant(parse_grant(asked.body), asked.body))
