"""Chips on an I2C bus, register by register."""

from __future__ import annotations

import threading


class FakeChip:
    """Registers of one byte each; a read goes on to the next register, as with the bit for it set or without."""

    def __init__(self, address: int, registers: dict[int, int]) -> None:
        self.address = address
        self.registers = dict(registers)
        self.broken = False
        self.closed = False
        self.reads = 0
        self.read = threading.Condition()

    def read_i2c_block_data(self, i2c_addr: int, register: int, length: int) -> list[int]:
        with self.read:
            self.reads += 1
            self.read.notify_all()
        if self.broken or i2c_addr != self.address or self.closed:
            raise OSError(121, "Remote I/O error")
        first = register & 0x7F
        return [self.registers.get(first + offset, 0) for offset in range(length)]

    def write_byte_data(self, i2c_addr: int, register: int, value: int) -> None:
        if self.broken or i2c_addr != self.address or self.closed:
            raise OSError(121, "Remote I/O error")
        self.registers[register] = value

    def close(self) -> None:
        self.closed = True

    def word(self, register: int, value: int) -> None:
        """Set a big-endian word."""
        self.registers[register], self.registers[register + 1] = value >> 8, value & 0xFF
