"""TLS 1.3 (RFC 8446) between device, broker and station: certificates both ways, of the unit's own authority alone."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from storage.errors import KeyFileError


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """One end's TLS identity, as PEM files."""

    authority: Path
    """The certificate of the unit's authority: the only one that is trusted."""
    certificate: Path
    key: Path
    """Mode 0600; without a passphrase on a device, which has nobody to ask."""


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """Return the context of an end that connects; it checks the other's name. Read anew for each connection, so that a
    renewed certificate is used at the next one.

    Raises:
        KeyFileError: a file is missing, unreadable or not what it should be.
    """  # noqa: D205
    return _load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), files)


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """Return the context of an end that is connected to; it asks for a certificate. Errors as in `client_context`."""
    context = _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), files)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def _load(context: ssl.SSLContext, files: TlsFiles) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    where = files.authority
    try:
        context.load_verify_locations(cafile=str(files.authority))
        where = files.certificate
        context.load_cert_chain(str(files.certificate), str(files.key), password=_no_passphrase)
    except ssl.SSLError:
        raise KeyFileError(f"{where}, or its key, is not a usable PEM file: enrol the TLS identity again") from None
    except OSError as error:
        raise KeyFileError(f"cannot read {where}, or its key: {error.strerror}") from None
    return context


def _no_passphrase() -> bytes:
    """Keep OpenSSL from asking on a terminal."""
    return b""
