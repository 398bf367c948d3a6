"""The Pi's half of the talk with the companion controller, without I/O and without a clock of its own.

One command is under way at a time. It is sent again until it is answered, and given up after a few times: then the
talk begins anew with a hello, and the controller has let go of everything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from drivers.button.protocol import ButtonEdge
from drivers.companion.lines import (
    LAST_SEQ,
    PROTOCOL,
    Answer,
    EdgeLine,
    Greeting,
    LineRefusedError,
    Status,
    parse,
    read_greeting,
    seal,
)
from drivers.companion.timebase import Timebase

_MS = 1_000_000
RESEND_NS = 100 * _MS
TRIES = 5
HELLO_NS = 200 * _MS
"""From one hello to the next that is tried."""
BEAT_NS = 250 * _MS
SILENCE_NS = 500 * _MS
"""Without a good status line for so long, nothing is known any more."""
REFRESH_NS = 1_000 * _MS
"""Only an owner that showed itself so recently is spoken for."""
ANCIENT_NS = 10_000 * _MS
"""A press so long before this conversation was made was not meant for it."""


@dataclass(slots=True)
class Counters:
    """What went wrong on the line so far."""

    refused: int = 0
    """Lines of the controller that did not count: wrong CRC, malformed, overlong."""
    resent: int = 0
    lost: int = 0
    """Times that a talk under way broke off."""
    resets: int = 0
    """Restarts of the controller that were noticed."""
    edges_dropped: int = 0
    """Edges that the controller had no room for: chatter."""
    edges_ancient: int = 0
    """Edges from long before this process."""
    edges_inferred: int = 0
    """Edges that no line told, for the controller was reset: only that the button stands differently now."""


@dataclass(slots=True)
class _Pending:
    seq: int
    text: str
    then: Callable[[Answer, int], None]
    sent_ns: int
    tries: int = 1


@dataclass(slots=True)
class _Wanted:
    """What the owner last said."""

    level: int = 0
    camera: bool = False
    camera_asked: bool = False
    """Asked for since it was last seen powered."""
    announce: bool = False


@dataclass(slots=True)
class _Told:
    """What the controller has taken in this session; None: nothing yet."""

    level: int | None = None
    camera: bool = False
    policy: bool = False
    acked: int = 0


@dataclass(slots=True)
class News:
    """What a call brought about, for the owner of the conversation to pass on."""

    edges: list[ButtonEdge] = field(default_factory=list)
    status: bool = False
    """A new status came, or the talk broke off."""


class Conversation:
    """Not thread-safe. `now_ns` is the monotonic clock's, everywhere."""

    def __init__(self, now_ns: int, *, new_token: Callable[[], str], audible: bool = False) -> None:
        """`audible`: the unit's policy lets a sound keep the camera's power when the light fails.

        `new_token` returns eight upper-case hexadecimal digits, others each time.
        """
        self.counters = Counters()
        self.status: Status | None = None
        """The last one of the talk under way; None while there is none."""
        self.greeting: Greeting | None = None
        self.met: Greeting | None = None
        """The last greeting there was, also after the talk broke off."""
        self.trouble: str | None = "the controller has not answered yet"
        self.camera_refusal: str | None = None
        self._new_token = new_token
        self._audible = audible
        self._refreshed_ns = now_ns
        self._beat_due = False
        self._beat_ns = now_ns
        self._hello_ns: int | None = None
        self.heard_ns = now_ns
        """When the controller last said how things stand."""
        self._seq = 0
        self._pending: _Pending | None = None
        self._wanted = _Wanted()
        self._told = _Told()
        self._timebase = Timebase()
        self._boot = ""
        self._made_ns = now_ns
        self._seen = 0
        self._pressed = False
        self._edge_ns = 0
        self._dropped_before = 0
        self._ending = False
        self._ended = False

    @property
    def live(self) -> bool:
        """The controller obeys, and says how things stand."""
        return self.status is not None

    @property
    def level(self) -> int:
        """What the light is wanted to be, in thousandths."""
        return self._wanted.level

    @property
    def ended(self) -> bool:
        """The controller has taken the bye, or there was nobody to take it."""
        return self._ended

    def refresh(self, now_ns: int) -> None:
        """The owner is alive."""
        self._refreshed_ns = now_ns
        self._beat_due = True

    def want_light(self, level: int) -> None:
        """Let the light be so, now and after every hello. Putting it out lets go of the camera's power."""
        self._wanted.level = level
        if level == 0:
            self._wanted.camera = False

    def want_camera(self, on: bool) -> None:
        """Ask for power, or let go of it. A power that is lost has to be asked for again."""
        self._wanted.camera = self._wanted.camera_asked = on
        if on:
            self.camera_refusal = None

    def announce(self) -> None:
        """Give the controller word that the device announces audibly, once."""
        self._wanted.announce = True

    def end(self) -> None:
        """Say bye as soon as the command under way is answered; see `ended`."""
        self._ending = True

    def take(self, line: bytes, now_ns: int) -> News:
        """Take a line that came in, without its end."""
        news = News()
        try:
            said = parse(line)
            match said:
                case Answer():
                    self._take_answer(said, now_ns, news)
                case EdgeLine():
                    self._take_edge(said, now_ns, news)
                case Status():
                    self._take_status(said, now_ns, news)
        except LineRefusedError:
            self.counters.refused += 1
        return news

    def due(self, now_ns: int) -> tuple[list[bytes], News]:
        """Return what is to be sent now. To be called after every line, every wish, and some 50 times a second."""
        news = News()
        if self.greeting is not None and now_ns - self.heard_ns > SILENCE_NS:
            self.lose("the controller fell silent", news)
        pending = self._pending
        if pending is not None:
            if now_ns - pending.sent_ns < RESEND_NS:
                return [], news
            if pending.tries >= TRIES:
                self.lose("the controller does not answer", news)
                return [], news
            pending.tries += 1
            pending.sent_ns = now_ns
            self.counters.resent += 1
            return [seal(pending.text)], news
        if self.greeting is not None:
            return self._next(now_ns), news
        self._ended = self._ending
        return ([] if self._ending else self._hello(now_ns)), news

    def lose(self, why: str, news: News) -> None:
        """Break off: nothing is known, nothing is powered, and the next word is a hello."""
        if self.greeting is not None:
            self.counters.lost += 1
        if self.status is not None:
            news.status = True
        self.trouble = why
        self.greeting = None
        self.status = None
        self._pending = None
        self._wanted.camera = False
        self._wanted.announce = False
        self._told = _Told()

    def _spoken_for(self, now_ns: int) -> bool:
        return now_ns - self._refreshed_ns < REFRESH_NS

    def _hello(self, now_ns: int) -> list[bytes]:
        if not self._spoken_for(now_ns) or (self._hello_ns is not None and now_ns - self._hello_ns < HELLO_NS):
            return []
        self._hello_ns = now_ns
        return [self._send(f"hello {PROTOCOL} {self._new_token()}", self._greet, now_ns)]

    def _next(self, now_ns: int) -> list[bytes]:
        """Return the one command that matters most. What takes light or power away comes before what gives it."""
        wanted, told = self._wanted, self._told
        if self._ending:
            return [] if self._ended else [self._send("bye", self._took_bye, now_ns)]
        if self._beat_due and now_ns - self._beat_ns >= BEAT_NS:
            self._beat_due = False
            self._beat_ns = now_ns
            return [self._send("beat", self._took, now_ns)]
        if told.camera and not wanted.camera and wanted.level:
            told.camera = False
            return [self._send("camera 0", self._took, now_ns)]
        if wanted.level != (told.level or 0):
            told.level = wanted.level
            told.camera = told.camera and wanted.level > 0
            return [self._send(f"light {wanted.level}", self._took, now_ns)]
        if told.acked != self._seen:
            told.acked = self._seen
            return [self._send(f"seen {self._seen}", self._took, now_ns)]
        if self._audible and not told.policy and not told.camera and self.greeting and self.greeting.audible:
            told.policy = True
            return [self._send("policy audible", self._took, now_ns)]
        if wanted.camera and not told.camera:
            told.camera = True
            return [self._send("camera 1", self._powered, now_ns)]
        if wanted.announce:
            wanted.announce = False
            if told.policy:
                return [self._send("audible", self._took, now_ns)]
        return []

    def _send(self, command: str, then: Callable[[Answer, int], None], now_ns: int) -> bytes:
        self._seq = (self._seq + 1) & LAST_SEQ
        text = f">{self._seq} {command}"
        self._pending = _Pending(self._seq, text, then, now_ns)
        return seal(text)

    def _take_answer(self, answer: Answer, now_ns: int, news: News) -> None:
        pending = self._pending
        if pending is None or answer.seq != pending.seq:
            return  # the second answer to what was sent twice
        self._pending = None
        try:
            pending.then(answer, now_ns)
        except _BrokenOffError as error:
            self.lose(str(error), news)

    def _greet(self, answer: Answer, now_ns: int) -> None:
        if not answer.ok:
            if answer.words[0] == "proto":
                raise _BrokenOffError(
                    f"the controller speaks protocol {' '.join(answer.words[1:])}, and this driver {PROTOCOL}; "
                    "put this release's hardware/companion/ on it"
                )
            raise _BrokenOffError(f"the controller refused the hello ({' '.join(answer.words)})")
        try:
            greeting = read_greeting(answer.words)
        except LineRefusedError as error:
            self.counters.refused += 1
            raise _BrokenOffError(f"the controller's hello is malformed ({error})") from None
        self._meet(greeting.boot, greeting.acked)
        self._timebase.saw(now_ns, greeting.time_ms)
        self.greeting = self.met = greeting
        self._told = _Told(acked=greeting.acked)
        self.heard_ns = now_ns
        self._beat_ns = now_ns

    def _meet(self, boot: str, acked: int) -> None:
        """Note whether the controller began anew since the last talk."""
        if self._boot and boot != self._boot:
            self.counters.resets += 1
            self._timebase = Timebase()
            self._dropped_before = 0
        if boot != self._boot:
            self._seen = acked
        self._boot = boot

    def _took(self, answer: Answer, _now_ns: int) -> None:
        if not answer.ok and answer.words[0] in ("hello", "seq"):
            raise _BrokenOffError("the controller has fallen to its safe state")
        if not answer.ok and answer.words[0] not in ("policy", "never", "powered"):
            raise _BrokenOffError(f"the controller refused a command ({' '.join(answer.words)})")

    def _powered(self, answer: Answer, now_ns: int) -> None:
        if not answer.ok and answer.words[0] == "dark":
            self._wanted.camera = self._told.camera = False
            self.camera_refusal = "the light draws no current"
            return
        self._took(answer, now_ns)

    def _took_bye(self, _answer: Answer, _now_ns: int) -> None:
        self._ended = True

    def _take_status(self, status: Status, now_ns: int, news: News) -> None:
        greeting = self.greeting
        if greeting is None:
            return  # what stood in the line before the answer to the hello
        if status.boot != greeting.boot:
            self.lose("the controller was reset", news)
            return
        if status.state != "live":
            if not self._ending:
                self.lose("the controller has fallen to its safe state", news)
            return
        self.heard_ns = now_ns
        self._timebase.saw(now_ns, status.time_ms)
        self.counters.edges_dropped += max(0, status.dropped - self._dropped_before)
        self._dropped_before = status.dropped
        if self._told.camera and self._pending is None and not status.camera and status.seq == self._seq:
            # It was given, and taken away: whoever wants it has to ask again.
            self._told.camera = False
            self._wanted.camera = self._wanted.camera_asked
        if status.camera:
            self._wanted.camera_asked = False
        self.status = status
        self.trouble = None
        news.status = True
        if status.edge == self._seen and status.pressed != self._pressed:
            self.counters.edges_inferred += 1
            self._deliver(status.pressed, now_ns, news)

    def _take_edge(self, edge: EdgeLine, now_ns: int, news: News) -> None:
        if self.greeting is None or edge.number != self._seen + 1:
            return  # told before, or one before it got lost and is told again
        self._seen = edge.number
        time_ns = self._timebase.monotonic_ns(edge.time_ms, now_ns)
        if self._made_ns - time_ns > ANCIENT_NS:
            self.counters.edges_ancient += 1
            return
        if edge.pressed != self._pressed:
            self._deliver(edge.pressed, time_ns, news)

    def _deliver(self, pressed: bool, time_ns: int, news: News) -> None:
        self._pressed = pressed
        self._edge_ns = max(self._edge_ns, time_ns)
        news.edges.append(ButtonEdge(self._edge_ns, pressed))


class _BrokenOffError(Exception):
    """The talk cannot go on; the text says why."""
