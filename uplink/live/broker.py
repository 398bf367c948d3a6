"""Where the station's broker is, and how a device proves itself to it: TLS 1.3 (RFC 8446), certificates both ways."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from uplink.live.errors import LinkError


@dataclass(frozen=True, slots=True)
class Broker:
    """One broker, and the files of this end's TLS identity (PEM)."""

    host: str
    port: int
    authority: Path
    """The unit's certificate authority."""
    certificate: Path
    key: Path


def tls_context(broker: Broker) -> ssl.SSLContext:
    """Return a context of the files as they are now, so that a renewed certificate is used at the next connection.

    Raises:
        LinkError: a file is missing, unreadable or not what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    where = broker.authority
    try:
        context.load_verify_locations(cafile=str(broker.authority))
        where = broker.certificate
        context.load_cert_chain(str(broker.certificate), str(broker.key), password=_no_passphrase)
    except ssl.SSLError:
        raise LinkError(f"live: {where} or its key is not a usable PEM file; enrol the device's TLS identity") from None
    except OSError as error:
        raise LinkError(f"live: cannot read {where} or its key: {error.strerror}") from None
    return context


def _no_passphrase() -> bytes:
    """Keep OpenSSL from asking on a terminal."""
    return b""
