"""What every device of a unit gets: the unit's key, its policy, the authority's certificate; checked before any is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from station.authority import Authority, load_authority
from station.enrolment.networks import load_networks
from station.errors import StationError
from station.policy import read_policy_file
from storage.keyfiles import load_signing_key
from storage.policy import parse_policy
from wire.networks import Networks


@dataclass(frozen=True, slots=True)
class Papers:
    """They fit together."""

    unit: bytes
    """The unit's raw public key."""
    policy: bytes
    authority: Authority
    days: int
    """How long certificates are good."""
    networks: Networks | None = None
    """None where none are given: a device keeps what it has."""


def load_papers(
    station: Path,
    unit: Path,
    policy: Path,
    signer: bytes,
    days: int,
    now_ns: int,
    networks: Path | None = None,
) -> Papers:
    """Read and check them; `signer` is the station's raw public signing key.

    Raises:
        StorageError, StationError: one is missing, or does not fit the others. No device is met with such papers.
    """
    given = load_networks(networks) if networks is not None else None
    key = load_signing_key(unit, "unit's key")
    data = read_policy_file(policy)
    found = parse_policy(data, key)
    if found.expired_at(now_ns):
        raise StationError(f"{policy} expired {found.expires.isoformat()}: no device takes it; have it signed anew")
    if signer.hex() not in found.evidence.receipt_keys:
        raise StationError(
            f"{policy} does not name this station: put {signer.hex()} into evidence.receipt_keys and have it signed"
            " anew. Without it a device neither takes certificates from this station nor destroys on its receipts"
        )
    return Papers(key, data, load_authority(station / "authority"), days, given)
