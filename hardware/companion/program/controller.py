"""One round of the loop: listen, sense, decide, drive, tell. The hardware is passed in."""

from edges import EdgeLog
from interlock import Interlock
from lamp import Lamp
from lines import LineError, LineReader, seal, unseal
from session import PROTOCOL, VERSION, Session

STATUS_MS = 100
"""A status line comes this often, and at once when light, camera power or state change."""
AGAIN_MS = 100
"""Edges that the Pi has not taken are told again this often."""
GAUGE_MS = 1_000
_HELP = (
    f"# Companion controller {VERSION}, protocol {PROTOCOL}. Commands are sealed: >SEQ COMMAND [ARGUMENTS]*CRC",
    "# hello 1 TOKEN | beat | light 0..1000 | camera 0|1 | seen N | policy audible | audible | bye",
    "# slot | update DIGEST | file NAME SIZE SHA256 | piece OFFSET BASE64 | finish DIGEST | restart | keep",
    "# Unsealed, these only: help | status | crc TEXT (shows TEXT with its CRC, to be sent back)",
)


class Controller:
    """Everything but the pins."""

    def __init__(self, hardware, boot: str, reset: str, config, receiver) -> None:
        now = hardware.now()
        self._hardware = hardware
        self._boot = boot
        self._interlock = Interlock(now, config.LEVEL_FLOOR, config.AUDIBLE_MAY_REPLACE_LIGHT)
        self._lamp = Lamp(config.LAMP_FULL)
        self._edges = EdgeLog()
        self._receiver = receiver
        audible = config.AUDIBLE_MAY_REPLACE_LIGHT
        self._session = Session(self._interlock, self._edges, boot, reset, audible, receiver)
        self._reader = LineReader()
        self._refused = 0
        self._driven = 0
        self._summary = None
        self._told_at = now - STATUS_MS
        self._edges_at = now
        self._edges_told = 0
        self._gauged_at = now - GAUGE_MS
        self._gauge = (0, None, None)

    def step(self) -> None:
        """Do one round, and feed the watchdog at its end: whatever hangs here ends in a reset."""
        hardware = self._hardware
        now = hardware.now()
        for pressed, at in hardware.button(now):
            self._edges.record(pressed, at)
        # What the filter shows now belongs to what drove the lamp until now.
        self._lamp.judge(hardware.lamp(), self._driven, now)
        self._interlock.step(now, self._lamp.drawing)
        self._drive(now)
        self._receiver.watch(self._edges.pressed, self._interlock.camera, now)
        for line in self._reader.feed(hardware.receive()):
            self._hear(line, now)
            self._drive(now)
        self._tell(now)
        hardware.feed()

    def _drive(self, now: int) -> None:
        self._hardware.power_camera(self._interlock.camera)
        level = self._interlock.output(now)
        if level != self._driven:
            self._driven = level
            self._hardware.drive_light(level)

    def _hear(self, line: bytes, now: int) -> None:
        try:
            if line[0] == 62:  # >
                self._hardware.send(seal(self._session.take(unseal(line), now)))
            else:
                self._console(line, now)
        except LineError:
            self._refused += 1

    def _console(self, line: bytes, now: int) -> None:
        """Answer a person at a terminal. Nothing that is not sealed changes anything."""
        for byte in line:
            if not 32 <= byte <= 126:
                raise LineError("characters")
        text = line.decode()
        if text == "help":
            for said in _HELP:
                self._hardware.send(said.encode() + b"\n")
        elif text == "status":
            self._hardware.send(self._status(now))
        elif text[:4] == "crc " and len(text) <= 100:
            self._hardware.send(b"# " + seal(text[4:]))
        else:
            raise LineError("unknown")

    def _tell(self, now: int) -> None:
        if now - self._gauged_at >= GAUGE_MS:
            self._gauged_at = now
            self._gauge = self._hardware.gauge()
        interlock = self._interlock
        summary = (interlock.state, interlock.level > 0, interlock.camera, self._lamp.verdict)
        if summary != self._summary or now - self._told_at >= STATUS_MS:
            self._summary = summary
            self._told_at = now
            self._hardware.send(self._status(now))
        if interlock.state == "live" and (self._edges.last > self._edges_told or now - self._edges_at >= AGAIN_MS):
            self._edges_at = now
            for number, pressed, at in self._edges.pending():
                self._edges_told = max(self._edges_told, number)
                self._hardware.send(seal(f"!{number} {'down' if pressed else 'up'} {at}"))

    def _status(self, now: int) -> bytes:
        interlock, edges = self._interlock, self._edges
        dropped = edges.dropped + self._hardware.edges_missed()
        voltage_mv, charge, charging = self._gauge
        return seal(
            f"={now} boot={self._boot} seq={self._session.seq} state={interlock.state} light={interlock.level}"
            f" lit={int(self._lamp.drawing)} lamp={self._lamp.verdict} cam={int(interlock.camera)} cut={interlock.cut}"
            f" aud={int(interlock.audible(now))} but={int(edges.pressed)} edge={edges.last} drop={dropped}"
            f" mv={voltage_mv} soc={_or_dash(charge)} chg={_or_dash(charging)}"
            f" bad={(self._refused + self._reader.overlong) & 0xFFFF}"
        )


def _or_dash(value) -> str:
    return "-" if value is None else str(int(value))
