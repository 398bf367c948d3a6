"""Reads and replaces the controller's program over its own line, while its watchdog and interlock go on.

The other way, MicroPython's prompt, is closed while the program runs: its watchdog cannot be stopped, and on a board
whose USB port is the dock's there is no second line.
"""

from __future__ import annotations

import base64
import contextlib
import secrets
import time
from collections.abc import Callable
from hashlib import sha256
from types import TracebackType
from typing import Any, Self

import serial

from drivers.companion.lines import (
    LAST_SEQ,
    PROTOCOL,
    Answer,
    EdgeLine,
    Greeting,
    LineCutter,
    LineRefusedError,
    Status,
    parse,
    read_greeting,
    seal,
)
from drivers.companion_program.bundle import MANIFEST, Program
from drivers.companion_program.protocol import Progress, Running
from drivers.errors import DriverError, DriverUnavailableError

PIECE_BYTES = 120
_READ_S = 0.02
_WRITE_S = 0.5
_TRIES = 6
_STATUS_S = 2.0
"""Twenty status lines' time."""
_HOLD_EVERY_S = 0.25
_UP_S = 10.0
"""How long somebody may take to let go of the button."""

_REFUSALS = {
    "hello": "it fell to its safe state, or was reset; its old program runs: run the update again",
    "seq": "it lost count of the commands; its old program runs: run the update again",
    "unknown": "its program is older than updates over the line; install this one over USB, with the service jumper in "
    "(docs/COMPANION.md, Install)",
    "powered": "the camera has power; stop the recorder first: systemctl stop getuige",
    "never": "its config.py allows no update over the line; install over USB, with the service jumper in",
    "trial": "it runs a program on trial; switch it off and on, and run the update again",
    "room": "its flash is full; remove what is not its own over USB (mpremote fs ls), and run the update again",
    "flash": "its flash refused to be written; run the update again, and replace the controller if that does not help",
    "digest": "a file did not arrive as it was sent; its old program runs: run the update again",
}


