"""The publisher: the one thread that talks to the broker, "mqtt". It may drop; it never holds anybody up.

Chunks come from the flash thread when they are durable, previews from the recorder's. Everything the network can do
(stall, cut, refuse, lie half-open) happens to this thread alone. It throttles on acknowledgements: what the broker has
not acknowledged is bounded, and comes back into the queue when the link breaks.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from storage.errors import FormatError
from storage.live_wire import CHUNK_TYPE, JSON_TYPE, PREVIEW_TYPE, PREVIOUS, Channel, encode_tip
from storage.seal import SealedChunk
from uplink.live.adaptive import Adaptive
from uplink.live.backoff import Backoff
from uplink.live.broker import Broker
from uplink.live.errors import LinkError
from uplink.live.messages import OFFLINE, ONLINE, Ask, encode_answer, encode_health, parse_ask
from uplink.live.outbox import Outbox, OutboxLimits
from uplink.live.queue import NOTHING, Dropped, Outgoing
from uplink.live.session import Session
from uplink.live.wake import WakePipe

_JOIN_S = 3.0
"""Of power-off: a thread that hangs in a connection attempt ends by itself, later."""
_MAX_ANSWERS = 16
_GOOD_BYE_NS = 2_000_000_000
_SOONEST_NS = 1_000_000_000
"""Health is said no more often than this."""
_GOOD_NS = 60_000_000_000
"""A link that stood so long was good."""
_SLOTS = 2
"""Lower bound on messages that may wait for their acknowledgement, however large they are."""


@dataclass(frozen=True, slots=True)
class PublisherOptions:
    """Bounds and times."""

    limits: OutboxLimits = field(default_factory=OutboxLimits)
    window_bytes: int = 2 * 1024 * 1024
    """Published and not acknowledged, at most."""
    window_messages: int = 8
    acknowledge_ns: int = 10_000_000_000
    """A broker that acknowledges nothing for so long is not there any more, whatever TCP believes."""
    health_ns: int = 10_000_000_000
    chunk_expiry_s: int = 20
    opening_expiry_s: int = 120
    previews: bool = True
    """Fall back to previews where the uplink cannot carry the recording."""


@dataclass(frozen=True, slots=True)
class LiveNews:
    """What the publisher tells its owner, on its own thread; the owner hands over and returns."""

    up: Callable[[], None]
    down: Callable[[str], None]
    """Why the link is gone, in one line."""
    asked: Callable[[Ask], None]
    dropped: Callable[[Dropped], None]
    previewing: Callable[[bool], None]
    """Whether previews go out in the place of the recording."""


class Publisher:
    """Owned by the device. `begin` starts its thread; `close` ends it."""

    def __init__(
        self,
        broker: Broker,
        device: bytes,
        news: LiveNews,
        health: Callable[[], Mapping[str, object]],
        *,
        options: PublisherOptions = PublisherOptions(),
        backoff: Backoff,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """`health` is called on this thread."""
        self._broker = broker
        self._device = device
        self._news = news
        self._health = health
        self._options = options
        self._backoff = backoff
        self._monotonic_ns = monotonic_ns
        self._outbox = Outbox(options.limits)
        self._adaptive = Adaptive(allowed=options.previews)
        self._waker = WakePipe()
        self._stop = threading.Event()
        self._flight: dict[int, tuple[Outgoing | None, int]] = {}
        """By message number: the record (None: something else) and when it was published."""
        self._flight_bytes = 0
        self._announced: set[int] = set()
        self._refusal = ""
        self._health_ns: int | None = None
        self._health_wanted = False
        self._link_up = False
        self._answers: list[bytes] = []
        self._answers_lock = threading.Lock()
        self.published = 0
        """Records that the broker acknowledged."""
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

    def begin(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """End the thread, with a good-bye where the broker hears it. Idempotent."""
        self._stop.set()
        self._waker.wake()
        if self._thread.is_alive():
            self._thread.join(_JOIN_S)
        self._waker.close()

    @property
    def alive(self) -> bool:
        """Whether its thread runs, as it must until `close`."""
        return self._thread.is_alive()

    def allow(self, on: bool) -> None:
        """Let chunks go out from now on, or none any more: what waits is thrown away."""
        self._outbox.allow(on)
        self._waker.wake()

    @property
    def waiting_bytes(self) -> int:
        """Of what is not published yet, or not acknowledged."""
        return self._outbox.size_bytes + self._flight_bytes

    @property
    def wants_previews(self) -> bool:
        """Whether the recorder is to make previews."""
        return self._outbox.wants_previews

    def durable(self, chunk: SealedChunk) -> None:
        """Take a chunk that is on flash; for the flash thread."""
        if self._outbox.durable(chunk, self._monotonic_ns()):
            self._waker.wake()

    def preview(self, segment: int, number: int, record: bytes) -> None:
        """Take a preview of a chunk that is not durable yet; for the recorder's thread."""
        self._outbox.preview(segment, number, record, self._monotonic_ns())

    def say_health(self) -> None:
        """Say it soon: the device's state has changed."""
        self._health_wanted = True
        self._waker.wake()

    def answer(self, ask: str, answer: str) -> None:
        """Answer an ask, if the link is there; what is not sent by then is forgotten with it."""
        with self._answers_lock:
            if len(self._answers) < _MAX_ANSWERS:
                self._answers.append(encode_answer(ask, answer))
        self._waker.wake()

    def _run(self) -> None:
        while not self._stop.is_set():
            session = Session(self._broker, self._device, self._acknowledged, self._asked)
            began_ns = self._monotonic_ns()
            try:
                session.open()
                self._talk(session)
            except LinkError as error:
                session.abort()
                self._lost(str(error))
            else:
                self._say_good_bye(session)
                session.close()
            if self._monotonic_ns() - began_ns > _GOOD_NS:
                self._backoff.reset()
            self._stop.wait(self._backoff.next_s())

    def _talk(self, session: Session) -> None:
        """Send and listen until told to end.

        Raises:
            LinkError: the link broke.
        """
        self._announced.clear()
        self._health_ns, self._refusal = None, ""
        self._send(session, Channel.PRESENCE, ONLINE, None, content_type=JSON_TYPE, retain=True)
        self._link_up = True
        self._news.up()
        while not self._stop.is_set():
            now_ns = self._monotonic_ns()
            self._say_health(session, now_ns)
            self._say_answers(session)
            self._fill(session, now_ns)
            self._adapt(now_ns)
            if self._flight and now_ns - min(sent for _, sent in self._flight.values()) > self._options.acknowledge_ns:
                raise LinkError("live: the broker acknowledges nothing any more")
            session.step(self._waker)
            if self._refusal:
                raise LinkError(f"live: the broker refuses what this device publishes: {self._refusal}")

    def _say_good_bye(self, session: Session) -> None:
        """An orderly end is no last will: the device itself says that it is gone."""
        until_ns = self._monotonic_ns() + _GOOD_BYE_NS
        try:
            number = session.publish(Channel.PRESENCE, OFFLINE, content_type=JSON_TYPE, retain=True)
            self._flight[number] = (None, until_ns)
            while number in self._flight and self._monotonic_ns() < until_ns:
                session.step(None)
        except LinkError:
            return  # then it is a last will after all

    def _fill(self, session: Session, now_ns: int) -> None:
        while (
            not session.unsent
            and len(self._flight) < self._options.window_messages
            and (self._flight_bytes < self._options.window_bytes or len(self._flight) < _SLOTS)
            and (found := self._outbox.next(now_ns)) is not None
        ):
            item, opening = found
            if opening.segment not in self._announced:
                # Retained: a station that comes later can open and check what follows.
                self._announced = {opening.segment}
                self._send(
                    session, Channel.OPENING, opening.payload, None,
                    content_type=CHUNK_TYPE, retain=True, expiry_s=self._options.opening_expiry_s,
                )  # fmt: skip
            if item.preview:
                self._send(
                    session, Channel.PREVIEW, item.payload, item,
                    content_type=PREVIEW_TYPE, expiry_s=self._options.chunk_expiry_s,
                )  # fmt: skip
            elif item.previous is not None:
                self._send(
                    session, Channel.CHUNK, item.payload, item,
                    content_type=CHUNK_TYPE, expiry_s=self._options.chunk_expiry_s,
                    user=(("segment", str(item.segment)), ("chunk", str(item.number)),
                          (PREVIOUS, encode_tip(item.previous))),
                )  # fmt: skip

    def _send(
        self,
        session: Session,
        channel: Channel,
        payload: bytes,
        item: Outgoing | None,
        *,
        content_type: str,
        retain: bool = False,
        expiry_s: int | None = None,
        user: tuple[tuple[str, str], ...] = (),
    ) -> None:
        try:
            number = session.publish(
                channel, payload, content_type=content_type, retain=retain, expiry_s=expiry_s, user=user
            )
        except LinkError:
            if item is not None:
                self._flight[-1] = (item, 0)  # so that it comes back with the others
            raise
        self._flight[number] = (item, self._monotonic_ns())
        self._flight_bytes += len(payload)

    def _acknowledged(self, number: int, refusal: str) -> None:
        item, _ = self._flight.pop(number, (None, 0))
        self._flight_bytes = sum(one.size_bytes for one, _ in self._flight.values() if one is not None)
        self._refusal = self._refusal or refusal
        if item is not None and not refusal:
            self.published += 1
            self._backoff.reset()

    def _asked(self, payload: bytes) -> None:
        try:
            ask = parse_ask(payload)
        except FormatError:
            return  # who may write there is the broker's to say; what is no ask moves nobody
        self._news.asked(ask)

    def _say_health(self, session: Session, now_ns: int) -> None:
        period_ns = _SOONEST_NS if self._health_wanted else self._options.health_ns
        if self._health_ns is None or now_ns - self._health_ns >= period_ns:
            self._health_ns, self._health_wanted = now_ns, False
            self._send(
                session, Channel.HEALTH, encode_health(self._health()), None,
                content_type=JSON_TYPE, retain=True, expiry_s=6 * self._options.health_ns // 1_000_000_000 + 1,
            )  # fmt: skip

    def _say_answers(self, session: Session) -> None:
        with self._answers_lock:
            answers, self._answers = self._answers, []
        for answer in answers:
            self._send(session, Channel.ANSWER, answer, None, content_type=JSON_TYPE, expiry_s=60)

    def _adapt(self, now_ns: int) -> None:
        dropped = self._outbox.take_dropped(now_ns)
        changed = False
        if dropped != NOTHING:
            self._news.dropped(dropped)
            changed = self._adaptive.lost(now_ns)
        changed |= self._adaptive.look(now_ns, idle=not self._outbox.size_bytes)
        if changed:
            if (dropped := self._outbox.set_preview(self._adaptive.preview)) != NOTHING:
                self._news.dropped(dropped)
            self._news.previewing(self._adaptive.preview)

    def _lost(self, why: str) -> None:
        back = [item for item, _ in self._flight.values() if item is not None]
        self._flight.clear()
        self._flight_bytes = 0
        self._outbox.put_back(sorted(back, key=lambda item: (item.segment, item.number)))
        with self._answers_lock:
            self._answers.clear()
        dropped = self._outbox.take_dropped(self._monotonic_ns())
        if dropped != NOTHING:
            self._news.dropped(dropped)
        self._link_up = False
        self._news.down(why)
