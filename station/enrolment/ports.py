"""Where devices may be: serial ports with a USB id (pyserial's list_ports), or whatever a pattern of paths names."""

from __future__ import annotations

import glob
import re
from collections.abc import Callable

from serial.tools import list_ports

from station.errors import StationError

GADGET = "1d6b:0104"
"""The Linux Foundation's multifunction gadget, which the device image is (hardware/)."""
_USB = re.compile(r"([0-9a-f]{4}):([0-9a-f]{4})")
Ports = Callable[[], set[str]]


def usb_ports(usb: str) -> Ports:
    """Return what lists the ports of devices with a USB vendor and product id, such as ``1d6b:0104``.

    Raises:
        StationError: no such pair.
    """
    match = _USB.fullmatch(usb.lower())
    if match is None:
        raise StationError(f"{usb!r} is no USB id: vendor and product, such as {GADGET}")
    wanted = int(match[1], 16), int(match[2], 16)
    return lambda: {port.device for port in list_ports.comports() if (port.vid, port.pid) == wanted}


def globbed_ports(pattern: str) -> Ports:
    """Return what lists the ports whose path is as the pattern says."""
    return lambda: set(glob.glob(pattern))  # noqa: PTH207 - the pattern may be absolute
