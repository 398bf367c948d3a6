"""A simulated RP2040 for MicroPython's unix port: pins, converters and a UART whose other ends are with the test.

Three files, named by the environment: COMPANION_UART (a terminal), COMPANION_CONTROL (a FIFO with commands from the
test), COMPANION_EVENTS (a FIFO with what the pins do, each with a time of the host's monotonic clock in µs).
"""

import os
import select
import sys
import time

PWRON_RESET = 1
WDT_RESET = 3
_LAMP_FULL = 32_768
_LAMP_PIN, _LAMP_ADC, _BATTERY_ADC, _BUTTON_PIN, _CHARGING_PIN, _SERVICE_PIN = 15, 26, 27, 14, 22, 21


class World:
    """What is around the chip."""

    def __init__(self):
        self._control = open(os.getenv("COMPANION_CONTROL"), "rb", buffering=0)
        self._events = open(os.getenv("COMPANION_EVENTS"), "wb", buffering=0)
        self._poll = select.poll()
        self._poll.register(self._control, select.POLLIN)
        self._line = b""
        self.levels = {_BUTTON_PIN: 1, _CHARGING_PIN: 1, _SERVICE_PIN: 1}
        self.handlers = {}
        self.duty = {}
        self.lamp_percent = 100
        self.lamp_stuck = 0
        self.battery_mv = 3_900
        self.i2c = b"\x00\x00\x00\x00"

    def tell(self, *words):
        text = " ".join(str(word) for word in words)
        self._events.write(f"{time.ticks_us()} {text}\n".encode())

    def look(self):
        """Obey what the test has written meanwhile."""
        while self._poll.poll(0):
            byte = self._control.read(1)
            if not byte:
                return
            if byte == b"\n":
                line, self._line = self._line, b""
                self._obey(line.decode().split(" "))
            else:
                self._line += byte

    def _obey(self, words):
        ticket, what, values = words[0], words[1], words[2:]
        if what == "lamp":
            self.lamp_percent, self.lamp_stuck = int(values[0]), int(values[1])
        elif what == "button":
            # Levels with the milliseconds that each one stays.
            for at in range(0, len(values), 2):
                self.set_level(_BUTTON_PIN, 1 - int(values[at]))
                time.sleep_ms(int(values[at + 1]))
        elif what == "battery":
            self.battery_mv = int(values[0])
            self.levels[_CHARGING_PIN] = 1 - int(values[1])
        elif what == "i2c":
            self.i2c = bytes(int(value) for value in values)
        elif what == "hang":
            self.tell("done", ticket)
            while True:
                time.sleep_ms(1000)
        elif what == "crash":
            self.tell("done", ticket)
            raise RuntimeError("told to crash")
        else:
            raise ValueError(what)
        self.tell("done", ticket)

    def set_level(self, number, level):
        if self.levels.get(number) == level:
            return
        self.levels[number] = level
        if number in self.handlers:
            self.handlers[number]()


_world = World()


class Pin:
    IN, OUT, PULL_UP, PULL_DOWN, IRQ_FALLING, IRQ_RISING = 0, 1, 1, 2, 4, 8

    def __init__(self, number, mode=-1, pull=-1, value=None):
        self.number = number
        self._out = mode == Pin.OUT
        self._driven = None
        if value is not None:
            self.value(value)

    def value(self, level=None):
        if level is None:
            return _world.levels.get(self.number, 0)
        assert self._out
        if level != self._driven:
            self._driven = level
            _world.tell("pin", self.number, level)
        return None

    def irq(self, handler, trigger):
        assert trigger == Pin.IRQ_FALLING | Pin.IRQ_RISING
        _world.handlers[self.number] = lambda: handler(self)


class PWM:
    def __init__(self, pin, *, freq, duty_u16):
        self._number = pin.number
        self.duty_u16(duty_u16)

    def duty_u16(self, duty):
        _world.duty[self._number] = duty
        _world.tell("pwm", self._number, duty)


class ADC:
    def __init__(self, pin):
        self._number = pin.number

    def read_u16(self):
        if self._number == _LAMP_ADC:
            current = _LAMP_FULL * _world.duty.get(_LAMP_PIN, 0) // 65_535 * _world.lamp_percent // 100
            return min(65_535, max(current, _world.lamp_stuck))
        assert self._number == _BATTERY_ADC
        return _world.battery_mv // 2 * 65_535 // 3_300


class UART:
    def __init__(self, number, *, baudrate, tx, rx, rxbuf, txbuf, timeout):
        assert (number, baudrate, timeout) == (0, 115_200, 0)
        # Two files: one that both reads and writes seeks in between, which a terminal cannot.
        self._in = open(os.getenv("COMPANION_UART"), "rb", buffering=0)
        self._out = open(os.getenv("COMPANION_UART"), "wb", buffering=0)
        self._poll = select.poll()
        self._poll.register(self._in, select.POLLIN)
        self._kept = b""

    def any(self):
        _world.look()
        while len(self._kept) < 1024 and self._poll.poll(0):
            byte = self._in.read(1)
            if not byte:
                break
            self._kept += byte
        return len(self._kept)

    def read(self, count):
        data, self._kept = self._kept[:count], self._kept[count:]
        return data or None

    def write(self, data):
        return self._out.write(data)


class I2C:
    def __init__(self, number, *, sda, scl, freq):
        assert (number, sda.number, scl.number) == (1, 2, 3)

    def readfrom_mem(self, address, register, count):
        assert (address, register) == (0x36, 0x02)
        if not any(_world.i2c):
            raise OSError(5)
        return _world.i2c[:count]


class WDT:
    def __init__(self, *, timeout):
        _world.tell("wdt", timeout)
        self._told = time.ticks_ms()

    def feed(self):
        # The test plays the watchdog; a tenth of the feedings is enough for it.
        if time.ticks_diff(time.ticks_ms(), self._told) >= 50:
            self._told = time.ticks_ms()
            _world.tell("feed")


def reset_cause():
    return WDT_RESET if os.getenv("COMPANION_RESET") == "watchdog" else PWRON_RESET


def reset():
    _world.tell("reset")
    sys.exit(76)
