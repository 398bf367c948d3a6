"""How a boot finds what the last run left, at every point where it can have been cut off, recovery itself included."""

from __future__ import annotations

import errno
import io
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from station.keys import StationKey
from storage.chain import genesis
from storage.errors import EnrolmentError, StoreError, StoreFailedError
from storage.keyring_file import KeyringFile
from storage.layout import Flags
from storage.particulars import Previous
from storage.ratchet import Keyring, decode
from storage.recovery import Recovery, recover
from storage.segment_report import Status, verify_segment
from storage.verdict import Verdict
from storage.verify import verify
from tests.storage.forge import split, starts
from tests.storage.kit import BOOT, CHUNK_NS, INIT, Device, media_bytes

STATION = StationKey.generate(hybrid=False)
RECORDING = b"R" * 16


@pytest.fixture
def device(tmp_path: Path) -> Device:
    """Cut off: segment 1 a journal, segment 2 a recording without a closing."""
    device = Device(tmp_path / "device", STATION)
    with device.open() as store:
        device.journal(store)
        device.part(store, RECORDING, 0, 3, 9)
    return device


def seg(device: Device, number: int) -> Path:
    return device.flash / "segments" / f"{number:010d}.seg"


def torn(device: Device) -> list[Path]:
    return sorted((device.flash / "torn").iterdir())


def goes_on(device: Device, number: int) -> None:
    """The next segment opens, links, and leaves a store that is sound as far as it goes."""
    with device.open() as store:
        segment = store.begin(device.clock.stamp())
        assert segment.number == number
        segment.close("power-off", device.clock.stamp())
    report = verify(device.flash, device.identity)
    assert report.verdict is Verdict.MISSING_PARTS
    assert report.missing_segments == ()
    assert all(item.status in (Status.CLOSED, Status.CUT) for item in report.segments)


def test_a_new_device(tmp_path: Path) -> None:
    device = Device(tmp_path, STATION)
    with device.open() as store:
        assert store.recovery == Recovery(Previous(0, 0, genesis(device.identity)), "new", None, 0, 0, 0, bytes(16))


def test_closed_segments(tmp_path: Path) -> None:
    device = Device(tmp_path, STATION)
    with device.open() as store:
        device.journal(store)
        device.part(store, RECORDING, 0, 1).close("rotation", device.clock.stamp())
    with device.open() as store:
        found = store.recovery
        assert (found.how, found.recording, found.part, found.torn_bytes) == ("rotation", RECORDING, 0, 0)
        assert (found.last_monotonic_ns, found.last_boot) == (device.clock.now_ns, BOOT)
        device.part(store, RECORDING, 1, 1).close("stop", device.clock.stamp())
    with device.open() as store:
        assert (store.recovery.how, store.recovery.recording, store.recovery.part) == ("stop", None, 1)
        device.journal(store, "power-off")
    assert verify(device.flash, device.identity).verdict is Verdict.AUTHENTIC


def test_cut_without_a_torn_record(device: Device) -> None:
    data = seg(device, 2).read_bytes()
    with device.open() as store:
        found = store.recovery
    assert (found.how, found.recording, found.part, found.torn_bytes) == ("cut", RECORDING, 0, 0)
    assert found.last_monotonic_ns == device.clock.now_ns
    assert seg(device, 2).read_bytes() == data
    assert torn(device) == []
    goes_on(device, 3)


def test_a_journal_that_was_cut_is_no_recording(tmp_path: Path) -> None:
    device = Device(tmp_path, STATION)
    with device.open() as store:
        store.begin(device.clock.stamp())
    with device.open() as store:
        assert (store.recovery.how, store.recovery.recording) == ("cut", None)


def test_torn_at_every_offset_of_the_last_two_records(device: Device) -> None:
    data = seg(device, 2).read_bytes()
    begins = starts(split(data))
    for length in range(begins[-3] + 1, len(data)):
        shutil.rmtree(device.flash / "torn")
        (device.flash / "torn").mkdir()
        seg(device, 2).write_bytes(data[:length])
        found = recover(device.flash, device.identity)
        sound = max(at for at in begins if at <= length)
        assert found.torn_bytes == length - sound
        assert found.previous.chunks == begins.index(sound)
        assert seg(device, 2).read_bytes() == data[:sound]
        if length == sound:
            assert torn(device) == []
            continue
        (aside,) = torn(device)
        assert aside.name.startswith(f"0000000002.{sound}.")
        assert aside.read_bytes() == data[sound:length]
        assert recover(device.flash, device.identity) == Recovery(
            found.previous, "cut", RECORDING, 0, 0, found.last_monotonic_ns, BOOT
        )
        assert torn(device) == [aside]
    goes_on(device, 3)


