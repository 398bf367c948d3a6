"""A session with a device at the cable, asked as a technician. Errors are one line, whatever the other end sends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from station.errors import StationError
from station.technicians import load_technician
from wire.bodies import Described, Gathering
from wire.calling import Calling, Got
from wire.credential import Technician
from wire.errors import LineLostError, RefusedError, WireError
from wire.plain import printable
from wire.serial_line import SerialLine

Hear = Callable[[Mapping[str, Any]], None]
_MOST_BYTES = 16 * 1024 * 1024


class DeviceRefusesError(StationError):
    """The device refuses; asking again changes nothing."""

    exit_status = 1


class AwayError(StationError):
    """There is no device, or none any more. The same command may be given again."""

    exit_status = 3


@dataclass(frozen=True, slots=True)
class Where:
    """Which device, and who asks."""

    port: Path
    key: Path
    credential: Path | None
    ask: Callable[[str], bytes]
    """Asks somebody for a passphrase, and is told for what."""


@dataclass(frozen=True, slots=True)
class Session:
    """Asks one device."""

    calling: Calling
    technician: Technician

    @property
    def greeting(self) -> Mapping[str, Any]:
        """What the device says it is: its word, no more."""
        return self.calling.greeting.fields

    @property
    def enrolled(self) -> bool:
        """Whether it says that it belongs to a unit."""
        return any(self.calling.greeting.device)

    def ask(
        self,
        verb: str,
        fields: Mapping[str, Any] | None = None,
        *,
        gather: Callable[[Described], Gathering] = Gathering,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> Got:
        """Ask, signed.

        Raises:
            WireError: it refuses, is gone, or talks nonsense; `at_the_cable` makes one line of it.
        """
        return self.calling.call(
            verb, fields, technician=self.technician, most_bytes=_MOST_BYTES, gather=gather, progress=progress
        )


@contextmanager
def at_the_cable(where: Where, hear: Hear = lambda _fields: None) -> Iterator[Session]:
    """Open the port, as a technician; `hear` is told how far a request is.

    Raises:
        StationError, KeyFileError: key or credential will not do.
        DeviceRefusesError: it refuses.
        AwayError: it is gone, or talks nonsense.
    """
    technician = load_technician(where.key, where.ask, where.credential)
    try:
        with SerialLine(where.port) as line:
            yield Session(Calling(line, on_note=hear), technician)
    except LineLostError as error:
        raise AwayError(printable(str(error))) from None
    except RefusedError as error:
        raise DeviceRefusesError(f"the device refuses: {printable(str(error))}") from None
    except WireError as error:
        raise AwayError(f"what is at {where.port} does not talk as a device does: {printable(str(error))}") from None
