"""The receiver: thread "live-mqtt" takes messages from the broker, thread "live" verifies, keeps and shows them.

Nothing that arrives is believed. What is refused is logged, counted on the device it names, and shown nowhere.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from station.errors import StationError
from station.live.frames import Frame
from station.live.hub import Hub, Viewer
from station.live.link import BrokerEnd, StationLink
from station.live.mailbox import Mail, Mailbox
from station.live.register import DeviceRegister
from station.live.shelf import LiveShelf
from station.live.stream import DeviceStream
from station.opener import KeyOpener
from storage.errors import StorageError
from storage.layout import parse_header
from storage.live_wire import MAX_JSON_BYTES, MAX_RECORD_BYTES, Channel, decode_tip, parse_topic, topic
from storage.preview import parse_preview_head

_log = logging.getLogger("getuige.live")
_POLL_S = 1.0
_JOIN_S = 20.0
_LOG_EVERY_NS = 1_000_000_000
_DAY_NS = 86_400_000_000_000


@dataclass(slots=True)
class _Standing:
    """What is known of one device."""

    stream: DeviceStream
    online: bool = False
    health: dict[str, Any] | None = None
    answers: dict[str, str] | None = None


class LiveReceiver:
    """Owned by the station's program. `begin` starts its threads; `close` ends them."""

    def __init__(
        self,
        broker: BrokerEnd,
        register: DeviceRegister,
        opener: KeyOpener,
        shelf: LiveShelf,
        *,
        keep_days: int = 28,
        utc_ns: Callable[[], int] = time.time_ns,
        on_refused: Callable[[str, str], None] = lambda _device, _why: None,
        on_verified: Callable[[bytes, int, int], None] = lambda _device, _segment, _chunk: None,
    ) -> None:
        """`on_refused` gets a device id (or a topic) and the reason; `on_verified` device, segment and chunk."""
        self._register = register
        self._opener = opener
        self._shelf = shelf
        self._keep_days = keep_days
        self._utc_ns = utc_ns
        self._on_refused = on_refused
        self._on_verified = on_verified
        self._mailbox = Mailbox()
        self._link = StationLink(broker, self._mailbox)
        self._standings: dict[bytes, _Standing] = {}
        self._lock = threading.Lock()
        """Held while a stream changes, and while somebody looks at all of them."""
        self._hub = Hub()
        self._stop = threading.Event()
        self._logged_ns: dict[str, int] = {}
        self._shelf_trouble = ""
        self._thread = threading.Thread(target=self._run, name="live", daemon=True)

    def begin(self) -> None:
        """Start both threads."""
        self._thread.start()
        self._link.begin()

    def close(self) -> None:
        """End both threads and close the shelf. Idempotent."""
        self._link.close()
        self._stop.set()
        self._mailbox.close()
        if self._thread.is_alive():
            self._thread.join(_JOIN_S)
        self._shelf.close()

    @property
    def connected(self) -> bool:
        """Whether the broker is there."""
        return self._link.connected

    @property
    def trouble(self) -> str:
        """Why the broker is not there, or the shelf keeps nothing; empty where all is well."""
        return self._link.trouble or self._shelf_trouble

    def ask(self, device: bytes, by: str) -> str:
        """Ask a device for live view; it, and its officer, may refuse. Return the id by which the answer names it.

        Raises:
            StationError: not enrolled, or the broker is not there.
        """
        if self._register.identity(device) is None:
            raise StationError(f"device {device.hex()} is not enrolled here")
        number = secrets.token_hex(8)
        self._link.publish(topic(device, Channel.ASK), json.dumps({"id": number, "by": by[:80]}).encode())
        return number

    def watch(self, device: bytes, viewer: Viewer) -> None:
        """Begin to show a device to a viewer.

        Raises:
            StationError: not enrolled.
        """
        if self._register.identity(device) is None:
            raise StationError(f"device {device.hex()} is not enrolled here")
        with self._lock:
            standing = self._standings.get(device)
            if standing is not None and (init := standing.stream.newest_init) is not None:
                viewer.put(init)
            self._hub.join(device, viewer)

    def unwatch(self, device: bytes, viewer: Viewer) -> None:
        """End that. Idempotent."""
        self._hub.leave(device, viewer)

    def status(self) -> dict[str, Any]:
        """Return what is known, for a page or a program: plain values, as JSON has them."""
        with self._lock:
            devices = [self._describe(device) for device in sorted({*self._register.devices, *self._standings})]
        return {
            "connected": self.connected,
            "trouble": self.trouble,
            "dropped": self._mailbox.dropped,
            "shelf_bytes": self._shelf.size_bytes,
            "devices": devices,
        }

    def _describe(self, device: bytes) -> dict[str, Any]:
        standing = self._standings.get(device)
        if standing is None:
            return {"device": device.hex(), "online": False, "live": False}
        stream = standing.stream
        counts = stream.counts
        return {
            "device": device.hex(),
            "online": standing.online,
            "live": stream.live,
            "preview": stream.previewing,
            "latency_ms": round(stream.latency_ms, 1),
            "light": stream.light,
            "verified": counts.verified,
            "previews": counts.previews,
            "missing": counts.missing,
            "again": counts.again,
            "late": counts.late,
            "refused": counts.refused,
            "bytes": counts.bytes,
            "last_refusals": list(stream.refusals),
            "watched": self._hub.watched(device),
            "health": standing.health,
            "answers": dict(standing.answers or {}),
        }

    def _run(self) -> None:
        due_ns = 0
        while not self._stop.is_set():
            mail = self._mailbox.take(_POLL_S)
            if mail is not None:
                self._handle(mail)
            if time.monotonic_ns() >= due_ns:
                due_ns = time.monotonic_ns() + 60_000_000_000
                self._tidy()

    def _tidy(self) -> None:
        """Keep no chunk for longer than evidence may be kept, and see who was enrolled or revoked."""
        try:
            self._register.refresh()
            self._shelf.forget_older_than(self._utc_ns() - self._keep_days * _DAY_NS)
        except (StationError, OSError) as error:
            self._refuse("station", str(error))

    def _handle(self, mail: Mail) -> None:
        try:
            device, channel = parse_topic(mail.topic)
        except StorageError as error:
            self._refuse(mail.topic[:80], str(error))
            return
        identity = self._register.identity(device)
        if identity is None:
            self._tidy_register()
            identity = self._register.identity(device)
        if identity is None:
            self._refuse(device.hex(), "it is not enrolled here, or revoked")
            return
        with self._lock:
            standing = self._standings.get(device) or self._begin(device, identity)
            try:
                self._take(standing, channel, mail)
            except (StorageError, StationError) as error:
                standing.stream.refused(str(error))
                self._refuse(device.hex(), str(error))

    def _tidy_register(self) -> None:
        try:
            self._register.refresh()
        except StationError as error:
            self._refuse("station", str(error))

    def _begin(self, device: bytes, identity: bytes) -> _Standing:
        def keep(segment: int, chunk: int, record: bytes) -> None:
            try:
                self._shelf.add(device, segment, chunk, record, self._utc_ns())
                self._shelf_trouble = ""
            except StationError as error:
                self._shelf_trouble = str(error)  # a cache: the dock fetches what is not here
            self._on_verified(device, segment, chunk)

        def show(frame: Frame) -> None:
            self._hub.show(device, frame)

        highest = self._shelf.highest(device)
        stream = DeviceStream(device, identity, self._opener, keep, show, self._utc_ns, highest=highest)
        standing = self._standings[device] = _Standing(stream)
        return standing

    def _take(self, standing: _Standing, channel: Channel, mail: Mail) -> None:
        limit = MAX_RECORD_BYTES if channel in (Channel.CHUNK, Channel.PREVIEW, Channel.OPENING) else MAX_JSON_BYTES
        if len(mail.payload) > limit:
            raise StationError(f"a message of {len(mail.payload)} bytes on {channel.value}; {limit} are allowed")
        stream = standing.stream
        match channel:
            case Channel.OPENING:
                if mail.payload:
                    stream.opening(mail.payload)
            case Channel.CHUNK:
                if mail.previous is None:
                    raise StationError("a chunk without the property 'previous'")
                stream.chunk(parse_header(mail.payload).place.segment, mail.payload, decode_tip(mail.previous))
            case Channel.PREVIEW:
                stream.preview(parse_preview_head(mail.payload).place.segment, mail.payload)
            case Channel.PRESENCE:
                standing.online = _object(mail.payload).get("online") is True
                if not standing.online:
                    stream.end("the device is gone from the network")
            case Channel.HEALTH:
                standing.health = _object(mail.payload)
                if standing.health.get("live") is False:
                    stream.end("live view is off")
            case Channel.ANSWER:
                answer = _object(mail.payload)
                standing.answers = {str(answer.get("id"))[:32]: str(answer.get("answer"))[:40]}
            case Channel.ASK:
                pass  # of this station, or of another

    def _refuse(self, who: str, why: str) -> None:
        """Log a refusal, once a second for each device at most: a flood of them must not fill the disk."""
        self._on_refused(who, why)
        now_ns = time.monotonic_ns()
        if now_ns - self._logged_ns.get(who, -_LOG_EVERY_NS) >= _LOG_EVERY_NS:
            if len(self._logged_ns) > 10_000:
                self._logged_ns.clear()
            self._logged_ns[who] = now_ns
            _log.warning("refused, %s: %s", who, why)


def _object(payload: bytes) -> dict[str, Any]:
    try:
        data = json.loads(payload)
    except (ValueError, RecursionError):
        raise StationError("a message that should be JSON is not") from None
    if not isinstance(data, dict):
        raise StationError("a message that should be a JSON object is none")
    return data