@pytest.mark.parametrize(
    "tail", [bytes(1), bytes(5000), b"GTG1", b"GTG1" + bytes(300), b"\xff" * 200, "a chunk again"], ids=str
)
def test_garbage_after_what_is_sound(device: Device, tail: bytes | str) -> None:
    """Such as blocks that were given to the file but never written."""
    data = seg(device, 2).read_bytes()
    rest = split(data)[-1] if isinstance(tail, str) else tail
    seg(device, 2).write_bytes(data + rest)
    with device.open() as store:
        assert (store.recovery.how, store.recovery.torn_bytes) == ("cut", len(rest))
        assert store.recovery.previous.chunks == 4
    assert [path.read_bytes() for path in torn(device)] == [rest]
    goes_on(device, 3)


def test_a_rotten_record_in_the_middle_of_the_last_segment(device: Device) -> None:
    """All from the rotten one on is set aside; what was sound before it stays."""
    data = bytearray(seg(device, 2).read_bytes())
    begins = starts(split(bytes(data)))
    data[begins[2] + 110] ^= 1
    seg(device, 2).write_bytes(data)
    with device.open() as store:
        assert store.recovery.previous.chunks == 2
    assert [path.read_bytes() for path in torn(device)] == [data[begins[2] :]]
    goes_on(device, 3)


def test_bytes_after_a_closing(tmp_path: Path) -> None:
    device = Device(tmp_path, STATION)
    device.shift(chunks=1)
    with seg(device, 4).open("ab") as file:
        file.write(b"more")
    with device.open() as store:
        assert (store.recovery.how, store.recovery.torn_bytes) == ("power-off", 4)
    assert verify(device.flash, device.identity).verdict is Verdict.AUTHENTIC


@pytest.fixture
def unborn(tmp_path: Path) -> tuple[Device, bytes]:
    """A device whose segment 3 is about to be opened, and the bytes that its opening would have had."""
    device = Device(tmp_path / "device", STATION)
    device.shift(parts=1, chunks=1)  # segments 1, 2, 3
    state = {path.name: path.read_bytes() for path in device.state.iterdir()}
    with device.open() as store:
        store.begin(device.clock.stamp())
    opening = seg(device, 4).read_bytes()
    seg(device, 4).unlink()
    for name, data in state.items():
        (device.state / name).write_bytes(data)
    return device, opening


def test_a_torn_opening_at_every_offset(unborn: tuple[Device, bytes]) -> None:
    device, opening = unborn
    for length in [*range(0, len(opening) - 1, 7), len(opening) - 1]:
        seg(device, 4).write_bytes(opening[:length])
        assert verify(device.flash, device.identity).verdict is Verdict.MISSING_PARTS, length
        found = recover(device.flash, device.identity)
        assert (found.previous.segment, found.how, found.torn_bytes) == (3, "power-off", length)
        assert not seg(device, 4).exists()
        assert opening[:length] in [path.read_bytes() for path in torn(device)]
    with device.open() as store:
        device.journal(store, "power-off")  # the number is used again
    assert seg(device, 4).exists()
    assert verify(device.flash, device.identity).verdict is Verdict.AUTHENTIC


@pytest.mark.parametrize("data", [bytes(1000), b"x" * 1000], ids=["zeros", "noise"])
def test_an_opening_of_which_the_blocks_were_never_written(unborn: tuple[Device, bytes], data: bytes) -> None:
    device, _ = unborn
    seg(device, 4).write_bytes(data)
    with device.open() as store:
        assert store.recovery.torn_bytes == 1000
        device.journal(store, "power-off")
    assert verify(device.flash, device.identity).verdict is Verdict.AUTHENTIC


