"""``station audit``: check and read the audit log. Exit status: 0 sound, 1 broken, 2 unusable input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from station.audit.log import AuditError, verify_log
from station.console import say
from storage.keyfiles import load_signing_key

audit_app = typer.Typer(no_args_is_help=True, help="The audit log: docs/CUSTODY.md.")
_BROKEN = 1
_COLUMNS = ("utc", "who", "role", "act", "object", "outcome", "purpose", "recipient")


@audit_app.command("verify")
def verify_command(
    log: Annotated[Path, typer.Argument(help="The audit.log.")],
    station: Annotated[Path, typer.Option(help="The station's public signing key (PEM).")],
) -> None:
    """Check that nothing in the log was changed, taken out, put in or moved; with the station's public key alone."""
    found = verify_log(log, load_signing_key(station, "station's key"))
    if found.trouble:
        say(f"BROKEN after {found.entries} sound entries: {found.trouble}")
        raise typer.Exit(_BROKEN)
    say(f"Sound: {found.entries} entries, chain {found.chain.hex()}")


@audit_app.command("show")
def show_command(
    log: Annotated[Path, typer.Argument(help="The audit.log.")],
    station: Annotated[Path, typer.Option(help="The station's public signing key (PEM).")],
    who: Annotated[str | None, typer.Option(help="Only acts of this personnel number.")] = None,
    about: Annotated[str | None, typer.Option(help="Only acts on objects that begin so.")] = None,
) -> None:
    """Print the entries, oldest first; what is not sound is not printed."""
    found = verify_log(log, load_signing_key(station, "station's key"))
    try:
        lines = log.read_text("utf-8").splitlines()[: found.entries]
    except OSError as error:
        raise AuditError(f"cannot read the audit log {log}: {error.strerror}") from None
    for line in lines:
        fields = json.loads(line)
        if (who is None or fields["who"] == who) and (about is None or fields["object"].startswith(about)):
            details = " ".join(f"{key}={value}" for key, value in sorted(fields["details"].items()))
            say(" | ".join([*(fields[name] or "-" for name in _COLUMNS), details]))
    if found.trouble:
        say(f"BROKEN here: {found.trouble}")
        raise typer.Exit(_BROKEN)
