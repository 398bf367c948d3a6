"""Technicians' credentials: issued by the unit's key, on record, and good at a device."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from station.cli import app
from station.errors import StationError
from station.technicians import issue_credential, list_credentials, load_credential, load_technician
from station.unit_key import load_unit_key, write_new_unit_key
from storage.errors import KeyFileError
from tests.station.offices import Desk, make_desk
from wire.credential import check_signed
from wire.messages import Ask

DEVICE = bytes(range(16))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = make_desk(tmp_path)
    write_new_unit_key(tmp_path / "unit.key")
    return made


def issue(desk: Desk, name: str = "Jan Jansen", *more: str, status: int = 0, who: str = "T1") -> str:
    return desk.run(
        "technician", "issue", "--name", name, "--unit-key", str(desk.base / "unit.key"), "--output",
        str(desk.base / "jan.key"), "--passphrase-file", str(desk.base / "empty"), *more, who=who, status=status,
    )  # fmt: skip


def test_a_technician_gets_a_key_and_a_credential_that_a_device_takes(desk: Desk) -> None:
    assert "Jan Jansen, good until" in issue(desk)
    key = desk.base / "jan.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    made = load_technician(key, lambda _what: b"")
    ask = made.signed(Ask(bytes(8), 1, "log", {}), DEVICE, bytes(32))
    unit = load_unit_key(desk.base / "unit.key").public
    assert check_signed(ask, DEVICE, bytes(32), unit, made.credential.from_s, None).name == "Jan Jansen"
    assert "Jan Jansen  key" in desk.run("technician", "list", who="T1")
    lines = (desk.base / "station" / "audit" / "audit.log").read_text().splitlines()
    (entry,) = [json.loads(line) for line in lines if "credential issued" in line]
    assert (entry["who"], entry["object"], entry["details"]["days"]) == ("T1", "Jan Jansen", 365)
    secret = key.read_text().splitlines()[1]
    assert not any(secret in line for line in lines)


def test_a_key_with_a_passphrase_asks_for_it(desk: Desk) -> None:
    (desk.base / "phrase").touch(mode=0o600)
    (desk.base / "phrase").write_text("open sesame\n")
    unit = load_unit_key(desk.base / "unit.key")
    issue_credential(desk.base / "station", unit, "Jan", 1, desk.base / "jan.key", b"open sesame", 10**9)
    asked: list[str] = []

    def ask(what: str) -> bytes:
        asked.append(what)
        return b"open sesame"

    assert load_technician(desk.base / "jan.key", ask).credential.name == "Jan"
    assert len(asked) == 1
    with pytest.raises(KeyFileError, match="does not open"):
        load_technician(desk.base / "jan.key", lambda _what: b"wrong")
    assert "over since 2001" in desk.run("technician", "list", who="T1")


def test_what_will_not_do_is_refused(desk: Desk) -> None:
    assert "up to 80 printable" in issue(desk, "\x1b[2J", status=2)
    assert "technician's" in issue(desk, status=2, who="P1")
    issue(desk)
    assert "exists already" in issue(desk, status=2)
    path = desk.base / "jan.credential"
    whole = path.read_bytes()
    for spoilt, says in ((b"", "not a technician's"), (whole.replace(b"Jan", b"\xff"), "not a technician's")):
        path.write_bytes(spoilt)
        with pytest.raises(StationError, match=says):
            load_credential(path)
    path.unlink()
    with pytest.raises(StationError, match="cannot read the credential"):
        load_technician(desk.base / "jan.key", lambda _what: b"")
    unit = load_unit_key(desk.base / "unit.key")
    issue_credential(desk.base / "station", unit, "Piet", 1, desk.base / "piet.key", b"", 10**9)
    path.write_bytes((desk.base / "piet.credential").read_bytes())
    with pytest.raises(StationError, match="for another key"):
        load_technician(desk.base / "jan.key", lambda _what: b"")
    assert [item.name for item in list_credentials(desk.base / "station")] == ["Jan Jansen", "Piet"]


def test_no_file_of_somebodys_is_written_over(desk: Desk) -> None:
    unit = load_unit_key(desk.base / "unit.key")
    with pytest.raises(StationError, match=r"x\.credential is a credential's name: name a new file"):
        issue_credential(desk.base / "station", unit, "Jan", 1, desk.base / "x.credential", b"", 10**9)
    assert not (desk.base / "x.credential").exists()
    (desk.base / "jan.credential").write_text("somebody's")
    with pytest.raises(StationError, match=r"jan\.credential exists already"):
        issue_credential(desk.base / "station", unit, "Jan", 1, desk.base / "jan.key", b"", 10**9)
    assert not (desk.base / "jan.key").exists()
    assert (desk.base / "jan.credential").read_text() == "somebody's"


def test_another_key_than_the_units_signs_nothing(desk: Desk) -> None:
    write_new_unit_key(desk.base / "other.key")
    shutil.copyfile(desk.base / "other.pub", desk.base / "station" / "unit.pub")
    assert "is not the private half of" in issue(desk, status=2)
    assert not (desk.base / "jan.key").exists()
    assert "credential issued" not in (desk.base / "station" / "audit" / "audit.log").read_text()


def test_a_folder_that_takes_nothing_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.mkdir

    def full(path: Path, *arguments: object, **more: object) -> None:
        if path.name == "technicians":
            raise OSError(28, "No space left on device")
        real(path, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "mkdir", full)
    assert "No space left" in issue(desk, status=2)


def test_it_is_on_the_command_line() -> None:
    assert "issue" in CliRunner().invoke(app, ["technician", "--help"]).output
