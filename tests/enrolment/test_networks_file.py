"""The unit's networks file at the station: what may stand in it, and that nothing of it stands anywhere else."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from station.authority import new_authority
from station.enrolment.networks import load_networks
from station.errors import StationError
from wire.networks import NONE, Networks, Security, Wifi, parse_networks

PHRASE = "a passphrase of nobody"
LIVE = '[live]\nhost = "broker.unit.example"\n'
UNIT = f'[[wifi]]\nssid = "Unit"\npassphrase = "{PHRASE}"\n'
AUTHORITY = new_authority("radius", datetime(2026, 1, 1, tzinfo=UTC))


def write(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "networks.toml"
    path.unlink(missing_ok=True)
    path.touch(mode)
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    path.chmod(mode)
    return path


def test_what_may_stand_in_it(tmp_path: Path) -> None:
    (tmp_path / "radius.pem").write_bytes(AUTHORITY.pem)
    text = f"""
{LIVE}port = 8884

{UNIT}
[[wifi]]
ssid_hex = "FF00"
security = "wpa3"
passphrase = "another one"

[[wifi]]
ssid = "Politie é"
security = "eap-tls"
server = "radius.unit.example"
authority = "radius.pem"

[[wifi]]
ssid = "Police"
security = "eap-tls"
server = "radius.unit.example"
"""
    der = AUTHORITY.certificate.public_bytes(Encoding.DER)
    found = load_networks(write(tmp_path, text))
    assert found == Networks(
        "broker.unit.example", 8884,
        (
            Wifi(b"Unit", Security.WPA, PHRASE), Wifi(b"\xff\0", Security.WPA3, "another one"),
            Wifi("Politie é".encode(), Security.EAP_TLS, server="radius.unit.example", authority=der),
            Wifi(b"Police", Security.EAP_TLS, server="radius.unit.example"),
        ),
    )  # fmt: skip
    assert PHRASE not in repr(found)
    assert load_networks(write(tmp_path, LIVE + UNIT)).port == 8883
    assert load_networks(write(tmp_path, "# none any more\n")) == NONE


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f'x = "{PHRASE}\n', r"is not TOML \(at line 1, column \d+\)"),
        ("\udcff", "is not TOML"),
        ("[" * 5000, "is not TOML"),
        (f'{UNIT}"{PHRASE}" = 1', "network 1 has a key that is none of authority, passphrase, security, server, ssid"),
        (f'"{PHRASE}" = 1', "it has a key that is none of live, wifi"),
        (f'[live]\n"{PHRASE}" = 1', "has a key that is none of host, port"),
        ("live = 1", "has one .live., and a ..wifi.. for each network"),
        ("wifi = 1", "has one .live., and a"),
        ("wifi = [1]", "network 1 is no ..wifi.."),
        (LIVE, "the broker needs a host"),
        (UNIT, "the broker needs a host"),
        (f'[live]\nhost = "{PHRASE}"\n{UNIT}', "the broker needs a host"),
        (f"[live]\nhost = 1\n{UNIT}", "host is not a printable text"),
        (f"{LIVE}port = 0\n{UNIT}", "the broker needs a host"),
        (f"{LIVE}port = 70000\n{UNIT}", "port is not a whole number from 0 to 65535"),
        (LIVE + UNIT * 9, "more than 8 networks"),
        (f"{LIVE}{UNIT}ssid_hex = '00'\n", "network 1 has either ssid, a text, or ssid_hex"),
        (f'{LIVE}[[wifi]]\nssid_hex = "0g"\npassphrase = "{PHRASE}"', "network 1 has either ssid"),
        (f'{LIVE}[[wifi]]\nssid = "{"x" * 33}"\npassphrase = "{PHRASE}"', "network 1: an SSID has 1 to 32 bytes"),
        (f'{LIVE}[[wifi]]\nssid = "x"\n', "network 1: a passphrase has 8 to 63 characters"),
        (f'{LIVE}[[wifi]]\nssid = "x"\npassphrase = "{PHRASE * 3}"', "network 1: a passphrase has"),
        (f"{LIVE}{UNIT}[[wifi]]\nssid = 'x'\nsecurity = 'wep'\n", "network 2: its security is none of"),
        (f"{LIVE}{UNIT}security = 'eap-tls'\nserver = 'x'\n", "network 1 has unknown fields"),
        (f"{LIVE}{UNIT}server = 'x'\n", "network 1 has unknown fields"),
        (f"{LIVE}{UNIT}authority = 'none.pem'\n", "network 1 has unknown fields"),
        (f"{LIVE}[[wifi]]\nssid = 'x'\nsecurity = 'eap-tls'\n", "server is not the name in the RADIUS server's"),
        (f"{LIVE}[[wifi]]\nssid = 'x'\nsecurity = 'eap-tls'\nserver = 'a;b'\n", "server is not the name"),
        (f"{LIVE}[[wifi]]\nssid = 'x'\nsecurity = 'eap-tls'\nserver = 'x'\nauthority = 'none.pem'", "cannot read"),
        (f"{LIVE}[[wifi]]\nssid = 'x'\nsecurity = 'eap-tls'\nserver = 'x'\nauthority = 'networks.toml'", "is not a c"),
        (f"{LIVE}[[wifi]]\nssid = 'x'\nsecurity = 'eap-tls'\nserver = 'x'\nauthority = ''", "authority names a file"),
        ("#" * 70_000, "is no file of up to 64 KiB"),
    ],
)  # fmt: skip
def test_what_may_not_is_said_in_one_line_that_shows_nothing(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(StationError, match=says) as refused:
        load_networks(write(tmp_path, text))
    assert "\n" not in str(refused.value)
    assert PHRASE not in str(refused.value)
    assert str(tmp_path / "networks.toml") in str(refused.value)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=80), st.integers(0, 200))
@example("\0", 0)
def test_any_text_is_networks_or_one_line(tmp_path: Path, text: str, place: int) -> None:
    whole = LIVE + UNIT
    mixed = whole[:place] + text.encode("utf-8", "replace").decode() + whole[place:]
    found, said = NONE, ""
    try:
        found = load_networks(write(tmp_path, mixed))
    except StationError as error:
        said = str(error)
    assert "\n" not in said
    assert PHRASE not in said
    assert parse_networks(found.encode()) == found, "the device takes it too"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_nobody_else_may_read_it(tmp_path: Path, mode: int) -> None:
    path = write(tmp_path, LIVE + UNIT, mode)
    with pytest.raises(StationError, match=f"can be read by others: chmod 600 {path}"):
        load_networks(path)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "cannot read .*: No such file"),
        (lambda path: path.mkdir(), "is no file"),
        (lambda path: os.mkfifo(path, 0o600), "is no file"),
    ],
)
def test_what_is_no_file(tmp_path: Path, make: Callable[[Path], None], says: str) -> None:
    path = tmp_path / "networks.toml"
    make(path)
    with pytest.raises(StationError, match=says):
        load_networks(path)
