"""A station's folder with some people, and its command line run in this process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from station.cli import app
from station.errors import StationError
from storage.errors import KeyFileError, StorageError

PEOPLE = {"T1": "technician", "P1": "officer"}


@dataclass
class Desk:
    """A station, and what somebody types."""

    base: Path

    @property
    def station(self) -> Path:
        return self.base / "station"

    @property
    def password(self) -> Path:
        return self.base / "password"

    def run(self, *arguments: str, who: str = "", status: int = 0) -> str:
        more = ["--station", str(self.station)]
        if who:
            more += ["--as", who, "--password-file", str(self.password)]
        done = CliRunner().invoke(app, [*arguments, *more])
        if isinstance(done.exception, StationError | KeyFileError | StorageError):
            assert status == 2, done.exception
            return str(done.exception)
        assert done.exit_code == status, (done.output, done.exception)
        return done.output


def make_desk(base: Path) -> Desk:
    made = Desk(base)
    for name, text in (("password", "correct horse battery\n"), ("empty", "\n")):
        (base / name).touch(mode=0o600)
        (base / name).write_text(text)
    done = CliRunner().invoke(app, ["office", "init", str(made.station), "--passphrase-file", str(base / "empty")])
    assert done.exit_code == 0, done.output
    for number, role in PEOPLE.items():
        made.run("people", "add", number, "--name", number, "--role", role, "--password-file", str(made.password))
    return made
