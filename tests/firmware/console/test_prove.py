"""``prove`` at the console: the right key answers, from a process of its own, or one line says why not."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from firmware.console.prove_child import make_proof, tell_proof
from storage.errors import EnrolmentError
from storage.keyfiles import load_device_key
from storage.keyring_file import KeyringFile
from storage.prove import CHALLENGE_BYTES, Proven, parse_proof, proven
from storage.signer_tpm import TpmSigner, erase
from tests.firmware.console.desk import Desk
from tests.firmware.device import Kit, python
from tests.storage.swtpm import SoftTpm, running

CHALLENGE = os.urandom(CHALLENGE_BYTES)


@pytest.fixture(scope="module")
def tpm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftTpm]:
    with running(tmp_path_factory.mktemp("chip") / "tpm") as made:
        yield made


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return Kit.make(tmp_path / "device")


def identity(kit: Kit) -> bytes:
    return load_device_key(kit.base / "state" / "device.pub")


def answered(desk: Desk) -> Proven:
    got = desk.ask("prove", challenge=CHALLENGE.hex())
    return proven(identity(desk.kit), CHALLENGE, parse_proof(got.body))


def test_a_device_without_a_tpm_answers_with_its_cards_keys(kit: Kit) -> None:
    desk = Desk(kit)
    desk.says(state="recording", busy=True)
    assert answered(desk) is Proven.KEYS
    assert not desk.control.told, "the recorder is not touched"
    notes = [json.loads(path.read_bytes()) for path in (kit.base / "state" / "technician").glob("*.act")]
    assert [(note["who"], note["act"]) for note in notes] == [("Jan", "prove")]


def test_a_device_with_one_answers_with_its_identity(tmp_path: Path, tpm: SoftTpm) -> None:
    assert answered(Desk(Kit.in_tpm(tmp_path / "device", tpm.uri))) is Proven.IDENTITY


def test_without_the_tpm_it_is_refused_in_one_line(tmp_path: Path, tpm: SoftTpm) -> None:
    """A card that was copied into a device without that TPM, with another one, or with other settings."""
    kit = Kit.in_tpm(tmp_path / "device", tpm.uri)
    desk, state = Desk(kit), kit.base / "state"

    def told(uri: str) -> str:
        said: list[Mapping[str, Any]] = []
        tell_proof(state, uri, CHALLENGE, said.append)
        (only,) = said
        return str(only["trouble"])

    assert "'memory:' is not that key: nothing here can prove it" in told("memory:")
    with running(tmp_path / "another") as other:
        assert "there is no key 0x81100001" in told(other.uri)
        assert not erase(other.place), "nothing was made there"
        TpmSigner.find_or_make(other.place)
        assert "is not that key" in told(other.uri)
    assert "is not understood" in told("tpm:3")
    erase(tpm.place)
    refused = desk.refused("prove", challenge=CHALLENGE.hex())
    assert refused.startswith("failed: there is no key 0x81100001 in the TPM swtpm:")


def test_a_keyring_that_is_replaced_just_then_is_read_again(kit: Kit) -> None:
    keyring = kit.base / "state" / "keyring"
    whole, state = keyring.read_bytes(), kit.base / "state"
    pauses = 0

    def mend(_seconds: float) -> None:
        nonlocal pauses
        pauses += 1
        if pauses == 2:
            keyring.write_bytes(whole)

    keyring.write_bytes(bytes(len(whole)))
    assert proven(identity(kit), CHALLENGE, make_proof(state, "memory:", CHALLENGE, mend)) is Proven.KEYS
    assert pauses == 2
    keyring.write_bytes(bytes(len(whole)))
    with pytest.raises(EnrolmentError, match="damaged"):
        make_proof(state, "memory:", CHALLENGE, lambda _seconds: None)
    said: list[Mapping[str, Any]] = []
    keyring.unlink()
    tell_proof(state, "memory:", CHALLENGE, said.append)
    assert [list(item) for item in said] == [["trouble"]]


def test_the_child_says_a_long_path_in_pieces(kit: Kit) -> None:
    state = kit.base / "state"
    file = KeyringFile(state)
    keyring = file.load()
    for segment in range(1, 0x1FF):
        keyring = keyring.prepared(segment).retired(segment)
    file.save(keyring)
    said: list[Mapping[str, Any]] = []
    tell_proof(state, "memory:", CHALLENGE, said.append)
    assert len(said) > 1
    assert all(len(json.dumps(item)) < 4096 for item in said)
    proof = parse_proof(b"".join(bytes.fromhex(item["proof"]) for item in said))
    assert proof.segment == 0x1FF
    assert proven(identity(kit), CHALLENGE, proof) is Proven.KEYS


@pytest.mark.parametrize(
    ("printed", "says"),
    [
        ('{"odd":1}', "failed: no proof came"),
        ('{"say":"hello"}', "failed: no proof came"),
        ('{"trouble":"no\\nkey"}', "failed: no\N{REPLACEMENT CHARACTER}key"),
        ('{"trouble":""}', "failed: it failed"),
        ('{"check":"checks","outcome":"failed","text":"the settings"}', "failed: the settings"),
        ('{"proof":"xyz"}', "failed: what came is no proof"),
        ('{"proof":7}', "failed: what came is no proof"),
        ("nonsense", "refused: the proof said nonsense"),
    ],
)
def test_what_the_child_says_is_judged(kit: Kit, printed: str, says: str) -> None:
    desk = Desk(kit, child=(sys.executable, "-c", f"print({printed!r})"))
    assert desk.refused("prove", challenge=CHALLENGE.hex()).startswith(says)


def test_a_child_that_says_too_much_is_cut_short(kit: Kit) -> None:
    script = "import json\nfor _ in range(100): print(json.dumps({'proof': '00' * 1024}))"
    got = Desk(kit, child=(sys.executable, "-c", script)).ask("prove", challenge=CHALLENGE.hex())
    assert len(got.body) == 8192


@pytest.mark.parametrize("challenge", ["", "00" * 31, "00" * 33, "0G" * 32, "AB" * 32])
def test_a_challenge_of_another_form_is_refused(kit: Kit, challenge: str) -> None:
    assert Desk(kit).refused("prove", challenge=challenge).startswith("malformed")


def test_the_child_by_itself(kit: Kit) -> None:
    done = python("firmware.console.child", str(kit.settings), "prove", CHALLENGE.hex())
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert proven(identity(kit), CHALLENGE, parse_proof(bytes.fromhex(json.loads(line)["proof"]))) is Proven.KEYS
    assert not any(secret in done.stdout + done.stderr for secret in kit.secrets())
    done = python("firmware.console.child", str(kit.settings), "prove", "00")
    assert "a challenge has 32 bytes" in json.loads(done.stdout)["trouble"]
