"""Talks to one docked device: HTTP/1.1 over TLS 1.3, certificates both ways. Nothing that it answers is believed."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from station.dock.errors import DeviceGoneError, DeviceLiesError
from station.dock.sink import WAITING
from station.errors import RefusedError
from storage.layout import MAX_SEGMENT
from storage.tls import TlsFiles, client_context

_TIMEOUT_S = 10.0
_ANSWER_S = 30.0
_BLOCK_S = 30.0
"""For a block of a mebibyte: a device that is slower than that holds up its bay."""
_BLOCK_BYTES = 512 * 1024
_MAX_JSON_BYTES = 256 * 1024
_MAX_SEGMENT_BYTES = 4 * 1024**3
_MAX_LISTED = 200_000
_HEX = {length: re.compile(f"[0-9a-f]{{{length}}}") for length in (32, 64)}


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """What a device says about itself."""

    device: bytes
    closed_segment: int
    """The last one that it closed; 0 for none."""
    chain: bytes
    """That one's last chain value."""
    utc_ns: int
    policy_serial: int


@dataclass(frozen=True, slots=True)
class Listed:
    """A segment that a device offers."""

    number: int
    size_bytes: int
    digest: bytes


class _Guard:
    """Cuts a connection whose other end trickles: each wait on it is short, and all of them together are endless."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sock: socket.socket | None = None
        self._deadline_s = 0.0
        self._ended = threading.Event()

    def watch(self, sock: socket.socket | None) -> None:
        """Watch this connection from now on, on a thread named "bay-guard"; None ends that."""
        with self._lock:
            self._sock = sock
            self._ended.set()
            if sock is not None:
                self._ended = threading.Event()
                self._deadline_s = time.monotonic() + _ANSWER_S
                threading.Thread(target=self._run, args=(self._ended,), name="bay-guard", daemon=True).start()

    def expect(self, seconds: float) -> None:
        """What is waited for now is to be here in so many seconds."""
        self._deadline_s = time.monotonic() + seconds

    def _run(self, ended: threading.Event) -> None:
        while not ended.wait(max(0.1, self._deadline_s - time.monotonic())):
            with self._lock:
                if self._sock is not None and not ended.is_set() and time.monotonic() >= self._deadline_s:
                    with contextlib.suppress(OSError):
                        self._sock.shutdown(socket.SHUT_RDWR)
                    return


class DeviceClient:
    """One connection. A context manager. Every call raises DeviceGoneError or DeviceLiesError."""

    def __init__(self, host: str, port: int, tls: TlsFiles) -> None:
        """Connect, and learn from its certificate which device this is."""
        self._host = host
        self._port = port
        self._tls = tls
        self._connection: http.client.HTTPConnection | None = None
        self._guard = _Guard()
        self.device = self._connect()

    def status(self) -> DeviceStatus:
        """Ask how it stands."""
        data = self._json("GET", "/1/status")
        device = _hex(data, "device", 32)
        if device != self.device:
            raise DeviceLiesError(f"it says that it is device {device.hex()}, its certificate is {self.device.hex()}'s")
        return DeviceStatus(
            device,
            _number(data, "closed_segment", MAX_SEGMENT),
            _hex(data, "chain", 64),
            _number(data, "utc_ns", 2**63 - 1),
            _number(data, "policy_serial", 2**32 - 1),
        )

    def segments(self) -> list[Listed]:
        """List all that it offers, in order."""
        found: list[Listed] = []
        while True:
            data = self._json("GET", f"/1/segments?after={found[-1].number if found else 0}")
            items, more = data.get("segments"), data.get("more")
            if not isinstance(items, list) or not isinstance(more, bool) or (more and not items):
                raise DeviceLiesError("its list of segments is not one")
            for item in items:
                listed = _listed(item)
                if found and listed.number <= found[-1].number:
                    raise DeviceLiesError(f"its list names segment {listed.number} after segment {found[-1].number}")
                found.append(listed)
            if len(found) > _MAX_LISTED:
                raise DeviceLiesError(f"its list is longer than {_MAX_LISTED} segments")
            if not more:
                return found

    def read(self, number: int, first: int, end: int, size_bytes: int) -> Iterator[memoryview]:
        """Yield the bytes of a segment from `first` to `end`, in blocks that stay valid until five more were taken.

        A caller that stops early must `reconnect`.
        """
        response = self._ask("GET", f"/1/segments/{number}", {"Range": f"bytes={first}-{end - 1}"})
        expected = f"bytes {first}-{end - 1}/{size_bytes}"
        # What it says besides is not read: the connection is of no use any more.
        if response.status != 206 or response.headers.get("Content-Range") != expected:
            raise DeviceLiesError(f"asked for {expected} of segment {number}, it answers {response.status}")
        if response.chunked or response.length != end - first:
            raise DeviceLiesError(f"asked for {expected} of segment {number}, it sends another number of bytes")
        left = end - first
        turn = 0
        # Only while it is read: a bay that waits for its turn holds no memory.
        buffers = [memoryview(bytearray(_BLOCK_BYTES)) for _ in range(WAITING + 3)]
        while left:
            buffer = buffers[turn % len(buffers)]
            turn += 1
            self._guard.expect(_BLOCK_S)
            try:
                count = response.readinto(buffer[: min(len(buffer), left)])
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise DeviceGoneError(f"it was gone while segment {number} was read: {_line(error)}") from None
            if not count:
                raise DeviceGoneError(f"it was gone while segment {number} was read")
            left -= count
            yield buffer[:count]

    def post(self, path: str, body: bytes) -> str:
        """Give it something; return its answer.

        Raises:
            RefusedError: it refuses, with its reason.
        """
        response = self._ask("POST", path, {"Content-Type": "application/octet-stream"}, body)
        text = str(self._parse(response).get("text", ""))[:500]
        if response.status == 409:
            raise RefusedError(text)
        if response.status != 200:
            raise DeviceLiesError(f"{path}: it answers {response.status}: {text}")
        return text

    def reconnect(self) -> None:
        """Begin anew after a read that was not taken to its end."""
        self.close()
        if self._connect() != self.device:
            raise DeviceLiesError("another device answers in this bay")

    def close(self) -> None:
        """Hang up. Idempotent."""
        self._guard.watch(None)
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _connect(self) -> bytes:
        context = client_context(self._tls)
        # A bay has no name of its own: whose certificate this is, is looked at below, and the chain must be that one's.
        context.check_hostname = False
        try:
            sock = socket.create_connection((self._host, self._port), _TIMEOUT_S)
        except OSError as error:
            raise DeviceGoneError(f"nobody answers at {self._host}:{self._port}: {_line(error)}") from None
        # Head and body of a request go out in two writes: the second must not wait for the first one's acknowledgement.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            secure = context.wrap_socket(sock, server_hostname=None)
        except OSError as error:
            sock.close()
            raise DeviceGoneError(f"no TLS with what is at {self._host}:{self._port}: {_line(error)}") from None
        try:
            device = _certified(secure)
        except DeviceLiesError:
            secure.close()
            raise
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT_S)
        connection.sock = secure
        connection.auto_open = 0
        self._connection = connection
        self._guard.watch(secure)
        return device

    def _ask(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None = None
    ) -> http.client.HTTPResponse:
        if self._connection is None:
            raise DeviceGoneError("the connection is closed")
        self._guard.expect(_ANSWER_S)
        try:
            self._connection.request(method, path, body, headers)
            return self._connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise DeviceGoneError(f"it does not answer: {_line(error)}") from None

    def _json(self, method: str, path: str) -> dict[str, Any]:
        response = self._ask(method, path, {})
        data = self._parse(response)
        if response.status == 403:
            raise RefusedError(str(data.get("text", ""))[:500])
        if response.status != 200:
            raise DeviceLiesError(f"{path}: it answers {response.status}: {str(data.get('text', ''))[:200]}")
        return data

    def _parse(self, response: http.client.HTTPResponse) -> dict[str, Any]:
        try:
            text = response.read(_MAX_JSON_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            raise DeviceGoneError(f"it was gone in the middle of an answer: {_line(error)}") from None
        if response.length and len(text) <= _MAX_JSON_BYTES:
            raise DeviceGoneError("it was gone in the middle of an answer")
        if len(text) > _MAX_JSON_BYTES:
            raise DeviceLiesError("its answer has no end")
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            raise DeviceLiesError("its answer is not JSON") from None
        if not isinstance(data, dict):
            raise DeviceLiesError("its answer is not a JSON object")
        return data


def _certified(sock: ssl.SSLSocket) -> bytes:
    certificate: Any = sock.getpeercert() or {}
    subject = {name: value for group in certificate.get("subject", ()) for name, value in group}
    name = str(subject.get("commonName", ""))
    if subject.get("organizationalUnitName") != "device" or not _HEX[32].fullmatch(name):
        raise DeviceLiesError(f"what answers in this bay is no device of the unit, but {name[:40]!r}")
    return bytes.fromhex(name)


def _listed(item: object) -> Listed:
    if not isinstance(item, dict):
        raise DeviceLiesError("its list of segments is not one")
    number, size = _number(item, "number", MAX_SEGMENT), _number(item, "size_bytes", _MAX_SEGMENT_BYTES)
    if not number or not size:
        raise DeviceLiesError(f"its list names a segment {number} of {size} bytes")
    return Listed(number, size, _hex(item, "digest", 64))


def _number(data: dict[str, Any], key: str, most: int) -> int:
    value = data.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise DeviceLiesError(f"its {key} is no number from 0 to {most}")
    return value


def _hex(data: dict[str, Any], key: str, length: int) -> bytes:
    value = data.get(key)
    if not isinstance(value, str) or not _HEX[length].fullmatch(value):
        raise DeviceLiesError(f"its {key} is not {length} hexadecimal digits")
    return bytes.fromhex(value)


def _line(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return next(iter(str(text).splitlines()), "")
