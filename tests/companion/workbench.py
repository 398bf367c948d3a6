"""A companion controller on the bench: its program in a real MicroPython and file system, simulated pins, a line.

The line can be hurt, and the power cut. The controller's UART and the Pi's port are two pseudo-terminals; a thread
called ``bench`` carries bytes from one to the other, and plays the watchdog. Times are the host's monotonic clock in
nanoseconds.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import threading
import time
import tty
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.companion.flash import HEAP, INTERPRETER, MAIN, STUBS, Flash

WAIT_S = 10.0
CAMERA_PIN = 16
LIGHT_PIN = 15
FULL_DUTY = 65_535

Hurt = Callable[[bytes], bytes]
"""What becomes of bytes on their way."""


def whole(data: bytes) -> bytes:
    return data


def nothing(data: bytes) -> bytes:
    return b""


@dataclass(frozen=True)
class PinEvent:
    time_ns: int
    pin: int
    value: int


class Bench:
    """Started when entered. `port` is the path that the Pi opens."""

    def __init__(self, folder: Path, *, config: Sequence[str] = ()) -> None:
        """`config`: lines that stand at the end of config.py."""
        self._folder = folder
        self.flash = Flash(folder / "flash", config)
        self.port = str(folder / "port")
        self.to_pi: Hurt = whole
        self.to_controller: Hurt = whole
        self.from_controller = bytearray()
        """What the controller said (the last of it), as it said it."""
        self.beats_ns: deque[int] = deque(maxlen=1000)
        """When heartbeats were given to the controller."""
        self.pin_events: list[PinEvent] = []
        self.starts = 0
        self.cut_after: int | None = None
        """The flash loses its power in the middle of so many writes and erasures, counted from the next start."""
        self._done: set[int] = set()
        self._tickets = 0
        self._changed = threading.Condition()
        self._watchdog_ns: int | None = None
        self._fed_ns = 0
        self._watched = False
        self._process: subprocess.Popen[bytes] | None = None
        self._pi: int | None = None
        self._stopping = False
        self._events_left = b""
        self._to_controller_left = b""

    def __enter__(self) -> Self:
        for name in ("control", "events"):
            os.mkfifo(self._folder / name)
        # Both ends of each FIFO stay open here, so that the controller may come and go.
        self._control = os.open(self._folder / "control", os.O_RDWR)
        self._events = os.open(self._folder / "events", os.O_RDWR | os.O_NONBLOCK)
        self._uart, self._uart_end = os.openpty()
        os.set_blocking(self._uart, False)
        tty.setraw(self._uart_end)
        self.replug()
        self._thread = threading.Thread(target=self._run, name="bench", daemon=True)
        self._thread.start()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._stopping = True
        self._thread.join(WAIT_S)
        self.kill()
        self.unplug()
        for descriptor in (self._control, self._events, self._uart, self._uart_end):
            os.close(descriptor)

    # The controller

    def start(self, cause: str = "power") -> None:
        """Power it up, and wait until its watchdog runs."""
        before = self.starts
        self._spawn(cause)
        self.until(lambda: self.starts > before)

    def kill(self) -> None:
        """Take its power away. All pins float; the board pulls the camera's enable pin low."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGKILL)
            process.wait(WAIT_S)
        with self._changed:
            now_ns = time.monotonic_ns()
            self.pin_events += [PinEvent(now_ns, CAMERA_PIN, 0), PinEvent(now_ns, LIGHT_PIN, 0)]
            self._watchdog_ns = None
            self._changed.notify_all()

    def reset(self, cause: str = "power") -> None:
        """Begin anew, as after a brown-out or with ``watchdog``."""
        self.kill()
        self.start(cause)

    def watch(self) -> None:
        """From now on the watchdog bites: a controller that does not feed it is reset."""
        with self._changed:
            self._fed_ns = time.monotonic_ns()
            self._watched = True

    # What stands around it

    def lamp(self, percent: int = 100, stuck: int = 0) -> None:
        """Let the lamp draw so much of its proper current (0: open, 300: shorted), and `stuck` (u16) at least."""
        self._tell("lamp", percent, stuck)

    def button(self, *moves: tuple[bool, int]) -> None:
        """Move the button: pressed or not, and the milliseconds that it stays so."""
        self._tell("button", *(value for pressed, ms in moves for value in (int(pressed), ms)))

    def press(self) -> None:
        self.button((True, 0))

    def press_soon(self) -> None:
        """Press it without waiting for it: what hurts the line runs on the bench's own thread."""
        os.write(self._control, b"0 button 1 0\n")

    def release(self) -> None:
        self.button((False, 0))

    def battery(self, millivolts: int, charging: bool) -> None:
        self._tell("battery", millivolts, int(charging))

    def i2c(self, registers: bytes) -> None:
        self._tell("i2c", *registers)

    def hang(self) -> None:
        self._tell("hang")

    def crash(self) -> None:
        self._tell("crash")

    # The line

    def unplug(self) -> None:
        """Pull the Pi's port out: its device is gone."""
        with self._changed:
            pi, self._pi = self._pi, None
            if pi is not None:
                Path(self.port).unlink()
                os.close(pi)

    def replug(self) -> None:
        """Put it back: a new device under the same name."""
        master, slave = os.openpty()
        os.set_blocking(master, False)
        tty.setraw(slave)
        Path(self.port).symlink_to(os.ttyname(slave))
        os.close(slave)
        with self._changed:
            self._pi = master

    def say_to_controller(self, data: bytes) -> None:
        """Put bytes onto the line, as if the Pi had sent them."""
        self._put(self._uart, data)

    def say_to_pi(self, data: bytes) -> None:
        """Put bytes onto the line, as if the controller had sent them."""
        with self._changed:
            self._put(self._pi, data)

    # What it does

    @property
    def alive(self) -> bool:
        """Whether its program runs."""
        process = self._process
        return process is not None and process.poll() is None

    @property
    def camera(self) -> bool:
        """Whether the camera has power."""
        return bool(self._last(CAMERA_PIN))

    @property
    def duty(self) -> int:
        """How the light is driven, to `FULL_DUTY`."""
        return self._last(LIGHT_PIN)

    def until(self, condition: Callable[[], bool], within_s: float = WAIT_S) -> None:
        """Wait for something that shows on the pins or on the line.

        Raises:
            AssertionError: it did not come.
        """
        with self._changed:
            assert self._changed.wait_for(condition, within_s), "what was waited for did not come"

    def said(self, text: str) -> bool:
        """Whether the controller has said that since `from_controller` was last cleared."""
        return text.encode() in self.from_controller

    def forget(self) -> None:
        """Clear what was said and done."""
        with self._changed:
            self.from_controller.clear()
            last = {event.pin: event for event in self.pin_events}
            self.pin_events = list(last.values())

    def _last(self, pin: int) -> int:
        with self._changed:
            return next((event.value for event in reversed(self.pin_events) if event.pin == pin), 0)

    def _spawn(self, cause: str) -> None:
        environment = {
            "MICROPYPATH": f"{STUBS}:.frozen",
            "COMPANION_FLASH": str(self.flash.path),
            "COMPANION_UART": os.ttyname(self._uart_end),
            "COMPANION_CONTROL": str(self._folder / "control"),
            "COMPANION_EVENTS": str(self._folder / "events"),
            "COMPANION_RESET": cause,
        }
        if self.cut_after is not None:
            environment["COMPANION_CUT"] = str(self.cut_after)
        with (self._folder / "stderr").open("ab") as errors:
            self._process = subprocess.Popen(
                [INTERPRETER, *HEAP, "-c", MAIN], env=environment, stdin=subprocess.DEVNULL, stderr=errors
            )

    def _tell(self, what: str, *values: int) -> None:
        """Give an order to what surrounds the chip, and wait until it was carried out."""
        with self._changed:
            self._tickets += 1
            ticket = self._tickets
        os.write(self._control, " ".join(map(str, (ticket, what, *values))).encode() + b"\n")
        self.until(lambda: ticket in self._done)

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._uart, selectors.EVENT_READ)
            selector.register(self._events, selectors.EVENT_READ)
            watched: int | None = None
            while not self._stopping:
                with self._changed:
                    pi = self._pi
                if pi != watched:
                    if watched is not None:
                        selector.unregister(watched)
                    if pi is not None:
                        selector.register(pi, selectors.EVENT_READ)
                    watched = pi
                for key, _ in selector.select(0.01):
                    self._carry(key.fd)
                self._bite()

    def _carry(self, descriptor: int) -> None:
        with self._changed:
            if descriptor == self._events:
                with suppress(BlockingIOError):  # taken already
                    self._take_events(os.read(descriptor, 65_536))
            elif descriptor == self._uart:
                data = os.read(descriptor, 65_536)
                # What the pins did before this was said is known before it is passed on.
                with suppress(BlockingIOError):
                    self._take_events(os.read(self._events, 65_536))
                self.from_controller += data
                del self.from_controller[:-262_144]
                hurt = self.to_pi(data)
                self._put(self._pi, hurt)
            elif descriptor == self._pi:
                try:
                    data = os.read(descriptor, 65_536)
                except OSError:
                    data = b""  # nobody has the port open
                if not data:
                    self._changed.wait(0.01)
                    return
                hurt = self.to_controller(data)
                self._note_beats(hurt)
                self._put(self._uart, hurt)
            self._changed.notify_all()

    @staticmethod
    def _put(descriptor: int | None, data: bytes) -> None:
        """Write what there is room for: nobody may be listening, and a line loses then what nobody takes."""
        if descriptor is not None and data:
            with suppress(BlockingIOError):
                os.write(descriptor, data)

    def _note_beats(self, data: bytes) -> None:
        *lines, self._to_controller_left = (self._to_controller_left + data).split(b"\n")
        self.beats_ns.extend(time.monotonic_ns() for line in lines if b" beat*" in line or b" hello " in line)

    def _take_events(self, data: bytes) -> None:
        *lines, self._events_left = (self._events_left + data).split(b"\n")
        for line in lines:
            words = line.decode().split(" ")
            time_ns = int(words[0]) * 1000
            match words[1:]:
                case ["pin" | "pwm", pin, value]:
                    self.pin_events.append(PinEvent(time_ns, int(pin), int(value)))
                case ["wdt", timeout_ms]:
                    self._watchdog_ns = int(timeout_ms) * 1_000_000
                    self._fed_ns = time.monotonic_ns()
                    self.starts += 1
                case ["feed"]:
                    self._fed_ns = time.monotonic_ns()
                case ["done", ticket]:
                    self._done.add(int(ticket))

    def _bite(self) -> None:
        """Be the watchdog, and the reset that the program asks for."""
        process = self._process
        with self._changed:
            overdue = (
                self._watched
                and self._watchdog_ns is not None
                and time.monotonic_ns() - self._fed_ns > self._watchdog_ns
            )
        if process is not None and self._watched and (overdue or process.poll() == 76):
            self.kill()
            self._spawn("watchdog")
