"""The RP2040's pins, UART, converters and watchdog. The only file that knows `machine`, beside the gauge and main."""

import time
from collections import deque

from machine import ADC, PWM, UART, WDT, Pin

_MAX_READ = 256
_SAMPLES = 4
_EDGES = 64


class Clock:
    """Milliseconds since it was made, without the wrap of `ticks_ms`."""

    def __init__(self) -> None:
        self._ticks = time.ticks_ms()
        self._now = 0

    def now(self) -> int:
        """Return the time. To be called more often than every six days."""
        ticks = time.ticks_ms()
        self._now += time.ticks_diff(ticks, self._ticks)
        self._ticks = ticks
        return self._now

    def at(self, ticks: int) -> int:
        """Return the time of a recent value of `ticks_ms`."""
        return self._now - time.ticks_diff(self._ticks, ticks)


class Contact:
    """The button, between its pin and ground. Edges are caught by interrupt, and by looking in case one was missed."""

    def __init__(self, number: int, clock) -> None:
        self.missed = 0
        """Edges that came quicker than the loop took them: chatter."""
        self._clock = clock
        self._caught = deque((), _EDGES)  # noqa: RUF037 - MicroPython wants both
        self._pin = Pin(number, Pin.IN, Pin.PULL_UP)
        self._pin.irq(self._catch, Pin.IRQ_FALLING | Pin.IRQ_RISING)

    def edges(self, now: int) -> list:
        """Return the levels that were seen since the last call: (pressed, time). Equal ones may follow one another."""
        seen = []
        while len(self._caught):
            pressed, ticks = self._caught.popleft()
            seen.append((pressed, min(now, self._clock.at(ticks))))
        seen.append((not self._pin.value(), now))
        return seen

    def _catch(self, pin) -> None:
        if len(self._caught) >= _EDGES:
            self.missed += 1  # the oldest goes
        self._caught.append((not pin.value(), time.ticks_ms()))


class Hardware:
    """What the controller works with."""

    def __init__(self, config, camera, clock, gauge) -> None:
        """`camera` is its enable pin, driven low already. The watchdog runs from here on."""
        self._camera = camera
        self._clock = clock
        self._gauge = gauge
        self._light = PWM(Pin(config.LIGHT_PIN), freq=config.LIGHT_PWM_HZ, duty_u16=0)
        self._lamp = ADC(Pin(config.LAMP_ADC_PIN))
        self._contact = Contact(config.BUTTON_PIN, clock)
        self._uart = UART(
            config.UART_ID,
            baudrate=config.BAUD,
            tx=Pin(config.UART_TX_PIN),
            rx=Pin(config.UART_RX_PIN),
            rxbuf=1024,
            txbuf=1024,
            timeout=0,
        )
        self._watchdog = WDT(timeout=config.WATCHDOG_MS)

    def now(self) -> int:
        """Return milliseconds since the start."""
        return self._clock.now()

    def button(self, now: int) -> list:
        """Return what the button did since the last call."""
        return self._contact.edges(now)

    def edges_missed(self) -> int:
        """Return how many edges of the button were lost so far."""
        return self._contact.missed

    def lamp(self) -> int:
        """Read the lamp's current (u16)."""
        return sum(self._lamp.read_u16() for _ in range(_SAMPLES)) // _SAMPLES

    def gauge(self) -> tuple:
        """Read the battery: millivolts, percent or None, charging or None."""
        return self._gauge.read()

    def drive_light(self, level: int) -> None:
        """Drive the lamp with `level` thousandths."""
        self._light.duty_u16(level * 65_535 // 1000)

    def power_camera(self, on: bool) -> None:
        """Set the camera's enable pin."""
        self._camera.value(1 if on else 0)

    def receive(self) -> bytes:
        """Return what came in, without waiting; at most 256 bytes, so that a flood cannot hold up the loop."""
        waiting = self._uart.any()
        return (self._uart.read(min(waiting, _MAX_READ)) or b"") if waiting else b""

    def send(self, data: bytes) -> None:
        """Send a line."""
        self._uart.write(data)

    def feed(self) -> None:
        """Feed the watchdog."""
        self._watchdog.feed()
