"""``station keygen``: a new pair of keys, and never one over another."""

from __future__ import annotations

from pathlib import Path

import pytest

from station.keys import StationKey, load_station_key, write_new_key
from storage.errors import KeyFileError
from storage.keyfiles import load_recipient
from tests.station.kit import Answer, Bench, one_clear_line
from tests.storage.kit import Device


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bench:
    return Bench(Device(tmp_path / "device", StationKey.generate(hybrid=False)), tmp_path, capsys)


@pytest.mark.parametrize("hybrid", [True, False], ids=["hybrid", "x25519"])
def test_a_new_pair(bench: Bench, hybrid: bool) -> None:
    path = bench.folder / "new" / "unit.key"
    answer = bench.run("keygen", path, *([] if hybrid else ["--x25519-only"]))
    public = path.with_suffix(".pub")
    assert answer == Answer(
        0, f"Private key: {path} (keep it at the station). Public key for the devices: {public}\n", ""
    )
    assert (path.stat().st_mode & 0o777, public.stat().st_mode & 0o777) == (0o600, 0o644)
    key, recipient = load_station_key(path), load_recipient(public)
    assert (recipient.mlkem is not None, key.mlkem is not None) == (hybrid, hybrid)
    assert key.recipient.raw == recipient.raw
    assert len(recipient.raw) == (1216 if hybrid else 32)
    assert key.recipient.id == recipient.id


def test_two_pairs_differ(bench: Bench) -> None:
    for name in ("one", "two"):
        assert bench.run("keygen", bench.folder / f"{name}.key").status == 0
    one, two = (load_station_key(bench.folder / f"{name}.key") for name in ("one", "two"))
    assert one.recipient.raw != two.recipient.raw


@pytest.mark.parametrize("there", ["unit.key", "unit.pub"])
def test_none_is_written_over(bench: Bench, there: str) -> None:
    (bench.folder / there).write_bytes(b"precious")
    answer = bench.run("keygen", bench.folder / "unit.key")
    one_clear_line(answer, f"{bench.folder / there} exists already: a key that footage was sealed to must not be lost")
    assert (bench.folder / there).read_bytes() == b"precious"
    assert len(list(bench.folder.glob("unit.*"))) == 1


def test_the_public_key_does_not_replace_the_private_one(bench: Bench) -> None:
    one_clear_line(bench.run("keygen", bench.folder / "unit.pub"), "name a file that does not end in .pub")
    assert not (bench.folder / "unit.pub").exists()


@pytest.mark.parametrize("name", [".", "/"])
def test_names_that_are_none(bench: Bench, name: str) -> None:
    one_clear_line(bench.run("keygen", name), "cannot be a private key")


def test_where_nothing_can_be_written(bench: Bench) -> None:
    (bench.folder / "file").write_text("a file")
    one_clear_line(bench.run("keygen", bench.folder / "file" / "unit.key"), "cannot write the key")


def test_no_secret_shows(bench: Bench) -> None:
    key = StationKey.generate()
    assert repr(key) == "StationKey()"
    path = write_new_key(bench.folder / "unit.key").with_suffix(".key")
    secret = path.read_text().splitlines()[1]
    path.write_text(path.read_text().replace("PRIVATE", "PUBLIC"))
    with pytest.raises(KeyFileError) as raised:
        load_station_key(path)
    assert secret not in repr(raised.value)
