"""``station console``: what a technician asks a device at the cable (docs/CONSOLE.md).

Exit status: 0 done; 1 the device refuses, or something is wrong with it; 2 unusable input, no device was met; 3 no
device, or none any more: the same command may be given again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from station.asking import secret
from station.console import say
from station.console_line import screen
from station.console_line.clock import measure
from station.console_line.clock import set_clock as set_clock_by
from station.console_line.fetching import Fetching
from station.console_line.proving import ask_proof, parse_device, proof_line
from station.console_line.session import Where, at_the_cable
from station.console_line.tell import (
    companion_line,
    companion_rows,
    greeting_rows,
    is_well,
    log_line,
    segment_line,
    status_rows,
    text,
    when,
)
from station.errors import StationError
from storage.keyfiles import load_device_key
from wire.plain import decode, printable

_WRONG = 1
_S = 1_000_000_000

console_app = typer.Typer(no_args_is_help=True, help="Ask a device at the cable, as a technician: docs/CONSOLE.md.")

Json = Annotated[bool, typer.Option("--json", help="Print what the device says as JSON.")]


@console_app.callback()
def console_callback(
    context: typer.Context,
    port: Annotated[Path, typer.Option(help="The serial port, such as /dev/ttyACM0.")],
    key: Annotated[Path, typer.Option(help="Your private key (PEM).")],
    credential: Annotated[Path | None, typer.Option(help="Your credential; otherwise the one beside the key.")] = None,
    passphrase_file: Annotated[
        Path | None, typer.Option(help="A file with your key's passphrase; otherwise you are asked.")
    ] = None,
) -> None:
    """Ask a device at the cable, as a technician."""
    context.obj = Where(port, key, credential, lambda what: secret(what, passphrase_file))


@console_app.command("status")
def status_command(context: typer.Context, as_json: Json = False) -> None:
    """Tell how the device is."""
    with at_the_cable(context.obj) as session:
        enrolled = session.enrolled
        # A device without a unit answers nobody; what it says to everybody is all there is.
        fields = session.ask("status").fields if enrolled else {**session.greeting, "enrolled": False}
    if as_json:
        _print(fields)
    else:
        rows = status_rows(fields) if enrolled else greeting_rows(fields)
        screen.show_rows(rows, rich=screen.at_a_terminal())
    _end(well=is_well(fields))


@console_app.command("self-test")
def self_test_command(context: typer.Context, as_json: Json = False) -> None:
    """Stop the recorder, run the device's self-test, start the recorder again."""
    _check(context.obj, "self-test", {}, as_json=as_json)


@console_app.command("check-board")
def check_board_command(
    context: typer.Context,
    wait: Annotated[int, typer.Option(min=1, max=60, help="Seconds to wait for a press, and for a fix.")] = 20,
    watch: Annotated[int, typer.Option(min=0, max=120, help="Seconds to show live values.")] = 5,
    as_json: Json = False,
) -> None:
    """Stop the recorder, check every part of the board, show what the parts say, start the recorder again."""
    _check(context.obj, "check-board", {"wait_s": wait, "watch_s": watch}, as_json=as_json)


@console_app.command("update-companion")
def update_companion_command(context: typer.Context, as_json: Json = False) -> None:
    """Put this device's firmware's program on its companion controller: hold the record button when you are told.

    The recorder is stopped for it, and started again.
    """
    rich = screen.at_a_terminal()
    with screen.watching(quiet=as_json, rich=rich) as hear, at_the_cable(context.obj, hear) as session:
        answer = session.ask("update-companion").fields
    if as_json:
        _print(answer)
    else:
        screen.show_rows(companion_rows(answer), rich=rich)
        say(companion_line(answer))
    _end(well=answer.get("as_carried") is True)


