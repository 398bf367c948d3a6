"""``station office | people | device | review``: the custody store's command line (docs/CUSTODY.md).

Who acts is named with ``--as``, and proves it with a password that is asked for, or read from a file that nobody else
can read; it never stands in an argument.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from station.asking import PassphraseFile, secret
from station.audit.log import Act
from station.console import say
from station.custody.counting import figure_rows
from station.custody.review import Recording
from station.disclosing import disclose, view
from station.errors import RefusedError, StationError
from station.figures.figures import figures
from station.office import Office, make_office
from station.people.roles import Person, Role, role_for
from storage.keyfiles import load_device_key

office_app = typer.Typer(no_args_is_help=True, help="A station in a folder: docs/CUSTODY.md.")
people_app = typer.Typer(no_args_is_help=True, help="Accounts and roles.")
device_app = typer.Typer(no_args_is_help=True, help="The unit's devices: enrolled, revoked, assigned.")
review_app = typer.Typer(no_args_is_help=True, help="Recordings: look, keep, not needed, extend, disclose, destroy.")

Folder = Annotated[Path, typer.Option("--station", help="The station's folder.")]
Who = Annotated[str, typer.Option("--as", help="Your personnel number.")]
PasswordFile = Annotated[
    Path | None, typer.Option(help="A file with your password, which nobody else can read; otherwise you are asked.")
]
Id = Annotated[str, typer.Argument(help="The recording's id.")]
DeviceName = Annotated[str, typer.Argument(help="The device's id, the beginning of it, or its name.")]
Reason = Annotated[str, typer.Option(help="Why: it goes on record.")]
_ID_DIGITS = 6
"""Of an id's beginning, at least."""


@contextmanager
def acting(folder: Path, who: str, password_file: Path | None) -> Iterator[tuple[Office, Person]]:
    """Open a station for somebody who has proved to be who they say."""
    with Office(folder, secret) as office:
        password = secret(f"Password of {who}", password_file)
        yield office, office.accounts.log_in(who, password.decode("utf-8", "replace"))


@office_app.command("init")
def init_command(
    folder: Annotated[Path, typer.Argument(help="The folder to make.")],
    name: Annotated[str, typer.Option(help="The station's name.")] = "station",
    unit: Annotated[str, typer.Option(help="The unit's name.")] = "unit",
    host: Annotated[list[str] | None, typer.Option(help="A name or address that it is reached by.")] = None,
    passphrase_file: Annotated[
        Path | None, typer.Option(help="Passphrase of its private keys; empty for none.")
    ] = None,
    opening_passphrase_file: Annotated[
        Path | None,
        typer.Option(help="Another passphrase for station.key, which opens footage: technicians need not know it."),
    ] = None,
) -> None:
    """Make a station: its keys, an authority for TLS, and its settings."""
    make_office(
        folder,
        name,
        unit,
        host or [],
        secret("Passphrase of the station's private keys (empty: none)", passphrase_file),
        None if opening_passphrase_file is None else secret("Passphrase of station.key", opening_passphrase_file),
    )
    say(f"{folder}: a station. Its public signing key, for policies and the defence: {folder / 'signing.pub'}")
    say(f"Devices seal to {folder / 'station.pub'}. First make an account: station people add --station {folder} ...")


@office_app.command("destroy-due")
def destroy_due_command(station: Folder, passphrase_file: PassphraseFile = None) -> None:
    """Destroy what is due: for a timer, once an hour."""
    with Office(station, lambda prompt: secret(prompt, passphrase_file)) as office:
        say(f"{office.review.destroy_due()} segments destroyed")


@people_app.command("add")
def people_add_command(
    number: Annotated[str, typer.Argument(help="Personnel number.")],
    station: Folder,
    name: Annotated[str, typer.Option()],
    role: Annotated[list[Role], typer.Option(help="Once for each role.")],
    by: Annotated[str, typer.Option(help="Who decided it: a personnel number.")] = "administrator",
    password_file: PasswordFile = None,
) -> None:
    """Make an account, or change one."""
    with Office(station, secret) as office:
        password = secret(f"New password of {number}", password_file).decode("utf-8", "replace")
        office.accounts.add(by, number, name, role, password)
    say(f"{number}: {', '.join(item.value for item in role)}")


