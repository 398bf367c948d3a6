"""``station live``: receive what devices stream, and show it on a page at an address of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import signal
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
import uvicorn
from starlette.applications import Starlette

from station.asking import PassphraseFile, passphrases
from station.authority import encode_tls_key, load_authority, new_authority, new_key, save_authority
from station.console import say
from station.errors import StationError
from station.keys import load_station_key
from station.live.broker_files import write_broker
from station.live.link import BrokerEnd
from station.live.receiver import LiveReceiver
from station.live.register import DeviceRegister
from station.live.shelf import LiveShelf
from station.live.web import live_app
from station.opener import FileKeyOpener
from storage.durable import replace_file
from storage.tls import TlsFiles

_GIB = 1024**3
_STATION_DAYS = 825

live_commands = typer.Typer(no_args_is_help=True, help="Live view: docs/LIVE.md.")
authority_app = typer.Typer(no_args_is_help=True, help="The unit's TLS authority: who is a device, who a station.")


@authority_app.command("new")
def new_command(
    folder: Annotated[Path, typer.Argument(help="Where to write ca.key and ca.crt.")],
    unit: Annotated[str, typer.Option(help="Name of the unit.")] = "unit",
) -> None:
    """Make the unit's TLS authority. Once; keep ca.key where only enrolment can read it."""
    save_authority(folder, new_authority(unit, datetime.now(UTC)))
    say(f"Authority in {folder}: ca.crt goes to devices, broker and stations; ca.key stays there")


@authority_app.command("station")
def station_command(
    name: Annotated[str, typer.Argument(help="The station's name.")],
    authority: Annotated[Path, typer.Option(help="The authority's folder.")],
    output: Annotated[Path, typer.Option(help="The folder to write ca.crt, station.crt and station.key into.")],
    host: Annotated[list[str] | None, typer.Option(help="A name or address that the station is reached by.")] = None,
) -> None:
    """Give a station its TLS identity."""
    made = load_authority(authority)
    key = new_key()
    certificate = made.issue_station(name, key.public_key(), host or [], _STATION_DAYS, datetime.now(UTC))
    try:
        output.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(output / "station.key", encode_tls_key(key), mode=0o600)
        replace_file(output / "station.crt", certificate, mode=0o644)
        replace_file(output / "ca.crt", made.pem, mode=0o644)
    except OSError as error:
        raise StationError(f"cannot write into {output}: {error.strerror}") from None
    say(f"{output}: TLS identity of station {name}, good for {_STATION_DAYS} days")


@live_commands.command("broker")
def broker_command(
    folder: Annotated[Path, typer.Argument(help="Where to write what mosquitto needs.")],
    authority: Annotated[Path, typer.Option(help="The authority's folder.")],
    host: Annotated[list[str], typer.Option(help="A name or address that devices know the broker by.")],
    station: Annotated[list[str] | None, typer.Option(help="Name of a station that may listen; once for each.")] = None,
    address: Annotated[str, typer.Option(help="The address to listen at; 0.0.0.0 is all.")] = "0.0.0.0",  # noqa: S104
    port: Annotated[int, typer.Option(min=1, max=65_535)] = 8883,
) -> None:
    """Write mosquitto's configuration, access rules, certificate and key."""
    made = write_broker(
        folder.absolute(), load_authority(authority), address, port, host, station or ["station"], datetime.now(UTC)
    )
    say(f"Start it with: mosquitto -c {made}")


@live_commands.command("serve")
def serve_command(
    devices: Annotated[Path, typer.Option(help="A folder of the enrolled devices' public keys, *.pub.")],
    key: Annotated[Path, typer.Option(help="The station's private key (PEM), which opens footage.")],
    tls: Annotated[Path, typer.Option(help="A folder with ca.crt, station.crt and station.key.")],
    shelf: Annotated[Path, typer.Option(help="Where to keep sealed chunks until the device docks.")],
    host: Annotated[str, typer.Option(help="The broker.")] = "localhost",
    port: Annotated[int, typer.Option(min=1, max=65_535)] = 8883,
    name: Annotated[str, typer.Option(help="This station's name, as in its certificate.")] = "station",
    page_port: Annotated[int, typer.Option(min=0, max=65_535, help="Of the page; 0 takes a free one.")] = 8080,
    shelf_gib: Annotated[int, typer.Option(min=1, max=65_536, help="How much the shelf may hold.")] = 100,
    keep_days: Annotated[int, typer.Option(min=1, max=28, help="For how long at most.")] = 28,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Receive and show. The page is for this machine's own browser, at the address that is printed."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    files = TlsFiles(tls / "ca.crt", tls / "station.crt", tls / "station.key")
    receiver = LiveReceiver(
        BrokerEnd(host, port, name, files),
        DeviceRegister(devices),
        FileKeyOpener(load_station_key(key, passphrases(passphrase_file))),
        LiveShelf(shelf, shelf_gib * _GIB),
        keep_days=keep_days,
    )
    token = secrets.token_urlsafe(24)
    try:
        sock = socket.create_server(("127.0.0.1", page_port))
    except OSError as error:
        raise StationError(f"cannot listen at 127.0.0.1:{page_port}: {error.strerror}") from None
    with sock:
        receiver.begin()
        try:
            say(f"http://127.0.0.1:{sock.getsockname()[1]}/enter?token={token}")
            sys.stdout.flush()
            # uvicorn hands the signal on when it has ended: there is still something to close.
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            with contextlib.suppress(KeyboardInterrupt):
                asyncio.run(serve(live_app(receiver, token, name), sock))
        finally:
            receiver.close()


async def serve(app: Starlette, sock: socket.socket) -> None:
    """Serve until told to end; a stream that is still open is cut after a second."""
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=1, server_header=False
    )
    await uvicorn.Server(config).serve(sockets=[sock])
