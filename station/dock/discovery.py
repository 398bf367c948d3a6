"""Finds docked devices on the dock's link: mDNS service discovery (RFC 6762, RFC 6763)."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from zeroconf import Error as ZeroconfError
from zeroconf import IPVersion, ServiceBrowser, ServiceListener, Zeroconf

from station.errors import StationError
from wire.plain import printable

_SERVICE = "_getuige._tcp.local."
_TIMEOUT_MS = 3000


class Discovery(ServiceListener):
    """Calls `found` with a name, an address and a port for each device that announces itself. A context manager.

    What it says of itself is only where it is: who it is, its certificate and its chain have to prove.
    """

    def __init__(self, address: str, found: Callable[[str, str, int], None]) -> None:
        """Listen on the interface that has `address`.

        Raises:
            StationError: there is none.
        """
        self._found = found
        try:
            self._zeroconf = Zeroconf(interfaces=[address], ip_version=IPVersion.V4Only)
        except (OSError, ZeroconfError) as error:
            raise StationError(f"cannot look for devices on {address}: {error}") from None
        self._browser = ServiceBrowser(self._zeroconf, _SERVICE, self)

    def add_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        """A device is there."""
        info = zc.get_service_info(type_, name, _TIMEOUT_MS)
        addresses = info.parsed_addresses() if info is not None else []
        if info is not None and info.port and addresses:
            self._found(printable(name.removesuffix(f".{type_}"), 32), addresses[0], info.port)

    def update_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        """It says something else about itself."""
        self.add_service(zc, type_, name)

    def remove_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        """It is gone: its bay notices by itself."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zeroconf.close()
