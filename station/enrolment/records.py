"""What was granted to whom: one file a device, so that who asks again gets the same.

``enrolled/ID.json`` in the station's folder, written before the grant goes out. No secret is in it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from station.errors import StationError
from storage.durable import replace_file

_MOST_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Granted:
    """One grant."""

    device: str
    request: str
    """SHA-256 of the request, hexadecimal."""
    certificate: str
    """PEM."""
    name: str
    serial: str
    board: str
    firmware: str
    utc_s: int
    by: str
    """Personnel number of the technician."""
    kind: str = "first"
    """`wire.enrolment.Kind`."""
    replaces: str = ""
    """Id of the identity that went; empty where none did, or where the device could not show that it was it."""
    previous: str = ""
    """PEM of the certificate that the device was last seen to have before this one."""
    networks: bool = False
    """Whether networks went with it. Which is not kept: passphrases are in the unit's own file alone."""
    confirmed: bool = False
    """The device has shown that it has the certificate."""


class Records:
    """The files. Different devices may be written at once."""

    def __init__(self, station: Path) -> None:
        self._folder = station / "enrolled"

    def get(self, device: str) -> Granted | None:
        """Return what was granted last to a device, or None.

        Raises:
            StationError: the file is damaged, or cannot be read.
        """
        path = self._folder / f"{device}.json"
        try:
            with path.open("rb") as file:
                return Granted(**json.loads(file.read(_MOST_BYTES)))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StationError(f"cannot read {path}: {error.strerror}") from None
        except (ValueError, TypeError):
            raise StationError(f"{path} is damaged: move it away, and enrol that device again") from None

    def put(self, granted: Granted) -> None:
        """Keep it, durably.

        Raises:
            StationError: it cannot be written.
        """
        path = self._folder / f"{granted.device}.json"
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            replace_file(path, (json.dumps(asdict(granted), indent=1) + "\n").encode(), mode=0o600)
        except OSError as error:
            raise StationError(f"cannot write {path}: {error.strerror}; nothing was granted") from None
