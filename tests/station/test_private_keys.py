"""Private keys with a passphrase: asked for once, never shown, and of no use without it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from station.keys import StationKey, load_station_key, write_new_key
from station.office import Office, make_office
from station.private_keys import Passphrases, nobody
from station.unit_key import load_unit_key, write_new_unit_key
from storage.errors import KeyFileError
from tests.station.kit import Bench, one_clear_line
from tests.storage.kit import Device

WORD = b"correct horse battery"


class Person:
    """Types what they know, and counts how often they are asked."""

    def __init__(self, *words: bytes) -> None:
        self.words = list(words)
        self.asked: list[str] = []

    def __call__(self, prompt: str) -> bytes:
        self.asked.append(prompt)
        return self.words.pop(0)


@pytest.fixture
def word(tmp_path: Path) -> Path:
    path = tmp_path / "word"
    path.write_bytes(WORD + b"\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bench:
    return Bench(Device(tmp_path / "device", StationKey.generate(hybrid=False)), tmp_path, capsys)


@pytest.mark.parametrize("hybrid", [True, False])
def test_a_key_with_a_passphrase_opens_with_it_alone_and_asks_once(tmp_path: Path, hybrid: bool) -> None:
    path = tmp_path / "station.key"
    write_new_key(path, hybrid=hybrid, passphrase=WORD)
    assert path.read_bytes().count(b"BEGIN ENCRYPTED PRIVATE KEY") == 1 + hybrid
    person = Person(WORD)
    opened = Passphrases(person)
    first, second = load_station_key(path, opened), load_station_key(path, opened)
    assert first.recipient.raw == second.recipient.raw
    assert person.asked == [f"Passphrase of {path}"]
    for wrong in (b"", b"wrong"):
        with pytest.raises(KeyFileError, match="does not open: a wrong passphrase") as raised:
            load_station_key(path, Passphrases(Person(wrong)))
        assert "wrong'" not in str(raised.value)
    with pytest.raises(KeyFileError, match="nobody is there to ask"):
        load_station_key(path)


def test_what_opened_one_key_is_tried_on_the_next_and_then_asked_for(tmp_path: Path) -> None:
    for name, passphrase in (("a", WORD), ("b", WORD), ("c", b"another")):
        write_new_unit_key(tmp_path / f"{name}.key", passphrase)
    person = Person(WORD, b"another")
    opened = Passphrases(person)
    for name in "abc":
        load_unit_key(tmp_path / f"{name}.key", opened)
    assert [prompt[-5:] for prompt in person.asked] == ["a.key", "c.key"]


def test_nobody_is_asked_for_a_key_that_needs_none(tmp_path: Path) -> None:
    write_new_key(tmp_path / "station.key")
    load_station_key(tmp_path / "station.key", Passphrases(nobody))


def test_a_station_asks_once_for_both_of_its_keys(tmp_path: Path) -> None:
    make_office(tmp_path / "station", "station", "unit", [], WORD)
    for name in ("station.key", "signing.key"):
        assert b"ENCRYPTED" in (tmp_path / "station" / name).read_bytes()
    person = Person(WORD)
    with Office(tmp_path / "station", person) as office:
        assert len(office.signer.public) == 32
    assert len(person.asked) == 1
    with pytest.raises(KeyFileError, match="does not open"):
        Office(tmp_path / "station", Person(b"wrong"))


def test_who_opens_no_footage_is_not_asked_for_what_opens_it(tmp_path: Path) -> None:
    make_office(tmp_path / "station", "station", "unit", [], WORD, b"another word")
    person = Person(WORD, b"another word")
    with Office(tmp_path / "station", person) as office:
        assert len(office.signer.public) == 32
        assert [prompt[-11:] for prompt in person.asked] == ["signing.key"]
        for _ in range(2):
            assert len(office.opener.recipient_id) == 16
        assert [prompt[-11:] for prompt in person.asked] == ["signing.key", "station.key"]
    with Office(tmp_path / "station", Person(WORD, b"wrong")) as office, pytest.raises(KeyFileError, match="not open"):
        office.opener.open()


def test_the_commands_read_it_from_a_file_that_nobody_else_can_read(bench: Bench, word: Path) -> None:
    key, unit = bench.folder / "new.key", bench.folder / "unit.key"
    assert bench.run("keygen", key, "--passphrase-file", word).status == 0
    assert bench.run("policy", "keygen", "--output", unit, "--passphrase-file", word).status == 0
    policy = bench.run("policy", "template", "--recipient", key.with_suffix(".pub")).out
    (bench.folder / "policy.toml").write_text(policy)
    sign = ["policy", "sign", bench.folder / "policy.toml", "--key", unit, "--output", bench.folder / "signed.toml"]
    one_clear_line(bench.run(*sign), "nobody is there to ask; give it in a file")
    assert bench.run(*sign, "--passphrase-file", word).status == 0
    word.chmod(0o644)
    one_clear_line(bench.run(*sign, "--passphrase-file", word), "can be read by others: chmod 600")
    word.chmod(0o600)
    word.write_bytes(b"\n")
    one_clear_line(bench.run("keygen", bench.folder / "no.key", "--passphrase-file", word), "it is empty")
    assert not (bench.folder / "no.key").exists()
    one_clear_line(
        bench.run("keygen", bench.folder / "no.key", "--passphrase-file", word.parent / "none"), "cannot read"
    )


@pytest.mark.parametrize(("again", "status"), [(WORD, 0), (b"something else", 2)])
def test_a_person_types_it_twice(tmp_path: Path, again: bytes, status: int) -> None:
    """On a real terminal: nothing that is typed shows."""
    main, other = pty.openpty()
    command = [sys.executable, "-m", "station", "keygen", str(tmp_path / "station.key"), "--passphrase"]
    process = subprocess.Popen(command, stdin=other, stdout=other, stderr=other, start_new_session=True,
                               preexec_fn=lambda: _own(0))  # fmt: skip
    os.close(other)
    shown = b""
    for typed in (WORD, again):
        while not shown.rstrip().endswith(b":"):
            shown += os.read(main, 1024)
        os.write(main, typed + b"\n")
        shown += b"|"
    while True:
        try:
            if not (more := os.read(main, 1024)):
                break
        except OSError:
            break
        shown += more
    os.close(main)
    assert process.wait(30) == status, shown
    assert WORD not in shown
    assert (tmp_path / "station.key").exists() == (status == 0)
    assert (b"typed differently the second time" in shown) == (status != 0)


def _own(terminal: int) -> None:
    """Make it the terminal of this session, where getpass asks."""
    import fcntl
    import termios

    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