def test_the_very_first_opening_torn(tmp_path: Path) -> None:
    device = Device(tmp_path, STATION)
    (device.flash / "segments").mkdir(parents=True)
    (device.flash / "torn").mkdir()
    seg(device, 1).write_bytes(b"GTG1")
    with device.open() as store:
        assert (store.recovery.how, store.recovery.torn_bytes) == ("new", 4)
        device.journal(store, "power-off")
    assert verify(device.flash, device.identity).verdict is Verdict.AUTHENTIC


def test_an_opening_that_is_durable_but_whose_key_was_not_erased_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Device(tmp_path / "device", STATION)
    device.shift(parts=1, chunks=1)
    saves = []

    def cut(file: KeyringFile, keyring: Keyring) -> None:
        saves.append(min(keyring.seeds))
        if len(saves) == 2:
            raise KeyboardInterrupt
        save(file, keyring)

    save = KeyringFile.save
    with monkeypatch.context() as patch, device.open() as store:
        patch.setattr(KeyringFile, "save", cut)
        with pytest.raises(KeyboardInterrupt):
            store.begin(device.clock.stamp())
    assert saves == [4, 5]  # made ready with 4's key in it, to be saved without
    assert min(decode((device.state / "keyring").read_bytes()).seeds) == 4
    with device.open() as store:
        assert (store.recovery.how, store.recovery.previous.segment) == ("cut", 4)
        assert min(decode((device.state / "keyring").read_bytes()).seeds) == 5
    goes_on(device, 5)


