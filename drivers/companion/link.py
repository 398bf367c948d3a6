"""The serial line to the companion controller: one thread that owns the port, and what its owner may ask of it."""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Any, Protocol, Self

import serial

from drivers.button.protocol import ButtonEdge
from drivers.companion.conversation import Conversation, Counters, News
from drivers.companion.lines import Greeting, LineCutter, Status
from drivers.errors import DriverError, DriverUnavailableError

_READ_S = 0.02
_WRITE_S = 0.2
_REOPEN_S = 0.25
_BYE_S = 0.5
_JOIN_S = 3.0
_REFRESHED_NS = 1_000_000_000
_STALE_NS = 1_000_000_000
_UNHEARD_EDGES = 64


class LinkListener(Protocol):
    """Told on the link's own thread, with its lock held. It hands over and returns; it never blocks, never raises."""

    def heard(self, status: Status | None) -> None:
        """Take a new status, or None: the link was lost."""
        ...

    def moved(self, edge: ButtonEdge) -> None:
        """Take an edge of the button."""
        ...


class CompanionLink:
    """The link to the controller at `port`. The drivers beside this file stand on it; its owner keeps it alive.

    The heartbeat is sent only while the owner calls `refresh`: a main loop that hangs lets the controller fall to its
    safe state. Thread-safe; the thread is called ``companion``.
    """

    def __init__(
        self,
        port: str,
        *,
        baud: int = 115_200,
        audible: bool = False,
        now: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Open the port and begin to say hello. This counts as the first `refresh`.

        `audible`: the unit's policy lets a sound keep the camera's power when the light fails; see
        `announce_audibly`.

        Raises:
            DriverUnavailableError: there is no such port, or somebody else has it.
        """
        self._path = port
        self._baud = baud
        self._now = now
        # Reentrant, for what listens may ask. The drivers on this link share it: two locks could wait for one another.
        self.lock = self._lock = threading.RLock()
        self._conversation = Conversation(now(), new_token=lambda: secrets.token_hex(4).upper(), audible=audible)
        self._cutter = LineCutter()
        self._listeners: list[LinkListener] = []
        self._unheard: deque[ButtonEdge] = deque(maxlen=_UNHEARD_EDGES)
        self._changed = threading.Condition(self._lock)
        self._refreshed_ns = now()
        self._reopened = 0
        self._port_trouble: str | None = None
        self._stopping = threading.Event()
        try:
            self._port: Any = self._open()
        except (serial.SerialException, OSError, ValueError) as error:
            raise DriverUnavailableError(
                f"companion: {port} cannot be opened ({error}); check the board profile's port, that nothing else has "
                "it open, and that the user is in the group 'dialout'"
            ) from error
        self._thread = threading.Thread(target=self._run, name="companion", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs. It must, until `close`."""
        return self._thread.is_alive()

    @property
    def live(self) -> bool:
        """Whether the controller obeys and says how things stand."""
        with self._lock:
            return self._known

    @property
    def status(self) -> Status | None:
        """The controller's last status line, at most a second old; None while the link is lost."""
        with self._lock:
            return self._conversation.status if self._known else None

    @property
    def greeting(self) -> Greeting | None:
        """What the controller last said about itself and its program; None: it has not said anything yet."""
        with self._lock:
            return self._conversation.met

    @property
    def camera_refusal(self) -> str | None:
        """Why the controller gave the camera no power when it was last asked, or None."""
        with self._lock:
            return self._conversation.camera_refusal

    @property
    def counters(self) -> Counters:
        """What went wrong on the line so far, as a copy."""
        with self._lock:
            counters = self._conversation.counters
            return replace(counters, refused=counters.refused + self._cutter.overlong)

    @property
    def reopened(self) -> int:
        """How often the port was lost and opened again."""
        with self._lock:
            return self._reopened

    def fault(self) -> str | None:
        """One line saying what is wrong with the link, or None."""
        with self._lock:
            if self._stopping.is_set():
                return "companion: the link was closed; make a new one"
            if not self._thread.is_alive():
                return "companion: the link's thread has ended; restart the process"
            if self._port_trouble is not None:
                return f"companion: {self._path}: {self._port_trouble}; check the wiring; it is tried again"
            if self._now() - self._refreshed_ns >= _REFRESHED_NS:
                return "companion: its owner has not refreshed the link, so the controller falls to its safe state"
            if self._conversation.trouble is not None:
                return f"companion: {self._path}: {self._conversation.trouble}; it is tried again"
            return None

    def refresh(self) -> None:
        """The main loop goes round. To be called four times a second, and at least every second."""
        with self._lock:
            self._refreshed_ns = self._now()
            self._conversation.refresh(self._refreshed_ns)

    def wait_live(self, timeout_s: float) -> bool:
        """Wait for the controller's first word; return whether it came."""
        with self._changed:
            return self._changed.wait_for(lambda: self._conversation.live, timeout_s)

    def light(self, level: int) -> None:
        """Want the light to be at `level` thousandths, now and whenever the link comes back. Returns at once.

        Raises:
            DriverError: the link is lost; the light is wanted dark then.
        """
        with self._lock:
            if not self._known:
                self._conversation.want_light(0)
                raise DriverError(self.fault() or "companion: the link is not up yet; wait for it")
            self._conversation.want_light(level)
        self._wake()

    def power_camera(self, on: bool) -> None:
        """Ask for camera power, or let go of it. Returns at once; see `status` and `camera_refusal`.

        Raises:
            DriverError: the link is lost, and power was asked for.
        """
        with self._lock:
            if on and not self._known:
                raise DriverError(self.fault() or "companion: the link is not up yet; wait for it")
            self._conversation.want_camera(on)
        self._wake()

    def announce_audibly(self) -> None:
        """Give word that the device announces audibly now; it holds for 2 s. Without `audible`: nothing happens."""
        with self._lock:
            self._conversation.announce()
        self._wake()

    def listen(self, listener: LinkListener) -> None:
        """Tell `listener` of everything from now on, and of edges that nobody was there to hear."""
        with self._lock:
            self._listeners.append(listener)
            unheard = list(self._unheard)
            self._unheard.clear()
            for edge in unheard:
                listener.moved(edge)

    def unlisten(self, listener: LinkListener) -> None:
        """Tell `listener` no more."""
        with self._lock:
            if listener in self._listeners:
                self._listeners.remove(listener)

    def close(self) -> None:
        """Say bye (camera without power, light dark), and give the port back. Final and idempotent.

        Raises:
            DriverError: the thread hangs in the port's driver.
        """
        self._stopping.set()
        self._wake()
        self._thread.join(_JOIN_S)
        if self._thread.is_alive():
            raise DriverError(f"companion: {self._path} did not return within {_JOIN_S:g} s; restart the process")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    @property
    def _known(self) -> bool:
        """The thread itself declares silence sooner; this holds should it hang."""
        return self._conversation.live and self._now() - self._conversation.heard_ns < _STALE_NS

    def _open(self) -> Any:
        return serial.Serial(self._path, self._baud, timeout=_READ_S, write_timeout=_WRITE_S, exclusive=True)

    def _wake(self) -> None:
        """Let the thread look at once at what is wanted."""
        with self._lock:
            if self._port is not None:
                self._port.cancel_read()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    if self._port is None:
                        self._reopen()
                    self._round()
                except (serial.SerialException, OSError) as error:
                    self._unplugged(error)
                    self._stopping.wait(_REOPEN_S)
            self._part()
        finally:
            self._shut()
            self._lose("the link was closed")

    def _round(self) -> None:
        """Listen for at most `_READ_S`, and say what is due."""
        port = self._port
        data = port.read(max(1, min(port.in_waiting, 4096)))
        with self._lock:
            for line in self._cutter.feed(data):
                self._pass_on(self._conversation.take(line, self._now()))
            said, news = self._conversation.due(self._now())
            self._pass_on(news)
        for line in said:
            port.write(line)

    def _part(self) -> None:
        """Say bye, and wait a little for the answer."""
        with self._lock:
            self._conversation.end()
        until_ns = time.monotonic_ns() + int(_BYE_S * 1e9)
        while self._port is not None and time.monotonic_ns() < until_ns:
            try:
                self._round()
            except (serial.SerialException, OSError) as error:
                self._unplugged(error)
            with self._lock:
                if self._conversation.ended:
                    return

    def _reopen(self) -> None:
        port = self._open()
        with self._lock:
            self._port = port
            self._cutter.feed(b"\n")  # half a line from before is no part of what comes
            self._reopened += 1
            self._port_trouble = None

    def _unplugged(self, error: Exception) -> None:
        self._shut()
        with self._lock:
            self._port_trouble = f"the port was lost ({error})"
        self._lose("the port was lost")

    def _shut(self) -> None:
        with self._lock:
            port, self._port = self._port, None
        if port is not None:
            try:
                port.close()
            except OSError:
                return  # it was unplugged; its descriptor is gone with it

    def _lose(self, why: str) -> None:
        with self._lock:
            news = News()
            self._conversation.lose(why, news)
            self._pass_on(news)

    def _pass_on(self, news: News) -> None:
        """Called with the lock held, so that everybody hears things in their order."""
        if news.status:
            self._changed.notify_all()
            for listener in list(self._listeners):
                listener.heard(self._conversation.status)
        for edge in news.edges:
            if not self._listeners:
                self._unheard.append(edge)
            for listener in list(self._listeners):
                listener.moved(edge)