@people_app.command("remove")
def people_remove_command(number: str, station: Folder, by: Annotated[str, typer.Option()] = "administrator") -> None:
    """Take an account away."""
    with Office(station, secret) as office:
        office.accounts.remove(by, number)


def require_technician(office: Office, person: Person) -> Office:
    """Return the station for somebody who may deal with devices.

    Raises:
        RefusedError: somebody else.
    """
    if role_for(person, Act.DEVICE) is None:
        raise RefusedError("devices are a technician's; nothing was changed")
    return office


@device_app.command("add")
def device_add_command(
    public: Annotated[Path, typer.Argument(help="The device's public identity key (device.pub).")],
    station: Folder, who: Who, name: Annotated[str, typer.Option()] = "", password_file: PasswordFile = None,
) -> None:  # fmt: skip
    """Take a device in."""
    with acting(station, who, password_file) as (office, person):
        say(require_technician(office, person).devices.enrol(person.number, load_device_key(public), name))


def _device(office: Office, named: str) -> str:
    """Return the id of a device that was named by its id, the beginning of it, or its name.

    Raises:
        StationError: none is called so, or several are.
    """
    found = [item.id for item in office.devices.all() if named in (item.id, item.name)]
    if not found and len(named) >= _ID_DIGITS:
        found = [item.id for item in office.devices.all() if item.id.startswith(named.lower())]
    if len(found) != 1:
        raise StationError(f"{len(found) or 'no'} device{'s are' if found else ' is'} called {named!r}: name its id")
    return found[0]


@device_app.command("revoke")
def device_revoke_command(
    device: DeviceName, station: Folder, who: Who, reason: Reason, password_file: PasswordFile = None
) -> None:
    """Take nothing from a device any more."""
    with acting(station, who, password_file) as (office, person):
        require_technician(office, person).devices.revoke(person.number, _device(office, device), reason)


@device_app.command("assign")
def device_assign_command(
    device: DeviceName, officer: Annotated[str, typer.Argument(help="Personnel number.")], station: Folder, who: Who,
    password_file: PasswordFile = None,
) -> None:  # fmt: skip
    """Say who carries a device from now on."""
    with acting(station, who, password_file) as (office, person):
        require_technician(office, person).devices.assign(person.number, _device(office, device), officer)


@device_app.command("list")
def device_list_command(station: Folder, who: Who, password_file: PasswordFile = None) -> None:
    """List the devices."""
    with acting(station, who, password_file) as (office, person):
        for item in require_technician(office, person).devices.all():
            state = f"revoked: {item.revoked}" if item.revoked else "enrolled"
            say(f"{item.id}  {item.name or '-'}  {state}; seen up to segment {item.seen_segment}")


@review_app.command("list")
def review_list_command(station: Folder, who: Who, password_file: PasswordFile = None) -> None:
    """List the recordings that you may see."""
    with acting(station, who, password_file) as (office, person):
        _show(office.review.recordings(person))


@review_app.command("keep")
def keep_command(
    recording: Id, station: Folder, who: Who, reason: Reason,
    purpose: Annotated[str, typer.Option(help="a to e: the task of Police Act 2012 art. 3.")],
    password_file: PasswordFile = None,
) -> None:  # fmt: skip
    """Keep a recording: it is needed."""
    with acting(station, who, password_file) as (office, person):
        office.review.keep(person, recording, purpose, reason)
    say("kept")


@review_app.command("not-needed")
def not_needed_command(
    recording: Id, station: Folder, who: Who, reason: Reason = "not needed", password_file: PasswordFile = None
) -> None:
    """Destroy a recording at once: it is not needed."""
    with acting(station, who, password_file) as (office, person):
        say(f"destroyed: {office.review.not_needed(person, recording, reason)} segments")


