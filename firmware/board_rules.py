"""What one value in a board profile may be. Each rule reads a value of TOML, or says in a few words why not."""

from __future__ import annotations

import re
from typing import Protocol

from firmware.errors import SettingsError

_DRIVER = re.compile(r"[a-z0-9][a-z0-9_-]{1,30}")
_DEVICE = re.compile(r"/dev/[A-Za-z0-9._/:+-]{1,100}")


class Rule(Protocol):
    """Reads a value."""

    def read(self, value: object) -> object:
        """Return the value as the program uses it.

        Raises:
            SettingsError: it cannot be that; the text says what it may be.
        """
        ...


class OneOf:
    """One of a few words."""

    def __init__(self, *words: str) -> None:
        self._words = words

    def read(self, value: object) -> str:
        """Return the word."""
        for word in self._words:
            if value == word:
                return word
        raise SettingsError(f"{value!r} is none of {', '.join(self._words)}")


class Whole:
    """A whole number in a range."""

    def __init__(self, low: int, high: int) -> None:
        self._low, self._high = low, high

    def read(self, value: object) -> int:
        """Return the number."""
        if not isinstance(value, int) or isinstance(value, bool):
            raise SettingsError(f"{value!r} is not a whole number")
        if not self._low <= value <= self._high:
            raise SettingsError(f"{value} is not from {self._low} to {self._high}")
        return value


class Pin(Whole):
    """A pin of the header by Broadcom's number; 0 and 1 belong to the ID EEPROM of an add-on board."""

    def __init__(self) -> None:
        super().__init__(2, 27)


class Address(Whole):
    """A 7-bit I2C address that is not reserved (UM10204, 3.1.12)."""

    def __init__(self) -> None:
        super().__init__(0x08, 0x77)


class Bus:
    """An I2C bus: only number 1 is on the header's pins of every board."""

    def read(self, value: object) -> int:
        """Return the number."""
        if value != 1 or isinstance(value, bool) or not isinstance(value, int):
            raise SettingsError(f"{value!r} is not 1, the I2C bus on the header")
        return value


class YesNo:
    """True or false."""

    def read(self, value: object) -> bool:
        """Return it."""
        if not isinstance(value, bool):
            raise SettingsError(f"{value!r} is neither true nor false")
        return value


class DeviceFile:
    """A device file."""

    def read(self, value: object) -> str:
        """Return its path."""
        if not isinstance(value, str) or not _DEVICE.fullmatch(value) or "/../" in value:
            raise SettingsError(f"{value!r} is not the path of a device, such as /dev/serial0")
        return value


class DriverName:
    """A driver of the kernel's."""

    def read(self, value: object) -> str:
        """Return its name."""
        if not isinstance(value, str) or not _DRIVER.fullmatch(value):
            raise SettingsError(f"{value!r} is not the name of a driver, such as imx708")
        return value


class Text:
    """A short line of text."""

    def read(self, value: object) -> str:
        """Return it."""
        if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= 100:
            raise SettingsError(f"{value!r} is not a line of at most 100 characters")
        return value


class Texts:
    """Some short lines."""

    def read(self, value: object) -> tuple[str, ...]:
        """Return them."""
        if not isinstance(value, list):
            raise SettingsError(f"{value!r} is not a list of lines")
        return tuple(Text().read(item) for item in value)
