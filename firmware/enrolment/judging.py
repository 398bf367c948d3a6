"""Whether a grant may be taken. Everything is judged here, before anything is written; no I/O.

1. It is for the very request that is staged, and for its device.
2. The policy is signed by the unit in the grant, in force, and something this device can do.
3. That policy names the station that signed the grant: so certificates are from somebody whom the unit trusts.
4. A device that has a unit stays with it.
5. The authority is one, and the certificate is its, for the staged key and this device, and in date.

The time is the device's own where its clock is kept in step, otherwise the station's: a device fresh from a drawer
believes that it is 1970. But it is never earlier than what the device has on record.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from drivers.clock.protocol import ClockReading
from firmware.errors import EnrolError
from firmware.policy_keeper import judge
from storage.policy_fields import Policy
from wire.enrolment import ODD_CERTIFICATE, Grant, Request

_S = 1_000_000_000


def judge_grant(
    grant: Grant,
    request: Request,
    tls: ec.EllipticCurvePublicKey,
    unit: bytes | None,
    reading: ClockReading,
    on_record_ns: int,
) -> Policy:
    """Return the policy of a grant that may be taken; `tls` is the staged key, `unit` the device's unit or None.

    Raises:
        EnrolError, PolicyError, CredentialError: it may not, with the reason.
    """
    if grant.request != request.digest or grant.device != request.device:
        raise EnrolError("the grant is for another request: begin anew")
    if unit is not None and grant.unit != unit:
        raise EnrolError("the grant is of another unit: this device stays with its own")
    now_ns = max(reading.utc_ns if reading.synchronised else grant.utc_s * _S, on_record_ns)
    policy = judge(grant.policy, grant.unit, now_ns)
    grant.check_station()
    if grant.station.hex() not in policy.evidence.receipt_keys:
        raise EnrolError(
            "the grant is signed by a station that the unit's policy does not name (evidence.receipt_keys)"
        )
    _judge_certificates(grant, tls, now_ns)
    return policy


def _judge_certificates(grant: Grant, tls: ec.EllipticCurvePublicKey, now_ns: int) -> None:
    authority, certificate = _load(grant.authority, "authority"), _load(grant.certificate, "certificate")
    if not authority.is_authority or certificate.is_authority:
        raise EnrolError("the grant's authority is none, or makes this device one")
    try:
        authority.itself.verify_directly_issued_by(authority.itself)
        certificate.itself.verify_directly_issued_by(authority.itself)
    except ODD_CERTIFICATE:
        raise EnrolError("the grant's certificate is not issued by its authority") from None
    if certificate.key != tls:
        raise EnrolError("the grant's certificate is for another key than this device's")
    if certificate.named != (grant.device.hex(), "device"):
        raise EnrolError("the grant's certificate is for another device")
    now = datetime.fromtimestamp(now_ns // _S, UTC)
    for what, item in (("authority", authority), ("certificate", certificate)):
        if not item.begins <= now < item.ends:
            raise EnrolError(
                f"the grant's {what} is good from {item.begins:%Y-%m-%d} to {item.ends:%Y-%m-%d}, and it is"
                f" {now:%Y-%m-%d}: is the station's clock right?"
            )


@dataclass(frozen=True, slots=True)
class _Read:
    """A certificate, read as far as it matters."""

    itself: x509.Certificate
    is_authority: bool
    key: object
    named: tuple[str, str]
    begins: datetime
    ends: datetime


def _load(pem: str, what: str) -> _Read:
    try:
        found = x509.load_pem_x509_certificate(pem.encode("ascii"))
        constraints = found.extensions.get_extension_for_class(x509.BasicConstraints).value
        times = found.not_valid_before_utc, found.not_valid_after_utc
        return _Read(found, constraints.ca, found.public_key(), _named(found), *times)
    except ODD_CERTIFICATE:
        raise EnrolError(f"the grant's {what} is no certificate as this unit's are") from None


def _named(certificate: x509.Certificate) -> tuple[str, str]:
    found = []
    for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME):
        values = certificate.subject.get_attributes_for_oid(oid)
        found.append(str(values[0].value) if len(values) == 1 else "")
    return found[0], found[1]
