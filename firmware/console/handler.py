"""What the console can be asked: small objects, one a verb, each saying who may ask."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from wire.answering import Asked, Reply


class Access(Enum):
    """Who may ask."""

    OPEN = "open"
    """Whoever holds the cable."""
    TECHNICIAN = "technician"
    """Who signs with a credential of the device's unit. A device without a unit has nobody to ask, and refuses."""


class Handler(Protocol):
    """Does one thing."""

    @property
    def verb(self) -> str:
        """What it is asked by."""
        ...

    @property
    def access(self) -> Access:
        """Who may ask."""
        ...

    def handle(self, asked: Asked) -> Reply:
        """Do it. It runs once for each request, however often that comes; no other runs meanwhile.

        What takes longer than some seconds calls `asked.tell` every few seconds.

        Raises:
            WireError, FirmwareError, StorageError, DriverError, CaptureError, OSError: it is refused or failed, and
                the asking end is told so in one line.
        """
        ...
