"""Positions, certificates and the keyring that ratchets on."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from station.keys import StationKey
from station.opener import FileKeyOpener
from storage.errors import EnrolmentError, FormatError, StoreFailedError
from storage.keyfiles import load_device_key
from storage.keypath import Certificate, ancestry, check_path, children, parent
from storage.keyring_file import KeyringFile, enrol_device
from storage.layout import MAX_SEGMENT
from storage.ratchet import Keyring, decode, enrol
from storage.signer import MemorySigner

quick = settings(max_examples=200, derandomize=True, deadline=None, database=None)
positions = st.integers(1, MAX_SEGMENT) | st.integers(0, 31).map(lambda bit: 1 << bit) | st.integers(1, 31).map(
    lambda bit: (1 << bit) - 1
)  # fmt: skip


@quick
@given(positions)
@example(1)
@example(MAX_SEGMENT)
@example(2**31)
def test_the_way_from_the_identity(position: int) -> None:
    path = ancestry(position)
    assert path[-1] == position
    assert path == sorted(set(path))
    assert len(path) == position.bit_count() <= 32
    for above, step in zip([0, *path], path, strict=False):
        assert parent(step) == above < step
        assert step in children(above)


@quick
@given(positions)
@example(2**31)
def test_what_a_key_certifies(position: int) -> None:
    certified = children(position)
    assert certified == sorted(set(certified))
    assert len(certified) <= 31
    assert all(parent(child) == position < child <= MAX_SEGMENT for child in certified)
    # As many as its lowest bit gives room for: the next positions up to that of the next key of the same rank.
    lowest = position & -position
    assert set(certified) == {position + bit for bit in (1 << n for n in range(32)) if bit < lowest}


def test_the_identity_certifies_the_powers_of_two() -> None:
    assert children(0) == [1 << bit for bit in range(32)]
    assert ancestry(0) == []
    assert ancestry(13) == [8, 12, 13]


def test_every_position_is_certified_exactly_once() -> None:
    certified = sorted(child for position in range(1 << 10) for child in children(position) if child < 1 << 10)
    assert certified == list(range(1, 1 << 10))


def walk(keyring: Keyring, number: int) -> Keyring:
    """Open a segment: the key is there and its path is good; afterwards neither it nor any before it is there."""
    prepared = keyring.prepared(number)
    signer = prepared.signer(number)
    path = prepared.path(number)
    check_path(keyring.identity, keyring.device, number, path)
    assert path[-1].public == signer.public
    retired = prepared.retired(number)
    assert min(retired.seeds) == number + 1
    for used in (number, 1):
        with pytest.raises(EnrolmentError, match=f"the signing key of segment {used} is not in the keyring"):
            retired.signer(used)
    assert len(retired.seeds) <= 32
    assert len(retired.certificates) <= 64
    return retired


def test_three_hundred_segments() -> None:
    keyring = enrol(MemorySigner.generate())
    sizes = []
    for number in range(1, 301):
        keyring = walk(keyring, number)
        sizes.append(len(keyring.encode()))
    assert max(sizes) < 8_000
    assert decode(keyring.encode()) == keyring


@pytest.mark.parametrize("start", [2**10 - 2, 2**16 - 2, 2**31 - 2, 2**31 + 2**30 - 2, MAX_SEGMENT - 3])
def test_near_powers_of_two(start: int) -> None:
    """Jump there by making ready only the keys on the way, as opening every segment in between would."""
    keyring = enrol(MemorySigner.generate())
    for step in ancestry(start):
        keyring = keyring.prepared(step)
    keyring = keyring.retired(start)
    for number in range(start + 1, min(start + 5, MAX_SEGMENT)):
        keyring = walk(keyring, number)
    assert decode(keyring.encode()) == keyring
    assert len(keyring.encode()) < 12_000


def test_the_last_segment_of_all() -> None:
    keyring = enrol(MemorySigner.generate())
    for step in ancestry(MAX_SEGMENT):
        keyring = keyring.prepared(step)
    check_path(keyring.identity, keyring.device, MAX_SEGMENT, keyring.path(MAX_SEGMENT))
    end = keyring.retired(MAX_SEGMENT)
    assert (end.seeds, end.certificates) == ({}, {})


def test_keys_made_ready_stay_the_same() -> None:
    """After a crash between making ready and opening, the same keys are used."""
    keyring = enrol(MemorySigner.generate()).prepared(8)
    assert keyring.prepared(8) == keyring


def test_a_certificate_signed_by_another() -> None:
    keyring = enrol(MemorySigner.generate()).prepared(8)
    path = list(keyring.path(12))
    check_path(keyring.identity, keyring.device, 12, path)
    other = MemorySigner.generate()
    for wrong in (
        [path[0], Certificate(12, other.public, path[1].signature)],
        [path[0], Certificate(12, path[1].public, path[1].signature[::-1])],
        [Certificate(8, other.public, path[0].signature), path[1]],
        [Certificate(8, bytes(32), path[0].signature), path[1]],
        [path[0], Certificate(12, path[1].public, b"")],
    ):
        with pytest.raises(FormatError, match="is not signed by the key at position"):
            check_path(keyring.identity, keyring.device, 12, wrong)
    with pytest.raises(FormatError):
        check_path(keyring.identity, b"D" * 16, 12, path)
    with pytest.raises(FormatError, match="does not lead there"):
        check_path(keyring.identity, keyring.device, 13, path)


@pytest.mark.parametrize("damage", ["no certificate", "another's seed", "seed of no position", "broken certificate"])
def test_a_keyring_that_does_not_hold_together(damage: str) -> None:
    keyring = enrol(MemorySigner.generate()).prepared(8)
    seeds, certificates = dict(keyring.seeds), dict(keyring.certificates)
    if damage == "no certificate":
        del certificates[8]
    elif damage == "another's seed":
        seeds[12] = seeds[10]
    elif damage == "seed of no position":
        seeds[0] = seeds[1]
    else:
        certificates[12] = certificates[12].__class__(12, certificates[12].public, bytes(64))
    decode(keyring.encode())
    with pytest.raises(FormatError):
        decode(Keyring(keyring.identity, seeds, certificates).encode())


def test_enrolment(tmp_path: Path) -> None:
    identity = MemorySigner.generate()
    state = tmp_path / "deep" / "state"
    assert enrol_device(state, identity) == identity.public == load_device_key(state / "device.pub")
    assert {path.name: path.stat().st_mode & 0o777 for path in state.iterdir()} == {
        "keyring": 0o600, "device.pub": 0o644
    }  # fmt: skip
    assert state.stat().st_mode & 0o777 == 0o700
    keyring = KeyringFile(state).load()
    assert sorted(keyring.seeds) == children(0)
    assert identity.seed not in (state / "keyring").read_bytes()
    before = (state / "keyring").read_bytes()
    with pytest.raises(EnrolmentError, match="this device is enrolled already"):
        enrol_device(state, MemorySigner.generate())
    assert (state / "keyring").read_bytes() == before
    assert load_device_key(state / "device.pub") == identity.public


def test_enrolment_narrows_a_folder_that_was_there(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o755)
    enrol_device(tmp_path / "state", MemorySigner.generate())
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


def test_enrolment_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        enrol_device(tmp_path / "state", MemorySigner.generate())
    finally:
        os.umask(old)
    assert (tmp_path / "state" / "keyring").stat().st_mode & 0o777 == 0o600


def test_enrolment_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StoreFailedError, match="cannot write the device's state in "):
        enrol_device(tmp_path / "state", MemorySigner.generate())


class PowerGone(BaseException):
    """Nothing after this reaches the disk, no tidying up either."""


STEPS: list[tuple[object, str]] = [
    (os, "open"), (os, "writev"), (os, "fsync"), (os, "pwrite"), (os, "fdatasync"), (os, "close"), (Path, "unlink"),
    (Path, "replace"),
]  # fmt: skip


@pytest.mark.parametrize("left", [None, b"secret of a crash before", b""], ids=["none", "some", "empty"])
def test_a_keyring_replaced_is_the_old_or_the_new_one_whole(tmp_path: Path, left: bytes | None) -> None:
    """The power goes at each call in turn; the next boot loads what is there, and saves again."""
    old = enrol(MemorySigner.generate())
    new = old.prepared(1).retired(1)
    found: list[Keyring] = []
    for step in itertools.count(1):
        state = tmp_path / str(step)
        state.mkdir()
        file = KeyringFile(state)
        file.save(old)
        if left is not None:
            (state / "keyring.new").write_bytes(left)
        calls = itertools.count(1)

        def until(call: Callable[..., object], calls: Iterator[int] = calls, step: int = step) -> Callable[..., object]:
            def stand_in(*args: object, **more: object) -> object:
                if next(calls) >= step:
                    raise PowerGone
                return call(*args, **more)

            return stand_in

        opened = {int(link.name) for link in Path("/proc/self/fd").iterdir()}
        with pytest.MonkeyPatch.context() as patch:
            for owner, name in STEPS:
                patch.setattr(owner, name, until(getattr(owner, name)))
            try:
                file.save(new)
                gone = False
            except PowerGone:
                gone = True
        for fd in {int(link.name) for link in Path("/proc/self/fd").iterdir()} - opened:
            with contextlib.suppress(OSError):  # the one that listed them
                os.close(fd)
        found.append(file.load())
        assert found[-1] in (old, new)
        if not gone:
            break
        KeyringFile(state).save(new)
        assert file.load() == new
        assert [path.name for path in state.iterdir()] == ["keyring"]
    assert len(found) > 10
    changed = found.index(new)
    assert 0 < changed < len(found) - 1
    assert found == [old] * changed + [new] * (len(found) - changed)


def test_no_secret_shows() -> None:
    signer = MemorySigner.generate()
    keyring = enrol(signer).prepared(4)
    secrets = [signer.seed, *keyring.seeds.values()]
    shown = f"{signer!r} {signer} {keyring!r} {keyring}"
    for number in (5, 6):
        shown += repr(keyring.signer(number))
    with pytest.raises(EnrolmentError) as raised:
        keyring.signer(99)
    shown += f"{raised.value!r}"
    station = StationKey.generate()
    shown += f"{station!r} {FileKeyOpener(station)!r}"
    assert station.mlkem is not None
    secrets += [station.x25519.private_bytes_raw(), station.mlkem.private_bytes_raw()]
    for secret in secrets:
        for form in (secret.hex(), repr(secret)[2:-1], str(list(secret))):
            assert form not in shown
    assert signer.public.hex() in shown
