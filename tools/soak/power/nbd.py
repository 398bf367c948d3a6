"""Serves a `ForgetfulDisk` to QEMU as a network block device over a Unix socket (the NBD protocol's fixed newstyle)."""

from __future__ import annotations

import socket
import struct
import threading
from pathlib import Path

from tools.soak.power.disk import ForgetfulDisk

_MAGIC, _OPTION_MAGIC, _REPLY_MAGIC = b"NBDMAGIC", b"IHAVEOPT", 0x3E889045565A9
_REQUEST, _SIMPLE_REPLY = 0x25609513, 0x67446698
_FIXED_NEWSTYLE, _NO_ZEROES = 1, 2
_EXPORT_NAME, _ABORT, _GO = 1, 2, 7
_ACK, _INFO, _UNSUPPORTED = 1, 3, 0x80000001
_HAS_FLAGS, _SEND_FLUSH, _SEND_FUA = 1, 4, 8
_READ, _WRITE, _DISCONNECT, _FLUSH = 0, 1, 2, 3
_FUA = 1
_INVALID = 22


class NbdServer:
    """One client at a time, on a thread named "nbd". A context manager."""

    def __init__(self, disk: ForgetfulDisk, path: Path) -> None:
        self._disk = disk
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._thread = threading.Thread(target=self._run, name="nbd", daemon=True)

    def __enter__(self) -> NbdServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _run(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return  # closed before anybody came
        with client:
            try:
                if self._negotiate(client):
                    while self._serve(client):
                        pass
            except (ConnectionError, EOFError):
                return  # the machine was killed

    def _negotiate(self, client: socket.socket) -> bool:
        client.sendall(_MAGIC + _OPTION_MAGIC + struct.pack(">H", _FIXED_NEWSTYLE | _NO_ZEROES))
        _take(client, 4)
        flags = _HAS_FLAGS | _SEND_FLUSH | _SEND_FUA
        while True:
            magic, option, length = struct.unpack(">8sII", _take(client, 16))
            _take(client, length)
            if magic != _OPTION_MAGIC or option == _ABORT:
                return False
            if option == _EXPORT_NAME:
                client.sendall(struct.pack(">QH", self._disk.size_bytes, flags))
                return True
            if option == _GO:
                info = struct.pack(">HQH", 0, self._disk.size_bytes, flags)
                client.sendall(_option_reply(option, _INFO, info) + _option_reply(option, _ACK))
                return True
            client.sendall(_option_reply(option, _UNSUPPORTED))

    def _serve(self, client: socket.socket) -> bool:
        magic, flags, kind, handle, offset, length = struct.unpack(">IHH8sQI", _take(client, 28))
        if magic != _REQUEST or kind == _DISCONNECT:
            return False
        error, data = 0, b""
        if kind == _READ:
            data = self._disk.read(offset, length)
        elif kind == _WRITE:
            self._disk.write(offset, _take(client, length))
            if flags & _FUA:
                self._disk.flush()
        elif kind == _FLUSH:
            self._disk.flush()
        else:
            error = _INVALID
        client.sendall(struct.pack(">II8s", _SIMPLE_REPLY, error, handle) + data)
        return True


def _option_reply(option: int, kind: int, data: bytes = b"") -> bytes:
    return struct.pack(">QIII", _REPLY_MAGIC, option, kind, len(data)) + data


def _take(client: socket.socket, length: int) -> bytes:
    parts = []
    while length:
        part = client.recv(min(length, 1 << 20))
        if not part:
            raise EOFError("the other side has gone")
        parts.append(part)
        length -= len(part)
    return b"".join(parts)
