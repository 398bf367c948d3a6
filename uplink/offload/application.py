"""The resources of a docked device, as a WSGI application (PEP 3333). What comes in is bounded and parsed strictly."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from storage.errors import StorageError
from uplink.offload.catalogue import Catalogue
from uplink.offload.errors import RefusedError

_BLOCK_BYTES = 512 * 1024
_MAX_BODY_BYTES = 256 * 1024
_SEGMENT = re.compile(r"/1/segments/(\d{1,10})")
_RANGE = re.compile(r"bytes=(\d{1,15})-(\d{1,15})?")
_TEXTS = {200: "OK", 206: "Partial Content", 400: "Bad Request", 403: "Forbidden", 404: "Not Found",
          405: "Method Not Allowed", 409: "Conflict", 411: "Length Required", 413: "Content Too Large",
          416: "Range Not Satisfiable", 503: "Service Unavailable"}  # fmt: skip
StartResponse = Callable[[str, list[tuple[str, str]]], object]


@dataclass(frozen=True, slots=True)
class Duties:
    """What the device does with what a station gives; each returns one line, or raises RefusedError or StorageError."""

    status: Callable[[], Mapping[str, object]]
    receipt: Callable[[bytes], str]
    policy: Callable[[bytes], str]
    time: Callable[[bytes], str]
    assignment: Callable[[bytes], str]


class Application:
    """Answers a station. Thread-safe."""

    def __init__(self, catalogue: Catalogue, duties: Duties) -> None:
        self._catalogue = catalogue
        self._duties = duties
        self._posts = {
            "/1/receipts": duties.receipt,
            "/1/policy": duties.policy,
            "/1/time": duties.time,
            "/1/assignment": duties.assignment,
        }

    def __call__(self, environ: Mapping[str, Any], start: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if environ.get("SSL_CLIENT_VERIFY") != "SUCCESS" or environ.get("SSL_CLIENT_S_DN_OU") != "station":
            return _say(start, 403, "only a station of this unit may talk to a docked device")
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        try:
            if method == "POST":
                return self._post(environ, start, path)
            if method != "GET":
                return _say(start, 405, "GET or POST")
            if path == "/1/status":
                return _json(start, dict(self._duties.status()))
            if path == "/1/segments":
                return self._list(environ, start)
            if (match := _SEGMENT.fullmatch(path)) is not None:
                return self._segment(environ, start, int(match[1]))
        except OSError as error:
            return _say(start, 503, f"the device's flash does not answer: {error.strerror}")
        return _say(start, 404, "there is no such thing here")

    def _list(self, environ: Mapping[str, Any], start: StartResponse) -> Iterable[bytes]:
        query = environ.get("QUERY_STRING", "")
        match = re.fullmatch(r"(?:after=(\d{1,10}))?", query)
        if match is None:
            return _say(start, 400, "the query is after=NUMBER, or none")
        offered, more = self._catalogue.page(int(match[1] or 0))
        return _json(start, {"segments": [asdict(item) for item in offered], "more": more})

    def _segment(self, environ: Mapping[str, Any], start: StartResponse, number: int) -> Iterable[bytes]:
        path = self._catalogue.path(number)
        if path is None:
            return _say(start, 404, f"segment {number} is not here, or not closed")
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        size = os.fstat(fd).st_size
        first, last, code = 0, size - 1, 200
        wanted = environ.get("HTTP_RANGE")
        if wanted is not None:
            match = _RANGE.fullmatch(wanted)
            if match is None or int(match[1]) >= size or (match[2] and int(match[2]) < int(match[1])):
                os.close(fd)
                return _say(start, 416, f"the segment has {size} bytes")
            first, code = int(match[1]), 206
            last = min(last, int(match[2])) if match[2] else last
        start(
            f"{code} {_TEXTS[code]}",
            [
                ("Content-Type", "application/vnd.getuige.segment"),
                ("Content-Length", str(last - first + 1)),
                ("Accept-Ranges", "bytes"),
                ("Content-Range", f"bytes {first}-{last}/{size}"),
            ],
        )
        return _Blocks(fd, first, last + 1)

    def _post(self, environ: Mapping[str, Any], start: StartResponse, path: str) -> Iterable[bytes]:
        duty = self._posts.get(path)
        if duty is None:
            return _say(start, 404, "there is no such thing here")
        try:
            length = int(environ.get("CONTENT_LENGTH") or -1)
        except ValueError:
            length = -1
        if length < 0:
            return _say(start, 411, "say how long it is")
        if length > _MAX_BODY_BYTES:
            return _say(start, 413, f"at most {_MAX_BODY_BYTES} bytes")
        data = environ["wsgi.input"].read(length)
        if len(data) != length:
            return _say(start, 400, "it ended before it was whole")
        try:
            return _say(start, 200, duty(data))
        except (RefusedError, StorageError) as error:
            return _say(start, 409, str(error))


class _Blocks:
    """The bytes of a file from `at` to `end`; closes it when the server has done with it."""

    def __init__(self, fd: int, at: int, end: int) -> None:
        self._fd = fd
        self._at = at
        self._end = end

    def __iter__(self) -> Iterator[bytes]:
        os.posix_fadvise(self._fd, self._at, self._end - self._at, os.POSIX_FADV_SEQUENTIAL)
        while self._at < self._end:
            block = os.pread(self._fd, min(_BLOCK_BYTES, self._end - self._at), self._at)
            if not block:
                raise OSError("the segment became shorter while it was read")
            self._at += len(block)
            yield block

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _say(start: StartResponse, code: int, text: str) -> Iterable[bytes]:
    return _json(start, {"text": text}, code)


def _json(start: StartResponse, data: Mapping[str, object], code: int = 200) -> Iterable[bytes]:
    body = json.dumps(data).encode()
    start(
        f"{code} {_TEXTS[code]}",
        [("Content-Type", "application/json"), ("Content-Length", str(len(body)))],
    )
    return [body]
