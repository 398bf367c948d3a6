"""The station's command line. Exit status: 0 done; 1 and 3 as each command says; 2 unusable input."""

from __future__ import annotations

import sys
from collections.abc import Callable

import typer

from station.errors import StationError
from station.lazy import lazy_group
from storage.errors import StorageError

_UNUSABLE = 2
_COMMANDS = {
    "verify": "station.evidence_commands:verify_command",
    "export": "station.evidence_commands:export_command",
    "keygen": "station.evidence_commands:keygen_command",
    "dock": "station.dock.command:dock_command",
    "enrol": "station.enrolment.command:enrol_command",
    "label": "station.label_command:label_command",
    "policy": "station.policy_commands:policy_app",
    "authority": "station.live.command:authority_app",
    "live": "station.live.command:live_commands",
    "office": "station.office_commands:office_app",
    "people": "station.office_commands:people_app",
    "device": "station.office_commands:device_app",
    "review": "station.office_commands:review_app",
    "audit": "station.audit.command:audit_app",
    "technician": "station.technician_commands:technician_app",
    "console": "station.console_line.command:console_app",
}

app = typer.Typer(
    name="station", cls=lazy_group(_COMMANDS), no_args_is_help=True, add_completion=False,
    pretty_exceptions_enable=False,
    help="The reference docking station: verify, open and export what Getuige devices recorded.",
)  # fmt: skip


@app.callback()
def station() -> None:
    """Make it a group, though no command is registered here."""


def main(run: Callable[[], object] = app) -> int:
    """Run the command line, which ends the program; every error of ours is one line on stderr and exit status 2."""
    try:
        run()
    except (StorageError, StationError) as error:
        sys.stderr.write(f"station: {error}\n")
        return error.exit_status if isinstance(error, StationError) else _UNUSABLE
    return 0
