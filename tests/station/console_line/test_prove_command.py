"""``station console prove``: who it is at the cable, by keys and not by word; and who only says so."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from firmware.console.diagnosis import make_diagnosis
from firmware.console.place import Place
from firmware.settings import load_settings
from station.cli import app
from station.console_line.proving import parse_device
from station.errors import StationError
from station.technicians import issue_credential
from storage.errors import KeyFileError
from storage.keyfiles import device_id, encode_device_key, load_device_key
from storage.prove import Proof, prove, prove_keys
from storage.ratchet import enrol
from storage.signer import MemorySigner, Signer
from tests.firmware.console.cable import Cable, Console
from tests.firmware.console.desk import ISSUED_S, Desk
from tests.firmware.device import Kit
from tests.firmware.policies import UNIT
from tests.station.console_line.liar import Liar, Say, answer, bodies, body
from tests.storage.p256 import P256Signer
from tests.storage.swtpm import running

S = 1_000_000_000
OLD_CHALLENGE = bytes(32)


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    return Kit.make(tmp_path_factory.mktemp("device") / "device")


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("technician")
    issue_credential(base, UNIT, "Jan", 300, base / "jan.key", b"", ISSUED_S)
    return base / "jan.key"


def ask(key: Path, port: str, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["console", "--port", port, "--key", str(key), "prove", *arguments])
    if isinstance(done.exception, StationError | KeyFileError):
        text = str(done.exception)
        assert text.isprintable()
        return getattr(done.exception, "exit_status", 2), text
    assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
    return done.exit_code, done.output.rstrip("\n")


@contextmanager
def cabled(kit: Kit) -> Iterator[str]:
    """Plug a device in; return the port."""
    desk = Desk(kit)
    desk.clock.set_utc((ISSUED_S + 3600) * S)
    with Cable() as cable, Console(desk.place, make_diagnosis(desk.place, desk.tools), cable.device):
        yield cable.station


def public(kit: Kit) -> Path:
    return kit.base / "state" / "device.pub"


def name(kit: Kit) -> str:
    return device_id(load_device_key(public(kit))).hex()


# --- Devices that are what they say -----------------------------------------------------------------------------------


def test_a_device_without_a_tpm(key: Path, kit: Kit) -> None:
    said = (
        f"it holds signing keys that {name(kit)} certified (of segment 1){{}}; "
        "a copy of its card holds them too, and nothing tells the two apart"
    )
    with cabled(kit) as port:
        assert ask(key, port) == (0, said.format("; compare that with its label"))
        assert ask(key, port, "--device-key", str(public(kit))) == (0, said.format(""))
        assert ask(key, port, "--device", name(kit).upper()) == (0, said.format(""))
        status, text = ask(key, port, "--json", "--device", name(kit))
    assert status == 0
    assert json.loads(text) == {
        "device": name(kit), "named": True, "holds": True, "proven": "keys", "in_tpm": False, "copy_excluded": False,
        "segment": 1, "why": "",
    }  # fmt: skip


def test_a_device_with_a_tpm_and_its_card_in_another(key: Path, tmp_path: Path) -> None:
    with running(tmp_path / "tpm") as tpm:
        kit = Kit.in_tpm(tmp_path / "device", tpm.uri)
        with cabled(kit) as port:
            said = f"it is {name(kit)}: the identity's own key answered, which no copy of its card has"
            assert ask(key, port, "--device-key", str(public(kit))) == (0, said)
            assert ask(key, port) == (0, f"{said}; compare that with its label")
            told = json.loads(ask(key, port, "--json")[1])
            assert (told["proven"], told["in_tpm"], told["copy_excluded"], told["segment"]) == (
                "identity", True, True, None,
            )  # fmt: skip
            tpm.stop()
            tpm.folder.rename(tmp_path / "of the first device")
            tpm.folder.mkdir()
            port_before = tpm.port
            tpm.start()
            kit.settings.write_text(kit.settings.read_text().replace(str(port_before), str(tpm.port)), "utf-8")
            status, text = ask(key, port, "--device-key", str(public(kit)))
        assert (status, text.startswith("the device refuses: there is no key 0x81100001 in the TPM")) == (1, True)


def test_another_device_than_the_one_that_is_meant(key: Path, kit: Kit, tmp_path: Path) -> None:
    other = MemorySigner.generate().public
    (tmp_path / "other.pub").write_bytes(encode_device_key(other))
    meant = device_id(other).hex()
    said = f"it is NOT shown to be {meant}: it says that it is another one, {name(kit)}"
    with cabled(kit) as port:
        assert ask(key, port, "--device-key", str(tmp_path / "other.pub")) == (1, said)
        assert ask(key, port, "--device", meant) == (1, said)
        told = json.loads(ask(key, port, "--device", meant, "--json")[1])
    assert (told["holds"], told["proven"], told["copy_excluded"]) == (False, "nothing", False)
    assert told["why"].startswith("it says that it is another one")


def test_a_device_that_belongs_to_no_unit(key: Path, kit: Kit, tmp_path: Path) -> None:
    (tmp_path / "new.toml").write_text('[store]\nflash = "f"\nstate = "s"\n[hardware]\nboard = "simulated"\n')
    desk = Desk(kit)
    place = Place(load_settings(tmp_path / "new.toml"), desk.clock)
    with Cable() as cable, Console(place, make_diagnosis(place, desk.tools), cable.device):
        for arguments in ([], ["--device", "11" * 16]):
            status, text = ask(key, cable.station, *arguments)
            assert (status, "the device refuses: this device belongs to no unit" in text) == (1, True), text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--device", "11"], "'11' is no device id"),
        (["--device", "zz" * 16], "is no device id"),
        (["--device-key", "/none"], "cannot read the device key /none"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_a_port_is_opened(key: Path, arguments: list[str], says: str) -> None:
    status, text = ask(key, "/dev/none", *arguments)
    assert (status, says in text) == (2, True), text


def test_an_id_and_a_key_of_different_devices() -> None:
    raw = MemorySigner.generate().public
    assert parse_device(None, None) is None
    assert parse_device(device_id(raw).hex(), raw) == parse_device(None, raw) == device_id(raw)
    with pytest.raises(StationError, match="give one of the two"):
        parse_device("11" * 16, raw)


# --- Devices that lie -------------------------------------------------------------------------------------------------


def made(sign: Callable[[bytes], Proof]) -> Callable[[Any], bytes]:
    return lambda ask_: sign(bytes.fromhex(ask_.fields["challenge"])).encode()


ED25519 = MemorySigner.generate()
P256 = P256Signer(b"\x07" * 32)
STRANGER = MemorySigner.generate()


def hostile(victim: Signer, sign: Callable[[bytes], Proof]) -> Say:
    """Say to be the victim, and answer with what `sign` makes of the challenge."""
    return bodies(made(sign), device_id(victim.public))


NOT_SIGNED = "what it answered is not signed with that device's keys for this challenge"
COPY = "it has the keys on its card, as a copy of the card has; the identity's own key, in a TPM, did not answer"


@pytest.mark.parametrize("victim", [ED25519, P256], ids=["memory", "tpm"])
@pytest.mark.parametrize("named", [False, True])
def test_wrong_keys_replays_and_answers_to_something_else(
    key: Path, tmp_path: Path, victim: Signer, named: bool
) -> None:
    public_file = tmp_path / "device.pub"
    public_file.write_bytes(encode_device_key(victim.public))
    keys, others = enrol(victim), enrol(STRANGER)
    recorded = [prove(victim, OLD_CHALLENGE), prove_keys(keys, OLD_CHALLENGE)]
    signed = replace(recorded[0], signature=victim.sign(b"something else"))
    cases: list[tuple[Callable[[bytes], Proof], str]] = [
        (lambda challenge: replace(prove(STRANGER, challenge), identity=victim.public), NOT_SIGNED),
        (lambda challenge: replace(prove_keys(others, challenge), identity=victim.public), NOT_SIGNED),
        (lambda _challenge: recorded[0], NOT_SIGNED),
        (lambda _challenge: recorded[1], NOT_SIGNED),
        (lambda challenge: prove(victim, challenge[::-1]), NOT_SIGNED),
        (lambda challenge: prove_keys(keys, challenge[::-1]), NOT_SIGNED),
        (lambda _challenge: signed, NOT_SIGNED),
        (lambda challenge: prove(STRANGER, challenge), f"the key of another device answered, {others.device.hex()}"),
        (lambda challenge: prove_keys(others, challenge), f"the key of another device answered, {others.device.hex()}"),
    ]
    if victim is P256:
        cases.append((lambda challenge: prove_keys(keys, challenge), COPY))
    given = ["--device-key", str(public_file)] if named else []
    for sign, why in cases:
        with Liar(hostile(victim, sign)) as liar:
            status, text = ask(key, liar.port, *given)
        assert (status, text) == (1, f"it is NOT shown to be {device_id(victim.public).hex()}: {why}")


def test_a_copied_card_in_json(key: Path) -> None:
    keys = enrol(P256)
    with Liar(hostile(P256, lambda challenge: prove_keys(keys, challenge))) as liar:
        status, text = ask(key, liar.port, "--json")
    told = json.loads(text)
    assert status == 1
    assert (told["holds"], told["proven"], told["copy_excluded"], told["why"]) == (False, "keys", False, COPY)


def test_the_right_key_of_either_kind_is_believed(key: Path) -> None:
    for victim, only in ((P256, ", which no copy of its card has"), (ED25519, "")):
        with Liar(hostile(victim, lambda challenge, victim=victim: prove(victim, challenge))) as liar:  # type: ignore[misc]
            status, text = ask(key, liar.port, "--device", device_id(victim.public).hex())
        assert (status, text) == (
            0, f"it is {device_id(victim.public).hex()}: the identity's own key answered{only}",
        )  # fmt: skip


def test_what_is_no_proof_is_no_device(key: Path) -> None:
    for say in (answer(), answer(proof="yes"), body(b""), body(b"\xa0"), body(bytes(10_000)), body(b"\x1b[2J" * 9)):
        with Liar(say) as liar:
            status, text = ask(key, liar.port)
        assert (status, "does not talk as a device does: no proof came:" in text) == (3, True), text


def test_each_time_another_challenge(key: Path) -> None:
    seen: list[str] = []

    def sign(challenge: bytes) -> Proof:
        seen.append(challenge.hex())
        return prove(ED25519, challenge)

    for _ in range(2):
        with Liar(hostile(ED25519, sign)) as liar:
            assert ask(key, liar.port)[0] == 0
    assert len(set(seen)) == 2
    assert {len(challenge) for challenge in seen} == {64}
