r"""The networks of a unit's devices and its live broker, as a station gives them at enrolment (docs/ENROL.md). No I/O.

A text (`wire.plain`), the same on the cable and on the device::

    {"broker":{"host":H,"port":P},"v":1,"wifi":[{"passphrase":P,"security":"wpa","ssid":S}, ...]}

`S` is hexadecimal: an SSID is up to 32 bytes of any sort (IEEE 802.11-2020, 9.4.2.2). A passphrase is a secret, and who
holds the cable reads along. So the text goes sealed to the new TLS key of the request that is granted: HPKE (RFC 9180,
base mode, DHKEM(P-256), HKDF-SHA256, ChaCha20-Poly1305), ``info = "getuige/1 enrolment networks\0" ‖
SHA-256(request)``, filled up with zero bytes to whole 512 so that its length tells little. No error here has a word of
it in its text.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from wire.errors import MessageError
from wire.plain import decode, encode, expect, take_bytes, take_int, take_map, take_text

VERSION = 1
MOST_WIFI = 8
MOST_TEXT_BYTES = 48 * 1024
MOST_SEALED_BYTES = MOST_TEXT_BYTES + 512 + 65 + 16
_SSID_BYTES = 32
_MOST_AUTHORITY_BYTES = 2048
_PASSPHRASE = re.compile(r"[ -~]{8,63}")
"""As IEEE 802.11-2020 has it (J.4); for WPA3 the same, so that one rule holds."""
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_INFO = b"getuige/1 enrolment networks\0"
_SUITE = Suite(KEM.P256, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
_FILL_BYTES = 512


class Security(Enum):
    """How a network is joined."""

    WPA = "wpa"
    """With a passphrase: WPA2 or WPA3, whichever the network has."""
    WPA3 = "wpa3"
    """With a passphrase, by WPA3 alone."""
    EAP_TLS = "eap-tls"
    """IEEE 802.1X, EAP-TLS (RFC 5216, RFC 9190) with the device's own certificate."""


@dataclass(frozen=True, slots=True)
class Wifi:
    """One network. What its security does not use is empty."""

    ssid: bytes
    security: Security
    passphrase: str = field(default="", repr=False)
    server: str = ""
    """The RADIUS server's name, as its certificate has it."""
    authority: bytes = b""
    """The certificate (DER) of who certifies that server; empty: the unit's own authority."""

    @property
    def fields(self) -> dict[str, Any]:
        """As it stands in the text."""
        common = {"ssid": self.ssid.hex(), "security": self.security.value}
        if self.security is Security.EAP_TLS:
            return common | {"server": self.server, "authority": self.authority.hex()}
        return common | {"passphrase": self.passphrase}


@dataclass(frozen=True, slots=True)
class Networks:
    """All of it. Where there is no network there is no broker, and the other way round."""

    host: str = ""
    port: int = 0
    wifi: tuple[Wifi, ...] = ()
    """The one that is preferred first."""

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.host)

    @property
    def fields(self) -> dict[str, Any]:
        """As a text's object."""
        broker = {"host": self.host, "port": self.port}
        return {"v": VERSION, "broker": broker, "wifi": [item.fields for item in self.wifi]}

    def encode(self) -> bytes:
        """Return the text. It is a secret."""
        return encode(self.fields)


NONE = Networks()


def parse_networks(text: bytes) -> Networks:
    """Read a text.

    Raises:
        MessageError: it is none.
    """
    if len(text) > MOST_TEXT_BYTES:
        raise MessageError(f"the networks take more than {MOST_TEXT_BYTES} bytes")
    return check_networks(decode(text, "the networks' text"))


def check_networks(fields: Mapping[str, Any]) -> Networks:
    """Read a text's object.

    Raises:
        MessageError: something in it is not as it must be; where, and never what.
    """
    expect(fields, "the networks", "v broker wifi")
    take_int(fields, "v", VERSION, VERSION)
    broker, listed = take_map(fields, "broker"), fields["wifi"]
    expect(broker, "the broker", "host port")
    if not isinstance(listed, list | tuple) or len(listed) > MOST_WIFI:
        raise MessageError(f"more than {MOST_WIFI} networks, or no list of them")
    wifi = tuple(_wifi(item, f"network {number}") for number, item in enumerate(listed, 1))
    host, port = take_text(broker, "host", 253), take_int(broker, "port", 65_535)
    if not host and not port and not wifi:
        return NONE
    if not wifi or not port or not is_host(host):
        raise MessageError("the broker needs a host (a name or an address), a port, and a network that leads to it")
    return Networks(host, port, wifi)


def is_host(text: str) -> bool:
    """Whether a text is a host's name or address, with nothing in it that a file or a program takes for more."""
    if _HOST.fullmatch(text):
        return True
    try:
        return ipaddress.ip_address(text).version == 6 and "%" not in text
    except ValueError:
        return False


def seal_networks(networks: Networks, key: ec.EllipticCurvePublicKey, request: bytes) -> bytes:
    """Return them sealed to the TLS key (P-256) of the request with that digest."""
    text = networks.encode()
    return bytes(_SUITE.encrypt(text + bytes(-len(text) % _FILL_BYTES), key, info=_INFO + request))


def open_networks(sealed: bytes, key: ec.EllipticCurvePrivateKey, request: bytes) -> Networks:
    """Open what `seal_networks` sealed.

    Raises:
        MessageError: it was sealed to another key or for another request, or is none.
    """
    try:
        text = bytes(_SUITE.decrypt(sealed, key, info=_INFO + request))
    except (InvalidTag, ValueError, TypeError):
        raise MessageError("the networks are not sealed to this request's key") from None
    return parse_networks(text.rstrip(b"\0"))


def _wifi(item: object, what: str) -> Wifi:
    if not isinstance(item, dict):
        raise MessageError(f"{what} is none")
    try:
        security = Security(item.get("security"))
    except ValueError:
        known = ", ".join(kind.value for kind in Security)
        raise MessageError(f"{what}: its security is none of {known}") from None
    is_eap = security is Security.EAP_TLS
    expect(item, what, "ssid security " + ("server authority" if is_eap else "passphrase"))
    ssid = take_bytes(item, "ssid")
    if not 1 <= len(ssid) <= _SSID_BYTES:
        raise MessageError(f"{what}: an SSID has 1 to {_SSID_BYTES} bytes")
    if not is_eap:
        passphrase = item["passphrase"]
        if not isinstance(passphrase, str) or not _PASSPHRASE.fullmatch(passphrase):
            raise MessageError(f"{what}: a passphrase has 8 to 63 characters of printable ASCII")
        return Wifi(ssid, security, passphrase)
    server = item["server"]
    if not isinstance(server, str) or not _HOST.fullmatch(server):
        raise MessageError(f"{what}: server is not the name in the RADIUS server's certificate")
    authority = take_bytes(item, "authority", most=_MOST_AUTHORITY_BYTES)
    if authority and not _is_certificate(authority):
        raise MessageError(f"{what}: authority is not a certificate of up to {_MOST_AUTHORITY_BYTES} bytes")
    return Wifi(ssid, security, server=server, authority=authority)


def _is_certificate(der: bytes) -> bool:
    try:
        x509.load_der_x509_certificate(der)
    except (ValueError, TypeError, x509.InvalidVersion):
        return False
    return True