@review_app.command("extend")
def extend_command(
    recording: Id, station: Folder, who: Who, reason: Reason, days: Annotated[int, typer.Option(help="From now.")],
    password_file: PasswordFile = None,
) -> None:  # fmt: skip
    """Keep a recording for longer, on a legal ground."""
    with acting(station, who, password_file) as (office, person):
        say(f"due {_day(office.review.extend(person, recording, days, reason))}")


@review_app.command("view")
def view_command(
    recording: Id, station: Folder, who: Who, reason: Reason, output: Annotated[Path, typer.Option()],
    password_file: PasswordFile = None,
) -> None:  # fmt: skip
    """Decrypt a recording to look at it here."""
    with acting(station, who, password_file) as (office, person):
        made = view(office, person, office.opener, recording, reason, output)
    say(f"{output}: {made.size_bytes} bytes; delete it when you have looked")


@review_app.command("disclose")
def disclose_command(
    recording: Id, station: Folder, who: Who, reason: Reason,
    recipient: Annotated[str, typer.Option(help="To whom.")],
    output: Annotated[Path, typer.Option(help="A folder to make, or a .zip.")], password_file: PasswordFile = None,
) -> None:  # fmt: skip
    """Make a bundle for court, with all that is needed to check it."""
    with acting(station, who, password_file) as (office, person):
        made = disclose(office, person, office.opener, recording, reason, recipient, output)
    say(f"{output}: {made.verdict.value}; manifest {made.digest}")


@review_app.command("request")
def request_command(
    act: Annotated[str, typer.Argument(help="destroy, extend or disclose.")],
    recordings: Annotated[list[str], typer.Argument(help="The recordings.")],
    station: Folder, who: Who, reason: Reason, password_file: PasswordFile = None,
) -> None:  # fmt: skip
    """Ask a second person; for a mass destruction this shows first what would go, and destroys nothing."""
    with acting(station, who, password_file) as (office, person):
        if act not in (item.value for item in (Act.DESTROY, Act.EXTEND, Act.DISCLOSE)):
            raise StationError(f"{act!r} is none of destroy, extend, disclose")
        number = office.review.request(person, Act(act), recordings, reason)
        if act == Act.DESTROY.value:
            say("Dry run: this would be destroyed, and nothing was:")
            _show(office.review.dry_run(recordings))
    say(f"request {number}: somebody else approves it with: station review approve {number}")


@review_app.command("approve")
def approve_command(number: str, station: Folder, who: Who, password_file: PasswordFile = None) -> None:
    """Agree to another's request."""
    with acting(station, who, password_file) as (office, person):
        office.review.approve(person, number)
    say("approved")


@review_app.command("destroy")
def destroy_command(number: str, station: Folder, who: Who, password_file: PasswordFile = None) -> None:
    """Destroy what an approved request names."""
    with acting(station, who, password_file) as (office, person):
        say(f"destroyed: {office.review.destroy_approved(person, number)} recordings")


@review_app.command("figures")
def figures_command(
    station: Folder, who: Who, unit: Annotated[str, typer.Option(help="The unit's name.")],
    password_file: PasswordFile = None,
) -> None:  # fmt: skip
    """Print a trial's figures as CSV, without personal data."""
    with acting(station, who, password_file) as (office, person):
        office.review.count(person)
        sys.stdout.write(figures(unit, figure_rows(office.database)))


def _show(recordings: list[Recording]) -> None:
    for item in recordings:
        state = "destroyed" if item.destroyed else f"{item.decision}, due {_day(item.due_utc_ns)}"
        purpose = item.purpose or "unclassified"
        say(
            f"{item.id}  {_day(item.begun_utc_ns)}  {item.duration_ns / 1e9:7.1f} s  {purpose:12}  "
            f"{item.officer or '-':10}  {state}"
        )


def _day(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M")