def test_what_no_sync_has_reached_is_durable_before_its_key_is_erased(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed, not cut off from power: the opening reads well, but may still be in memory alone.

    Were its key erased and the power lost then, the segment's number could never be used again, nor the device.
    """
    device = Device(tmp_path / "device", STATION)
    device.shift(parts=1, chunks=1)
    saves: list[Keyring] = []
    fsync, save = os.fsync, KeyringFile.save

    def killed(file: KeyringFile, keyring: Keyring) -> None:
        saves.append(keyring)
        if len(saves) == 2:
            raise KeyboardInterrupt
        save(file, keyring)

    with monkeypatch.context() as patch, device.open() as store:
        patch.setattr(KeyringFile, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            store.begin(device.clock.stamp())
    names = {seg(device, 4).stat().st_ino: "segment", seg(device, 4).parent.stat().st_ino: "folder"}
    steps: list[str] = []

    def syncing(fd: int) -> None:
        steps.append(names.get(os.fstat(fd).st_ino, "other"))
        fsync(fd)

    def saving(file: KeyringFile, keyring: Keyring) -> None:
        steps.append("erasure")
        save(file, keyring)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(KeyringFile, "save", saving)
    device.open().close()
    assert [step for step in steps if step != "other"] == ["segment", "folder", "erasure"]


def fail_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """The power goes at the `step`th call that changes the disk: it does not happen, nor does any later one."""
    calls = iter(range(1, 1000))

    def cutting(call: Callable[..., object]) -> Callable[..., object]:
        def stand_in(*args: object, **more: object) -> object:
            if next(calls) >= step:
                raise KeyboardInterrupt
            return call(*args, **more)

        return stand_in

    for name in ("fsync", "ftruncate"):
        monkeypatch.setattr(os, name, cutting(getattr(os, name)))
    for name in ("replace", "rename"):
        monkeypatch.setattr(Path, name, cutting(getattr(Path, name)))


def crashes(monkeypatch: pytest.MonkeyPatch, device: Device) -> Iterator[int]:
    """Cut recovery off at its first step, its second, ... until it gets through; yields after each crash."""
    for step in range(1, 50):
        with monkeypatch.context() as patch:
            fail_at(patch, step)
            try:
                recover(device.flash, device.identity)
            except KeyboardInterrupt:
                pass
            else:
                return
        yield step


def test_recovery_cut_off_at_each_of_its_steps(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    data = seg(device, 2).read_bytes()
    steps = 0
    seg(device, 2).write_bytes(data + b"torn")
    for step in crashes(monkeypatch, device):
        steps = step
        everything = [path.read_bytes() for path in torn(device)]
        assert seg(device, 2).read_bytes() in (data + b"torn", data)
        assert seg(device, 2).read_bytes() == data + b"torn" or b"torn" in everything
        # Another boot, all the way, on a copy: the same as if nothing had happened.
        copy = device.base.parent / f"copy{step}"
        shutil.copytree(device.flash, copy)
        assert recover(copy, device.identity).previous.chunks == 4
        assert (copy / "segments" / seg(device, 2).name).read_bytes() == data
        assert [path.read_bytes() for path in (copy / "torn").glob("*.torn")] == [b"torn"]
    assert steps >= 5
    assert [path.name.rpartition(".")[2] for path in torn(device)] == ["torn"]
    goes_on(device, 3)


def test_setting_an_opening_aside_cut_off_at_each_step(
    unborn: tuple[Device, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    device, opening = unborn
    seg(device, 4).write_bytes(opening[:99])
    steps = list(crashes(monkeypatch, device))
    assert len(steps) == 3  # before the sync, the rename, and the sync of the folder
    assert [path.read_bytes() for path in torn(device)] == [opening[:99]]
    assert recover(device.flash, device.identity).previous.segment == 3


def refuse_at(patch: pytest.MonkeyPatch, owner: object, name: str, nth: int) -> None:
    """Let the `nth` use of a call fail, and that one alone."""
    call, uses = getattr(owner, name), itertools.count(1)

    def stand_in(*args: object, **more: object) -> object:
        if next(uses) == nth:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return call(*args, **more)

    patch.setattr(owner, name, stand_in)


CALLS: list[tuple[object, str]] = [
    (os, "open"), (os, "fsync"), (os, "ftruncate"), (os, "fstat"), (io, "open"), (Path, "replace"), (Path, "rename"),
    (Path, "iterdir"), (Path, "stat"),
]  # fmt: skip


@pytest.mark.parametrize("scene", ["tail", "opening"])
@pytest.mark.parametrize(("owner", "name"), CALLS, ids=[f"{name}-{number}" for number, (_, name) in enumerate(CALLS)])
def test_a_disk_that_refuses_each_step_once(
    unborn: tuple[Device, bytes], owner: object, name: str, scene: str, tmp_path: Path
) -> None:
    device, opening = unborn
    if scene == "tail":
        with seg(device, 3).open("ab") as file:
            file.write(opening[:99])
    else:
        seg(device, 4).write_bytes(opening[:99])
    shutil.copytree(device.flash, tmp_path / "undisturbed")
    expected = recover(tmp_path / "undisturbed", device.identity)
    refused = 0
    for nth in itertools.count(1):
        flash = tmp_path / f"flash{nth}"
        shutil.copytree(device.flash, flash)
        with pytest.MonkeyPatch.context() as patch:
            refuse_at(patch, owner, name, nth)
            said = ""
            try:
                assert recover(flash, device.identity) == expected
            except StoreFailedError as error:
                said = str(error)
        if not said:
            break
        assert said == f"cannot recover the store {flash}: Input/output error"
        refused += 1
        again = recover(flash, device.identity)
        assert again.previous == expected.previous
        assert [path.read_bytes() for path in (flash / "torn").glob("*.torn")] == [opening[:99]]
        for path in (tmp_path / "undisturbed" / "segments").iterdir():
            assert (flash / "segments" / path.name).read_bytes() == path.read_bytes()
        assert not (flash / "segments" / seg(device, 4).name).exists()
    elsewhere = {("tail", "rename"), ("tail", "fstat"), ("opening", "replace"), ("opening", "ftruncate")}
    assert (refused > 0) == ((scene, name) not in elsewhere)


def test_a_medium_that_cuts_more_than_it_was_told(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """The segment is read again after its end was set aside; nothing is built on one that has gone."""
    with seg(device, 2).open("ab") as file:
        file.write(b"torn")
    cut = os.ftruncate
    monkeypatch.setattr(os, "ftruncate", lambda fd, length: cut(fd, 10))
    before = (device.state / "keyring").read_bytes()
    with pytest.raises(StoreError, match=r"0000000002.seg has no sound opening"):
        device.open()
    assert (device.state / "keyring").read_bytes() == before


def test_the_flash_of_another_device_is_left_as_it_is(tmp_path: Path) -> None:
    """With a keyring that is not its own, nothing is moved."""
    one, two = Device(tmp_path / "one", STATION), Device(tmp_path / "two", STATION)
    one.shift(chunks=1)
    before = {path: path.read_bytes() for path in (one.flash / "segments").iterdir()}
    shutil.copytree(one.flash, two.flash)
    with pytest.raises(StoreError, match=r"is not what this device wrote .*; take the device in"):
        two.open()
    # One segment alone is refused as well: it is whole, and says whose it is.
    for number in (2, 3, 4):
        seg(two, number).unlink()
    with pytest.raises(StoreError, match=r"0000000001.seg is not what this device wrote"):
        two.open()
    assert torn(two) == []
    assert {path: path.read_bytes() for path in (one.flash / "segments").iterdir()} == before


def test_more_than_one_torn_opening_is_not_a_crash(tmp_path: Path) -> None:
    device = Device(tmp_path, STATION)
    device.shift(chunks=1)
    for number in (5, 6):
        seg(device, number).write_bytes(b"GTG1")
    with pytest.raises(StoreError, match=r"0000000005.seg is not what this device wrote"):
        device.open()
    assert torn(device) == []


def test_a_flash_that_was_emptied_or_set_back(tmp_path: Path) -> None:
    device = Device(tmp_path, STATION)
    device.shift(chunks=1)
    seg(device, 4).unlink()
    with pytest.raises(EnrolmentError, match="no key for segment 4, and the flash ends with segment 3"):
        device.open()
    shutil.rmtree(device.flash)
    with pytest.raises(EnrolmentError, match="no key for segment 1, and the flash ends with segment 0"):
        device.open()


def test_an_older_keyring_signs_no_number_twice(tmp_path: Path) -> None:
    """The keyring of before, put back: its keys for what is on flash are erased at once, even if it cannot go on."""
    device = Device(tmp_path, STATION)
    keyring = device.state / "keyring"
    with device.open() as store:
        device.journal(store)
        after_one = keyring.read_bytes()
        device.journal(store)
        after_two = keyring.read_bytes()
    keyring.write_bytes(after_one)  # 3 is certified by 2's key, which this keyring had not used yet
    with pytest.raises(EnrolmentError, match="no key for segment 3, and the flash ends with segment 2"):
        device.open()
    assert min(decode(keyring.read_bytes()).seeds) == 4
    keyring.write_bytes(after_two)
    with device.open() as store:
        device.journal(store, "power-off")
    keyring.write_bytes(after_two)
    with device.open():
        assert min(decode(keyring.read_bytes()).seeds) == 4
    assert verify(device.flash, device.identity).verdict is Verdict.AUTHENTIC
    goes_on_authentic(device, 4)


def goes_on_authentic(device: Device, number: int) -> None:
    with device.open() as store:
        device.journal(store, "power-off")
    assert seg(device, number).exists()
    assert verify(device.flash, device.identity).verdict is Verdict.AUTHENTIC


def test_other_files_are_let_be(device: Device) -> None:
    for name in ("notes.txt", "copy.seg", "1.seg"):
        (device.flash / "segments" / name).write_bytes(b"x")
    with device.open() as store:
        assert store.recovery.previous.segment == 2
    assert (device.flash / "segments" / "notes.txt").read_bytes() == b"x"


def test_something_else_in_the_next_segments_place(device: Device) -> None:
    seg(device, 3).mkdir()
    with pytest.raises(StoreFailedError, match=r"cannot recover the store .*: Is a directory"):
        device.open()


def test_a_cut_recording_goes_on_as_another_part(device: Device) -> None:
    with device.open() as store:
        found = store.recovery
        segment = store.begin(
            device.clock.stamp(), recording=found.recording or b"", part=found.part + 1, profile="480p30", init=INIT
        )
        segment.media(device.clock.stamp(CHUNK_NS), media_bytes(1, 0, 9), Flags.KEY)
        segment.close("stop", device.clock.stamp())
        device.journal(store, "power-off")
    report = verify(device.flash, device.identity)
    (recording,) = report.recordings
    assert (recording.verdict, recording.reason) == (Verdict.MISSING_PARTS, "stop")
    assert [part.status for part in recording.segments] == [Status.CUT, Status.CLOSED]
    assert recording.media.chunks == 4
    assert recording.sound_prefix == 1
    assert verify_segment(seg(device, 3), device.identity).verdict is Verdict.AUTHENTIC
