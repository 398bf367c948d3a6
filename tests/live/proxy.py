"""A TCP proxy that throttles, cuts, or goes silent like a half-open connection."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from types import TracebackType
from typing import Self


class Proxy:
    """Listens on a free port and passes bytes on to `target`. One thread, named "proxy"."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.bytes_per_s: float | None = None
        self.delay_s = 0.0
        self.silent = False
        """Nothing is passed on and nothing is closed: as if a cable were gone."""
        self.refusing = False
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._budget = 0.0
        self._stop = threading.Event()
        self.passed_bytes = 0
        self.connections = 0
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Reset every connection."""
        for pair in list(self._pairs):
            self._close(pair)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(10)
        self.cut()
        self._listener.close()

    def _run(self) -> None:
        last = time.monotonic()
        while not self._stop.is_set():
            now = time.monotonic()
            if self.bytes_per_s is not None:
                self._budget = min(self._budget + (now - last) * self.bytes_per_s, self.bytes_per_s / 10)
            last = now
            sockets = {one: (pair, other) for pair in self._pairs for one, other in (pair, pair[::-1])}
            watched = [] if self.silent else list(sockets)
            with contextlib.suppress(OSError, ValueError):
                ready, _, _ = select.select([self._listener, *watched], [], [], 0.02)
                for sock in ready:
                    if sock is self._listener:
                        self._accept()
                    elif sock in sockets:
                        self._pass(sock, *sockets[sock])

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        if self.refusing:
            client.close()
            return
        if self.bytes_per_s is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        try:
            server = socket.create_connection(("127.0.0.1", self._target), 5)
        except OSError:
            client.close()
            return
        self.connections += 1
        self._pairs.append((client, server))

    def _pass(self, sock: socket.socket, pair: tuple[socket.socket, socket.socket], other: socket.socket) -> None:
        upward = sock is pair[0]
        size = 65_536
        if upward and self.bytes_per_s is not None:
            size = int(self._budget)
            if size < 1:
                self._stop.wait(0.01)
                return
        try:
            data = sock.recv(min(size, 65_536))
            if data:
                if self.delay_s:
                    self._stop.wait(self.delay_s)
                other.settimeout(5)
                other.sendall(data)
        except OSError:
            data = b""
        if not data:
            self._close(pair)
            return
        if upward:
            self._budget -= len(data)
            self.passed_bytes += len(data)

    def _close(self, pair: tuple[socket.socket, socket.socket]) -> None:
        if pair in self._pairs:
            self._pairs.remove(pair)
        for sock in pair:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            sock.close()
