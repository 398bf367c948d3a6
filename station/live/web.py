"""The page that shows live pictures, at an address of this machine: Starlette, with a token that only its user gets.

Pictures are decrypted here, so that nobody else on the machine or in a browser tab may fetch them: the token comes in
the first address, then in a cookie; other sites can neither read nor post.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from station.errors import StationError
from station.live.hub import Viewer
from station.live.receiver import LiveReceiver

_PAGE = Path(__file__).resolve().parent / "page"
_FILES = {"live.css": "text/css", "live.js": "text/javascript"}
_COOKIE = "getuige-live"
_BEAT_S = 5.0
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; media-src blob:; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def live_app(receiver: LiveReceiver, token: str, by: str) -> Starlette:
    """Return the application; `token` opens it, `by` is who a device is told asks."""

    def guarded(answer: Callable[[Request], Response]) -> Callable[[Request], Response]:
        def checked(request: Request) -> Response:
            given = request.cookies.get(_COOKIE, "")
            if not hmac.compare_digest(given.encode(), token.encode()):
                return PlainTextResponse("open the address that the program printed", 403, _HEADERS)
            try:
                response = answer(request)
            except StationError as error:
                response = PlainTextResponse(str(error), 409)
            response.headers.update(_HEADERS)
            return response

        return checked

    def enter(request: Request) -> Response:
        given = request.query_params.get("token", "")
        if not hmac.compare_digest(given.encode(), token.encode()):
            return PlainTextResponse("that is not the address that the program printed", 403, _HEADERS)
        response = RedirectResponse("/", 303, _HEADERS)
        response.set_cookie(_COOKIE, token, httponly=True, samesite="strict")
        return response

    def page(_request: Request) -> Response:
        return FileResponse(_PAGE / "live.html", media_type="text/html; charset=utf-8")

    def file(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _FILES:
            return PlainTextResponse("there is no such page", 404)
        return FileResponse(_PAGE / name, media_type=_FILES[name])

    def status(_request: Request) -> Response:
        return JSONResponse(receiver.status())

    def ask(request: Request) -> Response:
        # A header that no form of another site can send.
        if request.headers.get("X-Getuige") != "1":
            return PlainTextResponse("refused", 403)
        return JSONResponse({"id": receiver.ask(_device(request), by)})

    def stream(request: Request) -> Response:
        device = _device(request)
        loop = asyncio.get_running_loop()
        came = asyncio.Event()

        def wake() -> None:
            # The loop may be gone already when the last frame comes.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(came.set)

        viewer = Viewer(wake)
        receiver.watch(device, viewer)
        return StreamingResponse(_frames(receiver, device, viewer, came), media_type="application/octet-stream")

    def route(path: str, answer: Callable[[Request], Response], method: str = "GET") -> Route:
        # On the loop itself: none of these waits for anything.
        async def endpoint(request: Request) -> Response:
            return answer(request)

        return Route(path, endpoint, methods=[method])

    return Starlette(
        routes=[
            route("/enter", enter),
            route("/", guarded(page)),
            route("/status", guarded(status)),
            route("/devices/{device}/stream", guarded(stream)),
            route("/devices/{device}/ask", guarded(ask), "POST"),
            route("/{name}", guarded(file)),
        ],
        # A name that another site made point here is not ours.
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]"])],
    )


def _device(request: Request) -> bytes:
    try:
        device = bytes.fromhex(request.path_params["device"])
    except ValueError:
        device = b""
    if len(device) != 16:
        raise StationError("that is no device id")
    return device


async def _frames(receiver: LiveReceiver, device: bytes, viewer: Viewer, came: asyncio.Event) -> AsyncIterator[bytes]:
    try:
        while True:
            # A time-out only to notice a browser that is gone.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(came.wait(), _BEAT_S)
            came.clear()
            for frame in viewer.take():
                yield frame.encode()
    finally:
        receiver.unwatch(device, viewer)
