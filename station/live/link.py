"""The station's end of the broker: MQTT 5 over TLS 1.3, on thread "live-mqtt". It listens, and tries again for ever."""

from __future__ import annotations

import queue
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from station.errors import StationError
from station.live.mailbox import Mail, Mailbox
from storage.errors import KeyFileError
from storage.live_wire import JSON_TYPE, MAX_PACKET_BYTES, PREVIOUS, ROOT, Channel
from storage.tls import TlsFiles, client_context

_CONNECT_S = 8.0
_KEEP_ALIVE_S = 10
_STEP_S = 0.5
_FIRST_S = 0.5
_LONGEST_S = 10.0
_JOIN_S = 15.0
_OUTGOING = 64
_FROM_DEVICES = [channel for channel in Channel if channel is not Channel.ASK]


@dataclass(frozen=True, slots=True)
class BrokerEnd:
    """Where the broker is, who this station is to it, and the station's TLS identity."""

    host: str
    port: int
    name: str
    tls: TlsFiles


class StationLink:
    """Owned by the receiver."""

    def __init__(self, broker: BrokerEnd, mailbox: Mailbox, *, chance: Callable[[], float] = random.random) -> None:
        self._broker = broker
        self._mailbox = mailbox
        self._chance = chance
        self._stop = threading.Event()
        self._up = threading.Event()
        # Sent by this thread alone: paho lets two threads that write at once tear each other's packets.
        self._outgoing: queue.Queue[tuple[str, bytes]] = queue.Queue(_OUTGOING)
        self.trouble = ""
        self._thread = threading.Thread(target=self._run, name="live-mqtt", daemon=True)

    def begin(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """End the thread. Idempotent."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_JOIN_S)

    @property
    def connected(self) -> bool:
        """Subscribed to all that devices publish."""
        return self._up.is_set()

    def wait_connected(self, timeout_s: float) -> bool:
        """Wait for that."""
        return self._up.wait(timeout_s)

    def publish(self, topic: str, payload: bytes) -> None:
        """Send a short message soon; QoS 1.

        Raises:
            StationError: the broker is not there.
        """
        if not self._up.is_set():
            raise StationError(f"the broker is not there: {self.trouble or 'not connected yet'}")
        try:
            self._outgoing.put_nowait((topic, payload))
        except queue.Full:
            raise StationError("too many messages wait to be sent: try again") from None

    def _run(self) -> None:
        wait_s = _FIRST_S
        while not self._stop.is_set():
            client = self._make()
            try:
                client.tls_set_context(client_context(self._broker.tls))
                properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
                properties.MaximumPacketSize = MAX_PACKET_BYTES
                broker = self._broker
                client.connect(broker.host, broker.port, _KEEP_ALIVE_S, clean_start=True, properties=properties)
                while client.loop(_STEP_S) == mqtt.MQTT_ERR_SUCCESS and not self._stop.is_set():
                    if self._up.is_set():
                        wait_s = _FIRST_S
                        self._send(client)
                self.trouble = self.trouble or "the connection to the broker broke"
            except (OSError, ValueError) as error:
                # ssl's errors are OSErrors.
                why = getattr(error, "verify_message", None) or getattr(error, "strerror", None) or error
                self.trouble = f"{self._broker.host}:{self._broker.port}: {why}"
            except KeyFileError as error:
                self.trouble = str(error)
            finally:
                self._up.clear()
            client.disconnect()
            self._stop.wait(wait_s * (0.5 + 0.5 * self._chance()))
            wait_s = min(2 * wait_s, _LONGEST_S)

    def _send(self, client: mqtt.Client) -> None:
        while not self._outgoing.empty():
            topic, payload = self._outgoing.get_nowait()
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.ContentType = JSON_TYPE
            properties.MessageExpiryInterval = 60
            client.publish(topic, payload, 1, False, properties)

    def _make(self) -> mqtt.Client:
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"station-{self._broker.name}",
            protocol=MQTTProtocolVersion.MQTTv5,
        )
        client.connect_timeout = _CONNECT_S
        client.on_connect = self._answered
        client.on_subscribe = self._subscribed
        client.on_message = self._came
        return client

    def _answered(
        self, client: mqtt.Client, _data: object, _flags: mqtt.ConnectFlags, reason: ReasonCode, _more: object
    ) -> None:
        if reason.is_failure:
            self.trouble = f"the broker refuses this station: {reason}"
            return
        options = SubscribeOptions(qos=1)
        client.subscribe([(f"{ROOT}/+/{channel.value}", options) for channel in _FROM_DEVICES])

    def _subscribed(
        self, _client: mqtt.Client, _data: object, _number: int, reasons: list[ReasonCode], _more: object
    ) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            self.trouble = f"the broker does not let this station listen: {refused[0]}"
        else:
            self.trouble = ""
            self._up.set()

    def _came(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return  # no topic of ours; the broker lets none through
        self._mailbox.put(Mail(topic, bytes(message.payload), _previous(message), message.retain))


def _previous(message: mqtt.MQTTMessage) -> str | None:
    properties = getattr(message.properties, "UserProperty", ()) if message.properties else ()
    for name, value in properties:
        if name == PREVIOUS:
            return str(value)
    return None
