"""One connection to the broker, from CONNECT to its end: MQTT 5 by paho-mqtt, driven by its owner's thread.

Each connection has a client of its own: what paho keeps over a reconnection (its queue, the in-flight window, message
numbers) is not wanted here, as the queue is ours. Nothing blocks but `open`, which ends within its time-outs.
"""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Callable
from typing import Protocol

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from storage.errors import KeyFileError
from storage.live_wire import MAX_JSON_BYTES, Channel, topic
from storage.tls import client_context
from uplink.live.broker import Broker
from uplink.live.errors import LinkError
from uplink.live.messages import OFFLINE

_CONNECT_S = 8.0
_KEEP_ALIVE_S = 8
_STEP_S = 0.25
_SEND_BUFFER_BYTES = 256 * 1024
"""Of the kernel: what lies there can no longer be dropped, and is late on a slow link."""
_FIRST_ERROR = 128
"""Reason codes from here on are refusals (MQTT 5, 2.4)."""


class Wake(Protocol):
    """Something select(2) can wait for."""

    def fileno(self) -> int:
        """Its descriptor."""
        ...

    def drain(self) -> None:
        """Take all wake-ups."""
        ...


class Session:
    """One connection. All calls on one thread."""

    def __init__(
        self,
        broker: Broker,
        device: bytes,
        on_acknowledged: Callable[[int, str], None],
        on_ask: Callable[[bytes], None],
    ) -> None:
        """`on_acknowledged` gets a message's number, and why the broker refused it or an empty text."""
        self._broker = broker
        self._device = device
        self._on_acknowledged = on_acknowledged
        self._on_ask = on_ask
        self._refused: str | None = None
        self._connected = False
        self._client = client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=device.hex(), protocol=MQTTProtocolVersion.MQTTv5
        )
        client.connect_timeout = _CONNECT_S
        client.on_connect = self._answered
        client.on_publish = self._published
        client.on_message = self._came

    def open(self) -> None:
        """Connect, and wait for the broker's answer.

        Raises:
            LinkError: no such host, nobody there, a certificate that is not good, or the broker refuses.
        """
        client = self._client
        try:
            client.tls_set_context(client_context(self._broker.tls))
        except KeyFileError as error:
            raise LinkError(f"live: {error}") from None
        client.will_set(topic(self._device, Channel.PRESENCE), OFFLINE, qos=1, retain=True)
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        # Answers to a device are short; nothing else is for it.
        properties.MaximumPacketSize = 2 * MAX_JSON_BYTES
        where = f"{self._broker.host}:{self._broker.port}"
        try:
            client.connect(self._broker.host, self._broker.port, _KEEP_ALIVE_S, clean_start=True, properties=properties)
        except ssl.SSLCertVerificationError as error:
            raise LinkError(f"live: the certificate of {where} is not good: {error.verify_message}") from None
        except ssl.SSLError as error:
            raise LinkError(f"live: no TLS with {where}: {error.reason or 'it ended the handshake'}") from None
        except socket.gaierror as error:
            raise LinkError(f"live: {self._broker.host} has no address: {error.strerror}") from None
        except (OSError, ValueError) as error:
            raise LinkError(f"live: {where} does not answer: {getattr(error, 'strerror', None) or error}") from None
        self._tune()
        for _ in range(int(_CONNECT_S / _STEP_S)):
            if self._connected:
                client.subscribe(topic(self._device, Channel.ASK), qos=1)
                return
            self.step(None)
            if self._refused:
                raise LinkError(f"live: {where} refuses this device: {self._refused}")
        raise LinkError(f"live: {where} takes the connection and says nothing")

    def publish(
        self,
        channel: Channel,
        payload: bytes,
        *,
        content_type: str,
        retain: bool = False,
        expiry_s: int | None = None,
        user: tuple[tuple[str, str], ...] = (),
    ) -> int:
        """Hand a message to the client, QoS 1; return its number, which the acknowledgement gives.

        Raises:
            LinkError: the connection is gone.
        """
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.ContentType = content_type
        if expiry_s is not None:
            properties.MessageExpiryInterval = expiry_s
        if user:
            properties.UserProperty = list(user)
        info = self._client.publish(topic(self._device, channel), payload, 1, retain, properties)
        if info.rc != mqtt.MQTT_ERR_SUCCESS:
            raise LinkError("live: the connection broke while a message was sent")
        return info.mid

    def step(self, wake: Wake | None, timeout_s: float = _STEP_S) -> None:
        """Wait for the network, or for `wake`, and do what is to be done.

        Raises:
            LinkError: the connection is gone.
        """
        client = self._client
        sock = client.socket()
        if sock is None:
            raise LinkError("live: the broker closed the connection")
        pending = isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
        reads = [item for item in (sock, wake) if item is not None]
        writes = [sock] if client.want_write() else []
        readable, writable, _ = select.select(reads, writes, [], 0.0 if pending else timeout_s)
        if wake is not None and wake in readable:
            wake.drain()
        code = mqtt.MQTT_ERR_SUCCESS
        if writable:
            code = client.loop_write()
        if not code and (pending or sock in readable):
            code = client.loop_read()
        if not code:
            code = client.loop_misc()
        if code and not self._refused:
            raise LinkError(f"live: the connection to the broker broke: {mqtt.error_string(code).rstrip('.').lower()}")

    @property
    def unsent(self) -> bool:
        """Something waits for the kernel to take it."""
        return bool(self._client.want_write())

    def close(self) -> None:
        """Say good-bye where that is still possible, and close. Idempotent; never raises, waits a second at most."""
        client = self._client
        sock = client.socket()
        if sock is None:
            return
        try:
            client.disconnect()
            for _ in range(4):
                if client.socket() is None or not client.want_write():
                    break
                self.step(None)
        except (LinkError, OSError, ValueError):
            pass  # it was gone already: the broker publishes the last will
        finally:
            left = client.socket()
            if left is not None:
                left.close()
            sock.close()

    def abort(self) -> None:
        """Close without a word: the broker publishes the last will. Idempotent."""
        sock = self._client.socket()
        if sock is not None:
            sock.close()

    def _tune(self) -> None:
        sock = self._client.socket()
        if isinstance(sock, socket.socket):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)

    def _answered(
        self, _client: mqtt.Client, _data: object, _flags: mqtt.ConnectFlags, reason: ReasonCode, _more: object
    ) -> None:
        if reason.is_failure:
            self._refused = str(reason)
        else:
            self._connected = True

    def _published(self, _client: mqtt.Client, _data: object, number: int, reason: ReasonCode, _more: object) -> None:
        self._on_acknowledged(number, str(reason) if reason.value >= _FIRST_ERROR else "")

    def _came(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        self._on_ask(bytes(message.payload))
