"""``status``: how the device is, from its files, the system, and what the running recorder says of itself."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509

from firmware.console.chain import newest
from firmware.console.companion import companion_status
from firmware.console.handler import Access
from firmware.console.place import Place, read_name
from firmware.console.tools import Tools
from firmware.version import VERSION
from storage.errors import StorageError
from storage.policy import parse_policy
from storage.policy_file import MAX_POLICY_BYTES
from wire.answering import Asked, Reply
from wire.enrolment import ODD_CERTIFICATE
from wire.plain import expect, printable

_S = 1_000_000_000
_MIB = 1024 * 1024
_MOST_PEM_BYTES = 16_384
_MOST_TEXT = 200


@dataclass(frozen=True, slots=True)
class Status:
    """``status``."""

    place: Place
    tools: Tools
    verb: str = "status"
    access: Access = Access.TECHNICIAN

    def handle(self, asked: Asked) -> Reply:
        """Look at all of it; what cannot be read says why."""
        expect(asked.fields, "a look at the status", "")
        place, tools = self.place, self.tools
        device, reading, recorder = place.device(), tools.clock.read(), tools.recorder()
        return Reply(
            {
                "device": device.hex() if device else "",
                "name": read_name(place.state),
                "serial": place.serial,
                "board": place.board,
                "firmware": VERSION,
                "companion": companion_status(tools, recorder),
                "enrolled": device is not None,
                "recorder": recorder,
                "told": bool(tools.settings.console.status),
                "policy": _policy(place),
                "certificate": _certificate(tools.settings.tls.certificate),
                "chain": newest(tools.settings.store.flash),
                "storage": _storage(tools.settings.store.flash, tools.settings.store.reserve_mib),
                "clock": {
                    "utc_s": max(0, reading.utc_ns // _S),
                    "in_step": reading.synchronised,
                    "uncertainty_ms": reading.uncertainty_ms,
                    "known_s": place.on_record_ns() // _S,
                },
                "acts_waiting": tools.acts.waiting,
            }
        )


def _policy(place: Place) -> Mapping[str, Any]:
    try:
        with (place.state / "policy.toml").open("rb") as file:
            policy = parse_policy(file.read(MAX_POLICY_BYTES + 1), place.unit())
    except OSError as error:
        return {"trouble": printable(error.strerror or "it cannot be read")}
    except StorageError as error:
        return {"trouble": printable(str(error), _MOST_TEXT)}
    return {
        "serial": policy.serial,
        "unit": printable(policy.unit, 80),
        "issued_s": policy.issued_utc_ns // _S,
        "expires_s": int(policy.expires.timestamp()),
    }


def _certificate(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            certificate = x509.load_pem_x509_certificate(file.read(_MOST_PEM_BYTES))
        from_s = int(certificate.not_valid_before_utc.timestamp())
        until_s = int(certificate.not_valid_after_utc.timestamp())
    except OSError as error:
        return {"trouble": printable(error.strerror or "it cannot be read")}
    except ODD_CERTIFICATE:
        return {"trouble": "it is no certificate"}
    return {"from_s": from_s, "until_s": until_s}


def _storage(flash: Path, reserve_mib: int) -> Mapping[str, Any]:
    try:
        usage = shutil.disk_usage(flash)
    except OSError as error:
        return {"trouble": printable(error.strerror or "it cannot be read")}
    return {"free_mib": usage.free // _MIB, "total_mib": usage.total // _MIB, "reserve_mib": reserve_mib}