class CompanionLine:
    """The line to a controller, for as long as the context lasts. The port is opened exclusively."""

    def __init__(
        self,
        port: str,
        *,
        baud: int = 115_200,
        answer_s: float = 1.0,
        hello_s: float = 0.3,
        hold_s: float = 60.0,
        restart_s: float = 15.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the port.

        Args:
            port: Its path.
            baud: Its speed.
            answer_s: How long an answer is waited for before a command is sent again: writing flash takes its time.
            hello_s: The same for a hello, which needs no flash.
            hold_s: How long somebody may take to hold the button.
            restart_s: How long the controller may take to come back with its new program.
            monotonic: The clock.

        Raises:
            DriverUnavailableError: there is no such port, or somebody else has it.
        """
        self._path = port
        self._answer_s, self._hello_s, self._hold_s, self._restart_s = answer_s, hello_s, hold_s, restart_s
        self._monotonic = monotonic
        self._cutter = LineCutter()
        self._seq = 0
        self._refused = 0
        self._boot = ""
        self._edge = self._seen = 0
        self._status: Status | None = None
        try:
            self._port: Any = serial.Serial(port, baud, timeout=_READ_S, write_timeout=_WRITE_S, exclusive=True)
        except (serial.SerialException, OSError, ValueError) as error:
            raise DriverUnavailableError(
                f"companion: {port} cannot be opened ({error}); if the recorder runs, stop the recorder first: "
                "systemctl stop getuige; else check the board profile's port"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        try:
            if error is None:
                with contextlib.suppress(DriverError):  # a courtesy: the light need not flash that the Pi is gone
                    self._exchange("bye", self._hello_s)
        finally:
            self._port.close()

    def running(self) -> Running:
        """Ask which program runs. See `Controller`."""
        return self._tell_apart(self._hello(_TRIES))

    def update(self, program: Program, progress: Progress, say: Callable[[str], None]) -> Running:
        """Put a program on it. See `Controller`."""
        running = self.running()
        if running.digest == program.digest:
            return self._keep() if running.trial else running
        running = self._replace(program, progress, say)
        self._let_go(say)
        return running

    def _replace(self, program: Program, progress: Progress, say: Callable[[str], None]) -> Running:
        if self._begin(program, say):
            progress(program.size_bytes, program.size_bytes)
        else:
            self._send(program, progress)
        self._ask(f"finish {program.digest}")
        before = self._boot
        self._restart()
        return self._see(program, before)

    def _restart(self) -> None:
        """Have it restart. Where that answer is lost it has restarted all the same: `_see` looks what runs then."""
        try:
            answer = self._say("restart")
        except _SilentError:
            return
        # It knows of no hello any more: it has begun anew.
        if not answer.ok and answer.words[0] != "hello":
            raise self._refusal(answer)

    def _begin(self, program: Program, say: Callable[[str], None]) -> bool:
        """Wait until the button is held; return whether the controller has the whole program already."""
        ends = self._monotonic() + self._hold_s
        asked = False
        while True:
            answer = self._say(f"update {program.digest}")
            if answer.ok:
                return answer.words == ("have",)
            if answer.words[0] != "button":
                raise self._refusal(answer)
            if self._monotonic() >= ends:
                self._let_go(say)
                raise DriverError(
                    f"companion: {self._path}: nobody held the record button within {self._hold_s:g} s; nothing was "
                    "changed: run the update again, and hold the button until the sending begins"
                )
            if not asked:
                say("hold the record button, until the sending begins (about 5 s)")
                asked = True
            self._beat()
            self._listen(_HOLD_EVERY_S, lambda: False)

    def _let_go(self, say: Callable[[str], None]) -> None:
        """Wait until the button is up, and take its edges: what was held for an update shall start no recording."""
        ends = self._monotonic() + _UP_S
        asked = False
        while self._monotonic() < ends:
            self._beat()
            self._status = None
            if not self._listen(_STATUS_S, lambda: self._status is not None) or self._status is None:
                raise self._silence()
            if self._status.pressed and not asked:
                say("let go of the record button")
                asked = True
            if not self._status.pressed and self._status.edge == self._seen:
                return

    def _beat(self) -> None:
        """Show that this end lives, and take the button's edges that came."""
        self._ask("beat")
        if self._edge > self._seen and self._say(f"seen {self._edge}").ok:
            self._seen = self._edge

    def _send(self, program: Program, progress: Progress) -> None:
        sent, whole = 0, program.size_bytes
        for name, data in (*program.files.items(), (MANIFEST, program.manifest)):
            progress(sent, whole)
            if self._ask(f"file {name} {len(data)} {sha256(data).hexdigest()}").words != ("have",):
                for at in range(0, len(data), PIECE_BYTES):
                    piece = base64.b64encode(data[at : at + PIECE_BYTES]).decode("ascii")
                    self._ask(f"piece {at} {piece}")
                    progress(sent + at, whole)
            sent += len(data)
        progress(sent, whole)

    def _see(self, program: Program, before: str) -> Running:
        """Wait for the restarted controller, look whether it is the new program that runs, and keep it."""
        ends = self._monotonic() + self._restart_s
        while True:
            try:
                running = self._tell_apart(self._hello(1))
            except _SilentError:
                if self._monotonic() < ends:
                    continue
                raise DriverError(
                    f"companion: {self._path}: it does not answer {self._restart_s:g} s after its restart; switch "
                    "it off and on, so that its old program runs, and run the update again"
                ) from None
            if (running.digest, running.version) == (program.digest, program.version):
                break
            if self._boot != before or self._monotonic() >= ends:
                raise DriverError(
                    f"companion: {self._path}: after the restart it runs {running.version} ({_short(running.digest)}) "
                    f"and not {program.version} ({_short(program.digest)}): the new program did not start; its old "
                    "one runs"
                )
        # It lives as a controller should: it obeys, says how things stand, and the camera is without power.
        self._status = None
        if not self._listen(_STATUS_S, lambda: self._status is not None) or self._powered():
            raise DriverError(
                f"companion: {self._path}: the new program does not say that the camera is without power; switch it "
                "off and on, so that its old program runs"
            )
        return self._keep()

    def _powered(self) -> bool:
        return self._status is None or self._status.camera or self._status.state != "live"

    def _keep(self) -> Running:
        self._ask("keep")
        running = self.running()
        if running.trial:
            raise DriverError(
                f"companion: {self._path}: it kept the program, and says it did not; run the update again"
            )
        return running

    def _hello(self, tries: int) -> Greeting:
        for _ in range(tries):
            # What is under way from before is no answer to this.
            token = secrets.token_hex(4).upper()
            answer = self._exchange(f"hello {PROTOCOL} {token}", self._hello_s)
            if answer is None:
                continue
            if not answer.ok and answer.words[0] == "proto":
                raise DriverError(
                    f"companion: {self._path}: it speaks protocol {' '.join(answer.words[1:])}, and this {PROTOCOL}; "
                    "install this program over USB"
                )
            if not answer.ok:
                continue
            try:
                greeting = read_greeting(answer.words)
            except LineRefusedError as error:
                self._refused += 1
                raise DriverError(
                    f"companion: {self._path}: its hello is malformed ({error}); this may be another controller"
                ) from None
            self._boot = greeting.boot
            self._edge = self._seen = greeting.acked
            return greeting
        raise self._silence()

    def _tell_apart(self, greeting: Greeting) -> Running:
        slot, trial = None, False
        if greeting.digest is not None:
            words = self._ask("slot").words
            values = dict(word.partition("=")[::2] for word in words)
            slot, trial = values.get("slot"), values.get("trial") == "1"
            if slot not in ("a", "b"):
                raise DriverError(f"companion: {self._path}: its answer to slot means nothing; run it again")
        return Running(greeting.firmware, greeting.digest, greeting.config, slot, trial)

    def _ask(self, command: str) -> Answer:
        """Have a command obeyed."""
        answer = self._say(command)
        if not answer.ok:
            raise self._refusal(answer)
        return answer

    def _say(self, command: str) -> Answer:
        """Send a command until it is answered: one that comes twice is answered twice and carried out once."""
        for attempt in range(_TRIES):
            answer = self._exchange(command, self._answer_s, again=attempt > 0)
            if answer is not None:
                return answer
        raise self._silence()

    def _exchange(self, command: str, within_s: float, *, again: bool = False) -> Answer | None:
        if not again:
            self._seq = (self._seq + 1) & LAST_SEQ
        found: list[Answer] = []

        def hear(answer: Answer) -> None:
            if answer.seq == self._seq:
                found.append(answer)

        try:
            # An end of line first: half a line from before, or noise, is no part of this one.
            self._port.write(b"\n" + seal(f">{self._seq} {command}"))
            self._listen(within_s, lambda: bool(found), hear)
        except (serial.SerialException, OSError) as error:
            raise DriverError(
                f"companion: {self._path}: the port was lost ({error}); check the wiring and run it again: what "
                "runs on the controller is whole"
            ) from error
        return found[0] if found else None

    def _listen(
        self, within_s: float, enough: Callable[[], bool], hear: Callable[[Answer], None] | None = None
    ) -> bool:
        """Take lines for `within_s` or until `enough`; return whether it was."""
        ends = self._monotonic() + within_s
        while not enough():
            if self._monotonic() >= ends:
                return False
            for line in self._cutter.feed(self._port.read(max(1, min(self._port.in_waiting, 4096)))):
                try:
                    said = parse(line)
                except LineRefusedError:
                    self._refused += 1
                    continue
                if isinstance(said, Answer) and hear is not None:
                    hear(said)
                elif isinstance(said, Status):
                    self._status = said
                elif isinstance(said, EdgeLine):
                    self._edge = max(self._edge, said.number)
        return True

    def _refusal(self, answer: Answer) -> DriverError:
        word = answer.words[0]
        return DriverError(f"companion: {self._path}: {_REFUSALS.get(word, f'it refused ({word}); run it again')}")

    def _silence(self) -> _SilentError:
        if self._refused or self._cutter.overlong:
            what = (
                f"{self._refused + self._cutter.overlong} lines came that mean nothing: check speed, wiring and ground"
            )
        else:
            what = "nothing comes: check wiring and power, and that the service jumper is out"
        return _SilentError(f"companion: {self._path}: no answer; {what}; then run it again")


class _SilentError(DriverError):
    """Nobody answered."""


def _short(digest: str | None) -> str:
    return digest[:12] if digest else "no digest"
