"""The device's address on the dock's link: ``dock_link.py settings TEMPLATE OUTPUT | up INTERFACE``.

An IPv4 link-local address (RFC 3927) that follows from the Pi's serial number, so that each device of a dock has its
own and always the same. `settings` writes the device's settings with it; `up` gives it to the interface.
Exit status: 0 done, 1 not. Without a serial number there is no address, and the device records without a dock.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

_SERIAL = Path("/sys/firmware/devicetree/base/serial-number")
_PLACE = "@DOCK_ADDRESS@"
_LIMIT_S = 10


def address_of(serial: str) -> str:
    """Return the address: 169.254.1.0 to 169.254.254.255, as RFC 3927 leaves to be chosen; empty without a serial."""
    if not serial:
        return ""
    number = int.from_bytes(hashlib.sha256(f"getuige dock {serial}".encode()).digest()[:8], "big") % (254 * 256)
    return f"169.254.{1 + number // 256}.{number % 256}"


def serial_number(path: Path = _SERIAL) -> str:
    """Return the Pi's serial number, or an empty text."""
    try:
        text = path.read_bytes().rstrip(b"\0").decode("ascii")
    except (OSError, UnicodeDecodeError):
        return ""
    return text if text.isalnum() else ""


def write_settings(template: Path, output: Path, serial: str) -> None:
    """Write the settings, complete or not at all.

    Raises:
        OSError, UnicodeDecodeError: they cannot be read or written.
    """
    text = template.read_text("utf-8").replace(_PLACE, address_of(serial))
    temporary = output.with_name(f".{output.name}.new")
    temporary.write_text(text, "utf-8")
    os.replace(temporary, output)  # noqa: PTH105 - as everywhere else where a file must be whole


def bring_up(interface: str, serial: str) -> None:
    """Give the interface its address; again changes nothing.

    Raises:
        OSError, subprocess.SubprocessError: there is no such interface, or no right to.
    """
    address = address_of(serial)
    if not address:
        raise FileNotFoundError("the Pi has no serial number: no address for the dock's link")
    for arguments in (
        ["addr", "replace", f"{address}/16", "dev", interface, "scope", "link"],
        ["link", "set", "dev", interface, "up"],
    ):
        subprocess.run(["ip", *arguments], check=True, timeout=_LIMIT_S)
    sys.stdout.write(f"dock-link: {address} on {interface}\n")


def main(arguments: list[str], serial: Path = _SERIAL) -> int:
    """Run it."""
    try:
        if arguments[0] == "settings":
            write_settings(Path(arguments[1]), Path(arguments[2]), serial_number(serial))
        else:
            bring_up(arguments[1], serial_number(serial))
    except (OSError, IndexError, UnicodeDecodeError, subprocess.SubprocessError) as error:
        sys.stderr.write(f"dock-link: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
