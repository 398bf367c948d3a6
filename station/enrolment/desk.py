"""The station's decisions about one device: may it be the unit's, under which name, and what is on record. No cable.

A request is granted if its own signatures hold, it is here now, and nothing on record speaks against it. What is
granted is on record before it goes out; who asks again for the same gets the same certificate.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from station.audit.log import Act, Entry
from station.custody.devices import KnownDevice
from station.enrolment.errors import EnrolmentRefusedError
from station.enrolment.papers import Papers
from station.enrolment.records import Granted, Records
from station.office import Office
from station.people.roles import Person
from storage.identity import is_signed
from storage.keyfiles import device_id
from storage.signer import Signer
from wire.enrolment import ODD_CERTIFICATE, Consent, Grant, Kind, Request, check_tls, fresh_statement
from wire.errors import CredentialError
from wire.networks import Networks, seal_networks

_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Shown:
    """What an enrolled device shows of itself."""

    device: bytes
    identity: bytes
    unit: bytes
    certificate: str
    proof: bytes


@dataclass(frozen=True, slots=True)
class Agreement:
    """The unit agrees that devices are enrolled again: its private key is here."""

    kind: Kind
    reason: str
    unit: Signer


class Desk:
    """For one technician. Thread-safe."""

    def __init__(
        self,
        office: Office,
        person: Person,
        papers: Papers,
        pattern: str,
        utc_ns: Callable[[], int],
        agreement: Agreement | None = None,
    ) -> None:
        """`pattern` is the devices' name, ``{n}`` in it a number; empty names a device after its serial."""
        self.agreement = agreement
        self._office = office
        self._by = person.number
        self._papers = papers
        self._pattern = pattern
        self._utc_ns = utc_ns
        self._records = Records(office.folder)
        self._lock = threading.Lock()

    def consent(self, device: bytes, challenge: bytes) -> Consent:
        """Sign the unit's consent for a device in its session; it is on record first.

        Raises:
            EnrolmentRefusedError: the device is not known here, or nobody agreed.
        """
        agreement = self.agreement
        if agreement is None:
            raise EnrolmentRefusedError("a second enrolment needs the unit's consent: --again, --reason, --unit-key")
        self._office.audit.write(
            Entry(
                self._by, "technician", Act.DEVICE, device.hex(), purpose=agreement.reason,
                details={"what": "consent to enrol again", "kind": agreement.kind.value},
            )
        )  # fmt: skip
        made = Consent(agreement.kind, device, challenge, agreement.reason)
        return replace(made, signature=agreement.unit.sign(made.statement))

    def grant(self, request: Request, proof: bytes, nonce: bytes, *, proved: bool = False) -> tuple[Grant, Granted]:
        """Judge a request; return what it is granted, which is on record.

        `proved` says that the device was seen to be the identity that it wants to replace.

        Raises:
            EnrolmentRefusedError: it is not, with the reason.
            StationError: it cannot be put on record.
        """
        papers, public = self._papers, self._judge(request, proof, nonce)
        device = request.device.hex()
        with self._lock:
            before = self._records.get(device)
            known = self._known(device)
            if before is not None and before.request == request.digest.hex() and self._is_good(before):
                granted = before
                if granted.networks is not (papers.networks is not None):
                    granted = replace(granted, networks=papers.networks is not None)
                    self._records.put(granted)
                if request.kind is not Kind.RENEWAL and known is not None and known.revoked:
                    raise EnrolmentRefusedError(_revoked(known))
            else:
                granted = self._issue(request, public, before, known, proved=proved)
                self._records.put(granted)
            if known is None or known.revoked or known.name != granted.name:
                self._office.devices.enrol(self._by, request.identity, granted.name)
        made = Grant(
            request.digest, request.device, granted.name, self._utc_ns() // _S, papers.authority.pem.decode("ascii"),
            granted.certificate, papers.unit, papers.policy, self._office.signer.public,
            networks=self._sealed(papers.networks, public, request) if papers.networks is not None else b"",
        )  # fmt: skip
        return replace(made, signature=self._office.signer.sign(made.statement)), granted

    def unconfirmed(self, shown: Shown) -> Kind | None:
        """Return what a device has just been granted, if it has taken it and its last answer was lost; else None."""
        record = self._records.get(shown.device.hex())
        if record is None or record.confirmed or record.certificate != shown.certificate:
            return None
        return Kind(record.kind)

    def is_foreign(self, shown: Shown) -> bool:
        """Whether a device is another unit's."""
        return shown.unit != self._papers.unit

    def proves(self, shown: Shown, nonce: bytes) -> bool:
        """Whether a device shows that it is who it says; a certificate that is over shows that too."""
        try:
            self._judge_shown(shown, nonce)
        except EnrolmentRefusedError:
            return False
        return True

    def confirm(self, shown: Shown, nonce: bytes) -> Granted:
        """Complete the records of a device that shows it is enrolled in this unit; return them.

        Raises:
            EnrolmentRefusedError: it is another unit's, is revoked here, or cannot show that it is who it says.
        """
        certificate = self._judge_shown(shown, nonce)
        device = shown.device.hex()
        if self._utc_ns() // _S >= certificate.not_valid_after_utc.timestamp():
            raise EnrolmentRefusedError(
                f"the certificate of device {device} is over since {certificate.not_valid_after_utc:%Y-%m-%d}: give it"
                " a new one (--again --keep-identity --reason ...)"
            )
        with self._lock:
            before, known = self._records.get(device), self._known(device)
            if known is not None and known.revoked:
                raise EnrolmentRefusedError(_revoked(known))
            pem = certificate.public_bytes(Encoding.PEM).decode("ascii")
            if before is None:
                name = known.name if known is not None else self._name("", {device}, "")
                before = Granted(device, "", pem, name, "", "", "", self._utc_ns() // _S, self._by)
            elif before.certificate != pem:  # what was granted last never reached it
                before = replace(before, request="", certificate=pem, networks=False, confirmed=False)
            if known is None:
                self._office.devices.enrol(self._by, shown.identity, before.name)
            granted = before if before.confirmed else replace(before, confirmed=True)
            if granted != self._records.get(device):
                self._records.put(granted)
            old = self._known(granted.replaces) if granted.replaces else None
            if old is not None and not old.revoked:
                self._office.devices.revoke(self._by, old.id, f"replaced by {device}")
        return granted

    @property
    def networks(self) -> Networks | None:
        """What devices are given; None where nothing is."""
        return self._papers.networks

    def known(self, device: bytes) -> KnownDevice | None:
        """Return what the register says of a device."""
        return self._known(device.hex())

    def _sealed(self, networks: Networks, key: ec.EllipticCurvePublicKey, request: Request) -> bytes:
        """Return networks for that request alone; that they are given is on record first, without what is secret."""
        self._office.audit.write(
            Entry(
                self._by, "technician", Act.DEVICE, request.device.hex(),
                details={"what": "networks given", "networks": len(networks.wifi), "broker": networks.host},
            )
        )  # fmt: skip
        return seal_networks(networks, key, request.digest)

    def _judge(self, request: Request, proof: bytes, nonce: bytes) -> ec.EllipticCurvePublicKey:
        """Check all that a request can show by itself; return its TLS key."""
        public = _csr_key(request)
        known, before = self.known(request.device), self._records.get(request.device.hex())
        try:
            check_tls(public, proof, fresh_statement(nonce, request.core), "the request was not made just now")
            if request.kind is not Kind.RENEWAL:
                _check_identity(request)
            elif before is not None and before.request != request.digest.hex():
                # Where this very renewal is on record, the old key had vouched for it.
                _check_vouched(before, request)
        except CredentialError as error:
            raise EnrolmentRefusedError(f"the device lies: {error}; keep it, and find out why") from None
        if request.kind is Kind.RENEWAL and (known is None or known.identity != request.identity):
            raise EnrolmentRefusedError(
                f"device {request.device.hex()} is not on this station's register: give it a new identity (--again)"
            )
        if request.kind is not Kind.FIRST and (self.agreement is None or self.agreement.kind is not request.kind):
            raise EnrolmentRefusedError("the device asks for an enrolment that nobody agreed to")
        return public

    def _judge_shown(self, shown: Shown, nonce: bytes) -> x509.Certificate:
        device = shown.device.hex()
        if shown.unit != self._papers.unit:
            raise EnrolmentRefusedError(
                f"device {device} belongs to another unit ({device_id(shown.unit).hex()}): that unit must let go of it"
            )
        lost = (
            f"device {device} is of this unit, but cannot show it: its TLS identity is missing or not of this"
            " authority; give it a new one (--again --keep-identity --reason ...)"
        )
        authority = self._papers.authority.certificate
        try:
            certificate = x509.load_pem_x509_certificate(shown.certificate.encode("ascii"))
            certificate.verify_directly_issued_by(authority)
            names = [str(item.value) for item in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
            key = certificate.public_key()
        except ODD_CERTIFICATE:
            raise EnrolmentRefusedError(lost) from None
        if names != [device] or not isinstance(key, ec.EllipticCurvePublicKey):
            raise EnrolmentRefusedError(lost)
        if device_id(shown.identity) != shown.device:
            raise EnrolmentRefusedError("the device lies: its id is not that of its key; keep it, and find out why")
        try:
            statement = fresh_statement(nonce, certificate.public_bytes(Encoding.DER))
            check_tls(key, shown.proof, statement, "it does not have the key of its certificate")
        except CredentialError as error:
            raise EnrolmentRefusedError(f"the device lies: {error}; keep it, and find out why") from None
        return certificate

    def _issue(
        self,
        request: Request,
        public: ec.EllipticCurvePublicKey,
        before: Granted | None,
        known: KnownDevice | None,
        *,
        proved: bool,
    ) -> Granted:
        device = request.device.hex()
        if known is not None and known.revoked and request.kind is not Kind.RENEWAL:
            raise EnrolmentRefusedError(_revoked(known))
        replaces = request.replaces.hex() if proved and request.kind is Kind.AGAIN else ""
        replaced = self._known(replaces) if replaces else None
        kept = next((item.name for item in (before, known, replaced) if item is not None and item.name), "")
        name = self._name(request.serial, {device, replaces}, kept)
        now = datetime.fromtimestamp(self._utc_ns() // _S, UTC)
        certificate = self._papers.authority.issue_device(request.device, public, self._papers.days, now)
        digest = hashlib.sha256(certificate).hexdigest()
        self._office.audit.write(
            Entry(
                self._by, "technician", Act.DEVICE, device,
                details={
                    "what": "certificate issued", "kind": request.kind.value, "name": name, "serial": request.serial,
                    "sha256": digest, "replaces": replaces,
                },
            )
        )  # fmt: skip
        return Granted(
            device, request.digest.hex(), certificate.decode("ascii"), name, request.serial, request.board,
            request.firmware, int(now.timestamp()), self._by, request.kind.value, replaces,
            "" if before is None else before.certificate if before.confirmed else before.previous,
            networks=self._papers.networks is not None,
        )  # fmt: skip

    def _name(self, serial: str, ids: set[str], kept: str) -> str:
        """Return a name that no other device of the unit has; `ids` are those of this one, now and before."""
        pattern, numbered = self._pattern, "{n}" in self._pattern
        if kept and (not pattern or numbered):
            return kept
        if not pattern:
            return f"camera {(serial or min(ids))[-8:]}"
        others = {item.name for item in self._office.devices.all() if item.id not in ids and not item.revoked}
        number = 1
        while (name := pattern.replace("{n}", str(number))) in others:
            if not numbered:
                raise EnrolmentRefusedError(f"another device is called {name!r}: choose another --name")
            number += 1
        return name

    def _is_good(self, granted: Granted) -> bool:
        """Whether a certificate is in date: one that was issued while this station's clock was wrong is not kept to."""
        certificate = x509.load_pem_x509_certificate(granted.certificate.encode("ascii"))
        now = datetime.fromtimestamp(self._utc_ns() // _S, UTC)
        return certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc

    def _known(self, device: str) -> KnownDevice | None:
        return next((item for item in self._office.devices.all() if item.id == device), None)


def _check_identity(request: Request) -> None:
    if not request.is_named:
        raise CredentialError("the request's device id is not that of its identity key")
    if not is_signed(request.identity, request.signature, request.statement):
        raise CredentialError("the request is not signed by the identity in it")


def _check_vouched(before: Granted, request: Request) -> None:
    """Check that the TLS key which the device was last seen to have vouches for the new one."""
    pem = before.certificate if before.confirmed else before.previous or before.certificate
    old = x509.load_pem_x509_certificate(pem.encode("ascii")).public_key()
    if not isinstance(old, ec.EllipticCurvePublicKey):
        raise CredentialError("the old TLS key is none")
    check_tls(old, request.signature, request.statement, "the old TLS key does not vouch for the new one")


def _csr_key(request: Request) -> ec.EllipticCurvePublicKey:
    try:
        csr = x509.load_der_x509_csr(request.csr)
        public = csr.public_key()
        names = [str(item.value) for item in csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        sound = csr.is_signature_valid
    except ODD_CERTIFICATE:
        raise EnrolmentRefusedError("the device lies: its signing request is none") from None
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
        raise EnrolmentRefusedError("the device lies: its TLS key is not ECDSA P-256")
    if not sound or names != [request.device.hex()]:
        raise EnrolmentRefusedError("the device lies: its signing request is not its own")
    return public


def _revoked(known: KnownDevice) -> str:
    return (
        f"device {known.id} is revoked: {known.revoked}. To take it in again: --again --keep-identity --reason ...,"
        " or --again for a new identity"
    )
