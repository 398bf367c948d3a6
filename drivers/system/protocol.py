"""What the operating system is to the technician's console: it obeys a few commands, and keeps a log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class SystemControl(Protocol):
    """What may be asked of the system. Every method returns within a minute."""

    @property
    def present(self) -> bool:
        """False for the disabled driver: nothing can be asked."""
        ...

    def stop_recorder(self) -> None:
        """End the recorder's service in good order, and wait until its parts are free.

        Raises:
            DriverError: the system refuses, or it did not end in time.
        """
        ...

    def start_recorder(self) -> None:
        """Have the recorder's service started; it is not waited for.

        Raises:
            DriverError: the system refuses.
        """
        ...

    def restart_recorder(self) -> None:
        """Have the recorder's service ended in good order and started anew; it is not waited for.

        Raises:
            DriverError: the system refuses.
        """
        ...

    def set_clock(self, utc_ns: int) -> None:
        """Set the system's wall clock (ns since 1970), and the real-time clock where there is one.

        Raises:
            DriverError: the system refuses.
        """
        ...

    def power_off(self) -> None:
        """Have the device switched off in good order; it is not waited for.

        Raises:
            DriverError: the system refuses.
        """
        ...


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the system's log, of the device's own services alone."""

    utc_us: int
    """Wall clock, microseconds since 1970: as it was when the line was written."""
    unit: str
    """The service that wrote it, or that it is about."""
    priority: int
    """As in syslog(3): 3 and less is an error."""
    text: str


class SystemLog(Protocol):
    """The system's log of the device's own services."""

    @property
    def present(self) -> bool:
        """False for the disabled driver: there is none."""
        ...

    def newest(self, most: int) -> list[LogLine]:
        """Return up to `most` lines, the newest ones, in their order.

        Raises:
            DriverError: it cannot be read.
        """
        ...
