"""The server, up while the device is docked: cheroot's thread pool behind TLS 1.3 with certificates both ways.

Thread "offload" accepts; four threads of cheroot's own answer. It listens on the dock's link alone.
"""

from __future__ import annotations

import io
import logging
import threading
from types import TracebackType
from typing import Any, Self

from cheroot.makefile import StreamReader, StreamWriter
from cheroot.server import HTTPConnection
from cheroot.ssl.builtin import BuiltinSSLAdapter
from cheroot.wsgi import Server

from storage.errors import KeyFileError
from storage.tls import TlsFiles, server_context
from uplink.offload.application import Application
from uplink.offload.errors import OffloadError

_log = logging.getLogger("getuige.offload")
_THREADS = 4
_QUEUE = 16
_TIMEOUT_S = 10
"""Of each read and write: a peer that trickles, or a link that is gone, holds no thread for longer."""
_HEADER_BYTES = 8192
_BODY_BYTES = 300 * 1024
_START_S = 10.0
_JOIN_S = 15.0


class _Adapter(BuiltinSSLAdapter):
    """cheroot's adapter with this project's context."""

    def __init__(self, files: TlsFiles) -> None:
        super().__init__(str(files.certificate), str(files.key), str(files.authority))
        self.context = server_context(files)


class _Writer(StreamWriter):
    """Sends at once: cheroot's own copies what is left of a block for each record of TLS that goes out."""

    def __init__(self, sock: Any, mode: str, bufsize: int) -> None:
        super().__init__(sock, mode, bufsize)
        self._socket = sock

    def write(self, b: Any) -> int:
        """Send all of it."""
        self._socket.sendall(b)
        self.bytes_written += len(b)
        return len(b)


def _make_file(sock: Any, mode: str = "r", bufsize: int = io.DEFAULT_BUFFER_SIZE) -> Any:
    return StreamReader(sock, mode, bufsize) if "r" in mode else _Writer(sock, mode, bufsize)


class _Connection(HTTPConnection):
    def __init__(self, server: Any, sock: Any, _makefile: Any = None) -> None:
        super().__init__(server, sock, _make_file)


class _Server(Server):
    ConnectionClass = _Connection
    """cheroot's server; its log would tell a peer's every cut with a traceback, as a fault of ours."""

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:  # noqa: ARG002
        """Log the first line."""
        _log.debug("%s", next(iter(msg.strip().splitlines()), ""))


class OffloadServer:
    """`begin` and `close` may follow on one another again and again: a device is docked every day."""

    def __init__(self, application: Application, tls: TlsFiles, address: str, port: int) -> None:
        self._application = application
        self._tls = tls
        self._address = address
        self._port = port
        self._server: Any = None
        self._thread: threading.Thread | None = None

    def begin(self) -> int:
        """Listen; return the port. Idempotent.

        Raises:
            OffloadError: the TLS identity is not usable, or the address cannot be listened at.
        """
        if self._server is not None:
            return int(self._server.bind_addr[1])
        server = _Server(
            (self._address, self._port), self._application, numthreads=_THREADS, max=_THREADS,
            request_queue_size=_QUEUE, timeout=_TIMEOUT_S, shutdown_timeout=3, accepted_queue_size=_QUEUE,
            accepted_queue_timeout=1, server_name="getuige",
        )  # fmt: skip
        server.max_request_header_size = _HEADER_BYTES
        server.max_request_body_size = _BODY_BYTES
        try:
            server.ssl_adapter = _Adapter(self._tls)
            server.prepare()
        except (KeyFileError, OSError, ValueError) as error:
            raise OffloadError(f"the dock's server does not start at {self._address}:{self._port}: {error}") from None
        self._server = server
        self._thread = threading.Thread(target=server.serve, name="offload", daemon=True)
        self._thread.start()
        return int(server.bind_addr[1])

    def close(self) -> None:
        """Stop listening, and cut what is under way. Idempotent."""
        server, self._server = self._server, None
        if server is not None:
            server.stop()
        if self._thread is not None:
            self._thread.join(_JOIN_S)
            self._thread = None

    @property
    def running(self) -> bool:
        """Whether it listens."""
        return self._server is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
