"""Makes the USB port a network card for the dock and a serial line for a technician, by the kernel's configfs.

A composite device of two functions: CDC NCM (usb0) and CDC ACM (ttyGS0). Its addresses and serial number follow from
the Pi's own. Nothing else is offered: no disk, no keyboard. Running it again changes nothing.
Exit status: 0 it is there, 1 it is not (the device records all the same).
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

_SERIAL = Path("/sys/firmware/devicetree/base/serial-number")
_GADGETS = Path("/sys/kernel/config/usb_gadget")
_CONTROLLERS = Path("/sys/class/udc")
_NAME = "getuige"
# Linux Foundation, "Multifunction Composite Gadget": free for such use. Class "miscellaneous, interface association".
_IDENTITY = {"idVendor": "0x1d6b", "idProduct": "0x0104", "bcdUSB": "0x0200", "bcdDevice": "0x0100",
             "bDeviceClass": "0xEF", "bDeviceSubClass": "0x02", "bDeviceProtocol": "0x01"}  # fmt: skip
_ENGLISH = "0x409"


def serial_number(path: Path = _SERIAL) -> str:
    """Return the Pi's serial number, or an empty text."""
    try:
        text = path.read_bytes().rstrip(b"\0").decode("ascii")
    except (OSError, UnicodeDecodeError):
        return ""
    return text if text.isalnum() else ""


def hardware_address(serial: str, end: str) -> str:
    """Return a locally administered unicast address (IEEE 802) for one end of the link, always the same."""
    digest = hashlib.sha256(f"getuige usb {end} {serial}".encode()).digest()
    return ":".join(f"{byte:02x}" for byte in bytes([digest[0] & 0xFC | 0x02]) + digest[1:6])


def make(serial: str, gadgets: Path = _GADGETS, controllers: Path = _CONTROLLERS) -> bool:
    """Make it; False if it was there already.

    Raises:
        OSError: the kernel does not let it, or there is no controller.
    """
    found = sorted(path.name for path in controllers.glob("*"))
    if not found:
        raise FileNotFoundError(f"no USB device controller in {controllers}: is its overlay in config.txt?")
    gadget = gadgets / _NAME
    if (gadget / "UDC").is_file() and (gadget / "UDC").read_text("ascii").strip():
        return False
    texts = {
        **_IDENTITY,
        f"strings/{_ENGLISH}/serialnumber": serial or "unknown",
        f"strings/{_ENGLISH}/manufacturer": "Getuige",
        f"strings/{_ENGLISH}/product": "Getuige bodycam",
        f"configs/c.1/strings/{_ENGLISH}/configuration": "dock and console",
        "configs/c.1/MaxPower": "500",
        "functions/ncm.usb0/dev_addr": hardware_address(serial, "device"),
        "functions/ncm.usb0/host_addr": hardware_address(serial, "host"),
    }
    for name in ("", f"strings/{_ENGLISH}", "configs/c.1", f"configs/c.1/strings/{_ENGLISH}", "functions/ncm.usb0",
                 "functions/acm.gs0"):  # fmt: skip
        (gadget / name).mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        # A function that is linked already takes no new address (EBUSY), not even its own.
        if _read(gadget / name).lower() != text.lower():
            (gadget / name).write_text(f"{text}\n", "ascii")
    for function in ("ncm.usb0", "acm.gs0"):
        link = gadget / "configs/c.1" / function
        if not link.is_symlink():
            link.symlink_to(gadget / "functions" / function)
    (gadget / "UDC").write_text(f"{found[0]}\n", "ascii")
    return True


def _read(path: Path) -> str:
    return path.read_text("ascii").strip("\n\0 ") if path.is_file() else ""


def main() -> int:
    """Run it."""
    try:
        made = make(serial_number())
    except OSError as error:
        sys.stderr.write(f"usb-gadget: {error}\n")
        return 1
    sys.stdout.write("usb-gadget: network and console\n" if made else "usb-gadget: it is there already\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
