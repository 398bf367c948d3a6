"""Making, signing and checking a unit's policy, from the command line as docs/POLICY.md has it."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

from station.cli import app, main
from station.signing import write_new_signing_key
from storage.keyfiles import load_signing_key
from storage.policy import parse_policy
from tools.docs.policy import page

DOCS = Path(__file__).resolve().parents[2] / "docs"


def run(*arguments: object, status: int = 0) -> str:
    """Run a command as `python -m station` does; return what it said, on either stream."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            found = main(lambda: app([str(item) for item in arguments]))
        except SystemExit as ended:
            found = int(ended.code or 0)
    assert found == status, said.getvalue()
    return said.getvalue()


class Unit:
    """A unit's folder, with a station's key and one of its own."""

    def __init__(self, base: Path) -> None:
        self.base = base
        run("keygen", base / "station.key")
        run("policy", "keygen", "--output", base / "unit.key")
        self.draft = base / "draft.toml"
        self.signed = base / "policy.toml"
        self.draft.write_text(run("policy", "template", "--recipient", base / "station.pub", "--unit", "Team West"))

    def change(self, key: str, value: str) -> None:
        text, count = re.subn(rf"(?m)^{key} = .*$", f"{key} = {value}", self.draft.read_text())
        assert count == 1
        self.draft.write_text(text)

    def sign(self, status: int = 0) -> str:
        return run(
            "policy", "sign", self.draft, "--key", self.base / "unit.key", "--output", self.signed, status=status
        )

    def check(self, status: int = 0) -> str:
        return run("policy", "check", self.signed, "--unit", self.base / "unit.pub", status=status)


@pytest.fixture
def unit(tmp_path: Path) -> Unit:
    return Unit(tmp_path)


def test_from_nothing_to_a_checked_policy(unit: Unit) -> None:
    unit.change("retention_days", "14")
    unit.change("serial", "12")
    assert "serial 12 of Team West" in unit.sign()
    said = unit.check()
    assert "Team West" in said
    assert "14" in said
    assert (unit.base / "unit.key").stat().st_mode & 0o777 == 0o600
    assert (unit.base / "unit.pub").read_text() not in said


def test_stations_whose_receipts_devices_obey_are_named_by_their_key_files(unit: Unit) -> None:
    signer = write_new_signing_key(unit.base / "signing.key", b"")
    more = ("--recipient", unit.base / "station.pub", "--receipt-key", signer)
    unit.draft.write_text(run("policy", "template", *more))
    unit.sign()
    policy = parse_policy(unit.signed.read_bytes(), load_signing_key(unit.base / "unit.pub", "key"))
    assert policy.evidence.receipt_keys == (load_signing_key(signer, "key").hex(),)
    assert "cannot read the station's signing key" in run("policy", "template", *more[:3], "none", status=2)
    assert "twice" in run("policy", "template", *more, *more[2:], status=2)


def test_a_changed_policy_is_refused(unit: Unit) -> None:
    unit.sign()
    unit.signed.write_bytes(unit.signed.read_bytes().replace(b"Team West", b"Team East"))
    assert "Refused: the policy is not signed by this unit" in unit.check(status=1)


def test_another_unit_is_refused(unit: Unit) -> None:
    unit.sign()
    run("policy", "keygen", "--output", unit.base / "other.key")
    assert "Refused" in run("policy", "check", unit.signed, "--unit", unit.base / "other.pub", status=1)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("retention_days", "29", "evidence.retention_days"),
        ("hold_ms", "200", "button.hold_ms"),
        ("on_dark_light", '"ignore"', "recording.on_dark_light"),
        ("night_floor_percent", "5", "signals.night_floor_percent"),
    ],
)
def test_what_no_device_would_take_is_not_signed(unit: Unit, key: str, value: str, says: str) -> None:
    unit.change(key, value)
    assert says in unit.sign(status=2)
    assert not unit.signed.exists()


def test_an_expired_policy_is_not_signed(unit: Unit) -> None:
    unit.change("issued", "2025-01-01T00:00:00Z")
    unit.change("expires", "2025-02-01T00:00:00Z")
    assert "expired" in unit.sign(status=2)


def test_a_policy_does_not_replace_its_draft_or_a_key(unit: Unit) -> None:
    for output in (unit.draft, unit.base / "unit.key"):
        before = output.read_bytes()
        said = run("policy", "sign", unit.draft, "--key", unit.base / "unit.key", "--output", output, status=2)
        assert "would replace" in said
        assert output.read_bytes() == before


def test_files_that_cannot_be_used(unit: Unit) -> None:
    key = unit.base / "unit.key"
    missing = unit.base / "missing"
    for arguments in (
        ("policy", "sign", missing, "--key", key, "--output", unit.signed),
        ("policy", "sign", unit.draft, "--key", missing, "--output", unit.signed),
        ("policy", "sign", unit.draft, "--key", unit.base / "station.key", "--output", unit.signed),
        ("policy", "sign", unit.draft, "--key", key, "--output", missing / "policy.toml"),
        ("policy", "check", missing, "--unit", unit.base / "unit.pub"),
        ("policy", "check", unit.draft, "--unit", missing),
        ("policy", "template", "--recipient", missing),
        ("policy", "keygen", "--output", key),
    ):
        said = run(*arguments, status=2)
        assert said.count("\n") == 1
        assert "PRIVATE" not in said


def test_the_page_is_the_fields() -> None:
    assert (DOCS / "POLICY.md").read_text("utf-8") == page(), "the policy's fields changed: run `make docs`"
