"""Registers of a chip on an I2C bus, through smbus2."""

from __future__ import annotations

from typing import Any, Protocol

from drivers.errors import DriverError


class Bus(Protocol):
    """What our drivers need of `smbus2.SMBus`."""

    def read_i2c_block_data(self, i2c_addr: int, register: int, length: int) -> list[int]:
        """Read consecutive registers."""
        ...

    def write_byte_data(self, i2c_addr: int, register: int, value: int) -> None:
        """Write a register."""
        ...

    def close(self) -> None:
        """Give the bus back."""
        ...


def open_bus(number: int) -> Bus:
    """Open /dev/i2c-N.

    Raises:
        DriverError: there is none, or it may not be used.
    """
    from smbus2 import SMBus

    try:
        bus: Any = SMBus(number)
    except OSError as error:
        raise DriverError(
            f"i2c: bus {number} cannot be opened ({error.strerror}); switch it on in config.txt, user in group i2c"
        ) from error
    return bus  # type: ignore[no-any-return]
