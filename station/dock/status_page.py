"""The bays' status as JSON, at an address of this machine: for a screen above the dock, or another program."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from station.errors import StationError


class StatusPage:
    """Served on thread "dock-status". It holds no footage and no secret, and takes nothing. A context manager."""

    def __init__(self, port: int, status: Callable[[], dict[str, Any]]) -> None:
        """Listen at 127.0.0.1.

        Raises:
            StationError: the port is taken.
        """

        class Handler(BaseHTTPRequestHandler):
            timeout = 5

            def do_GET(self) -> None:
                # Only by a name of this machine: a page elsewhere that points here is not shown anything.
                host = (self.headers.get("Host") or "").rsplit(":", 1)[0]
                good = self.path == "/" and host in ("127.0.0.1", "localhost")
                body = json.dumps(status() if good else {"error": "GET / at 127.0.0.1"}).encode()
                self.send_response(200 if good else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named so by the base class
                """Say nothing."""

        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        except OSError as error:
            raise StationError(f"cannot serve the status at 127.0.0.1:{port}: {error.strerror}") from None
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="dock-status", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5.0)
