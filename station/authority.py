"""The unit's certificate authority for TLS: who is a device of the unit, who a station (X.509, RFC 5280).

TLS identity is another key than the one that signs evidence: a certificate proves who talks, never what was recorded.
A device is ``CN=<32 hex device id>, OU=device``, a station ``CN=<name>, OU=station``. Keys: ECDSA P-256 (FIPS 186-5).
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from station.errors import StationError
from storage.durable import replace_file

DEVICE_UNIT = "device"
STATION_UNIT = "station"
AUTHORITY_DAYS = 3650
_BACKDATED = timedelta(days=1)
"""A device whose clock is a little behind must still take a new certificate."""
_DEVICE = re.compile(r"[0-9a-f]{32}")
_STATION = re.compile(r"[a-z][a-z0-9-]{0,39}")
_SERVES = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]


@dataclass(frozen=True, slots=True)
class Authority:
    """The authority's certificate and private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def pem(self) -> bytes:
        """The certificate (PEM), which every device and station trusts."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue_device(self, device: bytes, public: ec.EllipticCurvePublicKey, days: int, now: datetime) -> bytes:
        """Return a device's certificate (PEM) for the 16-byte device id."""
        name = device.hex()
        return self._issue(name, DEVICE_UNIT, public, [x509.DNSName(f"{name}.getuige")], days, now)

    def issue_station(
        self, name: str, public: ec.EllipticCurvePublicKey, hosts: list[str], days: int, now: datetime
    ) -> bytes:
        """Return a station's certificate (PEM); `hosts` are the names and addresses at which it is reached.

        Raises:
            StationError: a name that could be taken for a device's, or that is none.
        """
        if not _STATION.fullmatch(name) or _DEVICE.fullmatch(name):
            raise StationError(f"{name!r} is no name for a station: lower-case letters, digits and '-', up to 40")
        return self._issue(name, STATION_UNIT, public, [_general_name(host) for host in hosts], days, now)

    def _issue(
        self,
        name: str,
        unit: str,
        public: ec.EllipticCurvePublicKey,
        hosts: list[x509.GeneralName],
        days: int,
        now: datetime,
    ) -> bytes:
        builder = _builder(_name(name, unit), self.certificate.subject, public, days, now)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(authority=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(_SERVES), critical=False)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
        )
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def new_key() -> ec.EllipticCurvePrivateKey:
    """Make a TLS key."""
    return ec.generate_private_key(ec.SECP256R1())


def new_authority(name: str, now: datetime) -> Authority:
    """Make a unit's authority, good for ten years."""
    key = new_key()
    subject = _name(name, "authority")
    builder = _builder(subject, subject, key.public_key(), AUTHORITY_DAYS, now)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(authority=True), critical=True)
    return Authority(builder.sign(key, hashes.SHA256()), key)


def encode_tls_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the PEM text (PKCS #8) of a private key. It is a secret."""
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key.private_bytes(*form)


def save_authority(folder: Path, authority: Authority) -> None:
    """Write ``ca.key`` (mode 0600) and ``ca.crt`` into `folder`.

    Raises:
        StationError: there is one already, or it cannot be written.
    """
    key, certificate = folder / "ca.key", folder / "ca.crt"
    if key.exists() or certificate.exists():
        raise StationError(f"{folder} holds an authority already: all devices of the unit trust that one")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        replace_file(key, encode_tls_key(authority.key), mode=0o600)
        replace_file(certificate, authority.pem, mode=0o644)
    except OSError as error:
        raise StationError(f"cannot write the authority into {folder}: {error.strerror}") from None


def load_authority(folder: Path) -> Authority:
    """Read what `save_authority` wrote.

    Raises:
        StationError: missing, unreadable, or not an authority and its key.
    """
    try:
        key_pem, pem = (folder / "ca.key").read_bytes(), (folder / "ca.crt").read_bytes()
    except OSError as error:
        raise StationError(f"cannot read the authority in {folder}: {error.strerror}") from None
    try:
        key = serialization.load_pem_private_key(key_pem, password=None)
        certificate = x509.load_pem_x509_certificate(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise StationError(f"the authority in {folder} is damaged: ca.key or ca.crt is not what it should be") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise StationError(f"the authority in {folder} is damaged: ca.key is not the key of ca.crt")
    return Authority(certificate, key)


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, days: int, now: datetime
) -> x509.CertificateBuilder:
    start = now.astimezone(UTC).replace(microsecond=0) - _BACKDATED
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + _BACKDATED + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _name(name: str, unit: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
