"""``station dock``: watch the bays, take everything off what is put into them, check it, receipt it."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from station.asking import PassphraseFile, secret
from station.console import say
from station.dock.bay import Bay, BayState, BayStatus, Handed
from station.dock.discovery import Discovery
from station.dock.status_page import StatusPage
from station.dock.turns import Turns
from station.errors import StationError
from station.live.shelf import LiveShelf
from station.office import Office
from station.policy import read_policy_file
from storage.keyfiles import load_signing_key
from storage.policy import parse_policy

_MAX_BAYS = 64
_SHELF_BYTES = 2**62
"""What is on the shelf is live view's to bound."""


def dock_command(
    station: Annotated[Path, typer.Option("--station", help="The station's folder.")],
    bay: Annotated[list[str] | None, typer.Option(help="NAME=HOST:PORT; once for each bay.")] = None,
    discover: Annotated[str | None, typer.Option(help="Find devices by mDNS on the link with this address.")] = None,
    shelf: Annotated[Path | None, typer.Option(help="What `station live serve` keeps.")] = None,
    policy: Annotated[Path | None, typer.Option(help="The unit's newest signed policy, to hand out.")] = None,
    unit: Annotated[Path | None, typer.Option(help="With --policy: the unit's public key.")] = None,
    status_port: Annotated[
        int | None, typer.Option(help="Serve the bays' status as JSON at 127.0.0.1; 0: any.")
    ] = None,
    at_once: Annotated[
        int | None,
        typer.Option(min=1, help="How many bays receive at once; by default what the processors can do."),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="End when every bay is done, or cannot go on.")] = False,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Watch the bays until told to end (SIGTERM, Ctrl-C)."""
    with Office(station, lambda prompt: secret(prompt, passphrase_file)) as office:
        places = [_place(item) for item in bay or []]
        if not places and discover is None:
            raise StationError("name a bay with --bay NAME=HOST:PORT, or find devices with --discover ADDRESS")
        office.opener.open()  # while somebody is there to ask: it reads the purposes that officers chose
        handed = Handed(_policy(policy, unit), lambda device: _assignment(office.devices.carrier(device)))
        kept = LiveShelf(shelf, _SHELF_BYTES) if shelf is not None else None
        turns = Turns(at_once)
        changed = threading.Event()
        bays: dict[str, Bay] = {}

        def add(name: str, host: str, port: int) -> None:
            if name in bays:
                bays[name].move(host, port)
            elif len(bays) < _MAX_BAYS:
                made = bays[name] = Bay(
                    name, host, port, office.tls, office.intake, office.folder / "incoming",
                    shelf=kept, handed=handed, turns=turns, on_change=lambda status: _changed(status, changed),
                )  # fmt: skip
                made.begin()

        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        try:
            with _discovery(discover, add), _status_page(status_port, bays):
                for place in places:
                    add(*place)
                _watch(bays, stop, changed, once=once)
        finally:
            for one in list(bays.values()):
                one.close()
        if once and any(one.status()["state"] != BayState.DONE.value for one in bays.values()):
            raise typer.Exit(1)


def _watch(bays: dict[str, Bay], stop: threading.Event, changed: threading.Event, *, once: bool) -> None:
    """Show the bays: as a table in a terminal, as a line for each change of state elsewhere."""
    console = Console()
    last: dict[str, str] = {}
    ended = {BayState.DONE.value, BayState.REFUSED.value, BayState.ALARM.value, BayState.KEPT.value}
    with Live(console=console, refresh_per_second=4, transient=False) if console.is_terminal else _nothing() as live:
        while not stop.is_set():
            changed.wait(0.25)
            changed.clear()
            found = [one.status() for one in list(bays.values())]
            if live is not None:
                live.update(_table(found))
            else:
                for item in found:
                    line = f"bay {item['name']}: {item['state']}  {item['device'][:16]}  {item['text']}".rstrip()
                    if last.get(item["name"]) != line:
                        last[item["name"]] = line
                        say(line)
                        sys.stdout.flush()
            if once and found and all(item["state"] in ended for item in found):
                return


def _table(found: list[dict[str, Any]]) -> Table:
    table = Table("bay", "device", "state", "segments", "MiB", "receipts", "")
    for item in found:
        cells = (
            item["name"], item["device"][:16], item["state"], f"{item['segments_done']}/{item['segments']}",
            f"{item['bytes_done'] / 2**20:.0f}/{item['bytes'] / 2**20:.0f}", str(item["receipts"]), item["text"],
        )  # fmt: skip
        table.add_row(*(Text(cell) for cell in cells))  # a name or a text is never markup
    return table


def _changed(_status: BayStatus, changed: threading.Event) -> None:
    changed.set()


@contextmanager
def _nothing() -> Iterator[None]:
    yield None


@contextmanager
def _discovery(address: str | None, add: Callable[[str, str, int], None]) -> Iterator[None]:
    if address is None:
        yield
        return
    with Discovery(address, add):
        yield


@contextmanager
def _status_page(port: int | None, bays: dict[str, Bay]) -> Iterator[None]:
    if port is None:
        yield
        return
    with StatusPage(port, lambda: {"bays": [one.status() for one in list(bays.values())]}) as page:
        say(f"status: http://127.0.0.1:{page.port}/")
        sys.stdout.flush()
        yield


def _place(text: str) -> tuple[str, str, int]:
    name, _, where = text.partition("=")
    host, _, port = where.rpartition(":")
    if not name or not host or not port.isdigit() or not 0 < int(port) < 65_536:
        raise StationError(f"{text!r} is no bay: NAME=HOST:PORT")
    return name, host, int(port)


def _policy(path: Path | None, unit: Path | None) -> Callable[[bytes], tuple[int, bytes] | None]:
    if path is None:
        return lambda _device: None
    if unit is None:
        raise StationError("--policy needs --unit, the unit's public key: what is not its own is handed to nobody")
    data = read_policy_file(path)
    serial = parse_policy(data, load_signing_key(unit, "unit's key")).serial
    return lambda _device: (serial, data)


def _assignment(officer: str) -> bytes | None:
    return json.dumps({"officer": officer}).encode() if officer else None
