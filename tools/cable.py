"""A cable between a dock and a device that can be pulled: a TCP proxy that hangs up after so many bytes, once."""

from __future__ import annotations

import contextlib
import socket
import threading


class Cable:
    """Listens on a free port, passes bytes on to `target`; `pulled` is set when it hung up."""

    def __init__(self, target: int, after_bytes: int) -> None:
        self._target = target
        self._left: int | None = after_bytes
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.pulled = threading.Event()
        threading.Thread(target=self._run, name="cable", daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._pair, args=(client,), name="cable-pair", daemon=True).start()

    def _pair(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._target), 5) as server:
            other = threading.Thread(target=self._pass, args=(client, server, False), name="cable-up", daemon=True)
            other.start()
            self._pass(server, client, True)
            other.join(10)

    def _pass(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if not counted or self._left is None:
                    sink.sendall(data)
                    continue
                data = data[: self._left]
                self._left -= len(data)
                sink.sendall(data)
                if not self._left:
                    self._left = None
                    self.pulled.set()
                    break
        for sock in (source, sink):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
