"""``station technician``: who may ask devices at the cable for what needs a signature (docs/ENROL.md)."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from station.asking import passphrases, secret
from station.audit.log import Act, Entry
from station.console import say
from station.errors import StationError
from station.office_commands import Folder, PasswordFile, Who, acting, require_technician
from station.technicians import credential_path, issue_credential, list_credentials
from station.unit_key import load_unit_key
from storage.keyfiles import load_signing_key

technician_app = typer.Typer(no_args_is_help=True, help="Technicians' keys and credentials, for the console.")


@technician_app.command("issue")
def issue_command(
    station: Folder, who: Who,
    name: Annotated[str, typer.Option(help="Whose it is.")],
    output: Annotated[Path, typer.Option(help="The private key to write; .pub and .credential go beside it.")],
    unit_key: Annotated[Path, typer.Option(help="The unit's private key (PEM), which signs policies.")],
    days: Annotated[int, typer.Option(min=1, max=825, help="How long it is good.")] = 365,
    passphrase_file: Annotated[
        Path | None, typer.Option(help="Passphrase of the new key; an empty file for none. Otherwise you are asked.")
    ] = None,
    unit_passphrase_file: Annotated[
        Path | None, typer.Option(help="Passphrase of the unit's key, where it has one. Otherwise you are asked.")
    ] = None,
    password_file: PasswordFile = None,
) -> None:  # fmt: skip
    """Make a technician's key and have the unit sign for it."""
    with acting(station, who, password_file) as (office, person):
        require_technician(office, person)
        unit = load_unit_key(unit_key, passphrases(unit_passphrase_file))
        known = office.folder / "unit.pub"
        if known.exists() and load_signing_key(known, "unit's key") != unit.public:
            raise StationError(f"{unit_key} is not the private half of {known}: devices would not take what it signs")
        passphrase = secret("Passphrase of the technician's key (empty: none)", passphrase_file)
        office.audit.write(
            Entry(person.number, "technician", Act.DEVICE, name, details={"what": "credential issued", "days": days})
        )
        made = issue_credential(office.folder, unit, name, days, output, passphrase, int(time.time()))
    say(f"{output}: {made.name}, good until {_day(made.until_s)}; its credential: {credential_path(output)}")


@technician_app.command("list")
def list_command(station: Folder, who: Who, password_file: PasswordFile = None) -> None:
    """List what was issued."""
    with acting(station, who, password_file) as (office, person):
        require_technician(office, person)
        for item in list_credentials(office.folder):
            over = "over since" if item.until_s <= time.time() else "good until"
            say(f"{item.name}  key {item.key.hex()[:16]}  {over} {_day(item.until_s)}")


def _day(time_s: int) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d")
