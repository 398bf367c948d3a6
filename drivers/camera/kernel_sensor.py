"""Has the kernel look for a camera's sensor once it has power.

A sensor's driver reads its number when it is loaded, at boot, and gives up for good where nothing answers; so does the
firmware that detects cameras. On a board whose camera has power only while the light is lit, that is always so. The
driver is bound to the sensor by sysfs (``Documentation/ABI/testing/sysfs-bus-*``, ``bind``), which the image lets the
service's group write, and stays bound when the power goes.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

from drivers.errors import DriverError

_LOOK_S = 0.02
_WAIT_S = 3.0
_NODES = ("video*", "media*", "v4l-subdev*")


class KernelSensor:
    """One sensor, by the name of its driver, such as ``imx708``."""

    def __init__(
        self,
        name: str,
        *,
        sys: Path = Path("/sys"),
        dev: Path = Path("/dev"),
        udev: Path = Path("/run/udev/data"),
        wait_s: float = _WAIT_S,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`wait_s`: how long it may take to answer after its power came, and to be a camera that programs find."""
        self.name = name
        self._bus = sys / "bus" / "i2c"
        self._dev = dev
        self._udev = udev
        self._wait_s = wait_s
        self._monotonic = monotonic
        self._sleep = sleep

    def bind(self) -> None:
        """Bind its driver, unless it is bound, and wait until libcamera can find it. The sensor must have power.

        Raises:
            DriverError: the kernel knows no such sensor, may not be asked, finds none, or makes no camera of it.
        """
        device = self._find()
        ends_s = self._monotonic() + self._wait_s
        while not (device / "driver").exists() and (trouble := self._try(device)) is not None:
            if self._monotonic() >= ends_s:
                raise DriverError(
                    f"camera: the sensor {self.name} does not answer ({trouble}) although it has power; check the "
                    "ribbon, and that this is the module that the board's profile names"
                )
            self._sleep(_LOOK_S)
        while (trouble := self._unready(device)) is not None:
            if self._monotonic() >= ends_s:
                raise DriverError(f"camera: the sensor {self.name} answers, but {trouble}")
            self._sleep(_LOOK_S)

    def _find(self) -> Path:
        for device in sorted((self._bus / "devices").glob("*-*")):
            try:
                if (device / "name").read_text("ascii").strip() == self.name:
                    return device
            except (OSError, ValueError):  # not a device of that kind, or gone again
                continue
        raise DriverError(f"camera: the kernel knows of no sensor {self.name}; is dtoverlay={self.name} in config.txt?")

    def _try(self, device: Path) -> str | None:
        """Ask once; return why the sensor was not found, or None where it was."""
        place = self._bus / "drivers" / self.name / "bind"
        try:
            descriptor = os.open(place, os.O_WRONLY | os.O_CLOEXEC)
        except OSError as error:
            if error.errno == errno.ENOENT:
                raise DriverError(
                    f"camera: the kernel's driver {self.name} is not loaded (modprobe {self.name})"
                ) from None
            raise DriverError(
                f"camera: {place} cannot be opened ({error.strerror}); check the service's rights"
            ) from None
        try:
            os.write(descriptor, device.name.encode("ascii"))
        except OSError as error:
            return None if (device / "driver").exists() else error.strerror or str(error.errno)
        finally:
            os.close(descriptor)
        return None

    def _unready(self, device: Path) -> str | None:
        """Return why libcamera would not find it yet, or None.

        The receiver makes device files when sensor and lens are both there. udev gives them to our group, and then puts
        them on its record, a moment later; libcamera passes over what is not on that record.
        """
        if not any((device / "video4linux").glob("v4l-subdev*")):
            return "no camera came of it: its lens or its receiver is missing; check dtoverlay in config.txt"
        for node in sorted(node for pattern in _NODES for node in self._dev.glob(pattern)):
            try:
                number = node.stat().st_rdev
            except OSError:  # gone again
                continue
            if not os.access(node, os.R_OK | os.W_OK):
                return f"{node} may not be opened; check the udev rules (90-getuige.rules)"
            if not (self._udev / f"c{os.major(number)}:{os.minor(number)}").exists():
                return f"udev does not know of {node}; is systemd-udevd running?"
        return None
