"""Where the station's broker is, and how a device proves itself to it."""

from __future__ import annotations

from dataclasses import dataclass

from storage.tls import TlsFiles


@dataclass(frozen=True, slots=True)
class Broker:
    """One broker, and this end's TLS identity."""

    host: str
    port: int
    tls: TlsFiles
