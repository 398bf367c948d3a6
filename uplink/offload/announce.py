"""Says on the dock's link that the device is there: mDNS service discovery (RFC 6762, RFC 6763)."""

from __future__ import annotations

import ipaddress
from typing import Any

from zeroconf import Error as ZeroconfError
from zeroconf import IPVersion, ServiceInfo, Zeroconf

from uplink.offload.errors import OffloadError

SERVICE = "_getuige._tcp.local."


class Announcement:
    """One announcement, on the interface that has `address`. `close` takes it back; idempotent."""

    def __init__(self, device: bytes, address: str, port: int) -> None:
        """Announce.

        Raises:
            OffloadError: the link does not let it.
        """
        name = device.hex()
        self._info = ServiceInfo(
            SERVICE, f"{name}.{SERVICE}", addresses=[ipaddress.ip_address(address).packed], port=port,
            properties={"device": name}, server=f"{name}.local.",
        )  # fmt: skip
        self._zeroconf: Any = None
        try:
            self._zeroconf = Zeroconf(interfaces=[address], ip_version=IPVersion.V4Only)
            self._zeroconf.register_service(self._info)
        except (OSError, ZeroconfError) as error:
            self.close()
            raise OffloadError(f"the device cannot be announced on {address}: {error}") from None

    def close(self) -> None:
        """Take it back. Idempotent."""
        zeroconf, self._zeroconf = self._zeroconf, None
        if zeroconf is not None:
            zeroconf.close()