@console_app.command("prove")
def prove_command(
    context: typer.Context,
    device_key: Annotated[
        Path | None, typer.Option("--device-key", help="The public identity key (PEM) of the device that it has to be.")
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", help="The id of the device that it has to be, as its label has it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Have the device prove that it holds the identity that it claims, or that you name."""
    key = load_device_key(device_key) if device_key is not None else None
    named = parse_device(device, key)
    with at_the_cable(context.obj) as session:
        shown = ask_proof(session, named, key)
    if as_json:
        _print(shown.fields)
    else:
        say(proof_line(shown))
    _end(well=shown.holds)


@console_app.command("journal")
def journal_command(
    context: typer.Context,
    lines: Annotated[int, typer.Option(min=1, max=500, help="How many lines.")] = 50,
    as_json: Json = False,
) -> None:
    """Show the end of the device's log, and its newest segments as they stand in the clear."""
    with at_the_cable(context.obj) as session:
        body = decode(session.ask("journal", {"lines": lines}).body, "the journal")
    if as_json:
        _print(body)
        return
    for name, tell in (("segments", segment_line), ("lines", log_line)):
        found = body.get(name)
        for item in found[:lines] if isinstance(found, list) else []:
            say(tell(item))


@console_app.command("export-log")
def export_log_command(
    context: typer.Context,
    output: Annotated[Path, typer.Option(help="The file to write: a JSON object a line, gzip.")],
    as_json: Json = False,
) -> None:
    """Fetch the whole of the device's log; where the cable is pulled, the same command goes on."""
    fetching = Fetching(output)
    try:
        with at_the_cable(context.obj) as session, screen.fetching_bar(quiet=as_json) as progress:
            got = session.ask("export-log", fetching.of, gather=fetching.gather, progress=progress)
    except StationError as error:
        raise type(error)(f"{error}; {fetching.keep()}") from None
    fetching.done(got.body)
    fields = {"file": str(output), "bytes": len(got.body), "lines": got.fields.get("lines")}
    if as_json:
        _print(fields)
    else:
        say(f"{output}: {text(fields['lines'])} lines, {len(got.body)} bytes")


@console_app.command("set-clock")
def set_clock_command(context: typer.Context, as_json: Json = False) -> None:
    """Set the device's clock by this machine's."""
    with at_the_cable(context.obj) as session:
        measured = measure(session)
        fields = set_clock_by(session, measured)
    off_ms = (measured.off_ns + 999_999) // 1_000_000
    if as_json:
        _print({**fields, "off_ms": off_ms})
        return
    by_ms = fields.get("by_ms")
    moved = f"{abs(by_ms) / 1000:.1f} s {'behind' if by_ms > 0 else 'ahead'}" if isinstance(by_ms, int) else "?"
    say(f"the clock was {moved}; it is {when(time.time_ns() // _S)} now, by this machine's clock, to {off_ms} ms")


@console_app.command("restart-recorder")
def restart_recorder_command(context: typer.Context, as_json: Json = False) -> None:
    """End the recorder in good order and start it anew; refused while it records."""
    _do(context.obj, "restart-recorder", "the recorder is started anew", as_json=as_json)


@console_app.command("shut-down")
def shut_down_command(context: typer.Context, as_json: Json = False) -> None:
    """Switch the device off in good order; refused while it records."""
    _do(context.obj, "shut-down", "the device switches itself off", as_json=as_json)


def _do(where: Where, verb: str, done: str, *, as_json: bool) -> None:
    with at_the_cable(where) as session:
        fields = session.ask(verb).fields
    if as_json:
        _print(fields)
    else:
        say(done)


def _check(where: Where, verb: str, fields: Mapping[str, Any], *, as_json: bool) -> None:
    rich = screen.at_a_terminal()
    with screen.watching(quiet=as_json, rich=rich) as hear, at_the_cable(where, hear) as session:
        answer = session.ask(verb, fields).fields
    passed = answer.get("passed") is True
    if as_json:
        _print(answer)
    else:
        checks = answer.get("checks")
        failed = [
            printable(str(item.get("check")), 24)
            for item in (checks if isinstance(checks, list) else [])
            if isinstance(item, dict) and item.get("outcome") == "failed"
        ]
        say("all of it works" if passed else f"FAILED: {', '.join(failed) or 'nothing was checked'}")
    _end(well=passed)


def _print(fields: Mapping[str, Any]) -> None:
    # ASCII: nothing that a device sent can be obeyed by a terminal.
    say(json.dumps(fields, indent=2, ensure_ascii=True))


def _end(*, well: bool) -> None:
    if not well:
        raise typer.Exit(_WRONG)
