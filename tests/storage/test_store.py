"""The store as the recorder meets it: what it refuses, what it keeps free, and what a failing disk does to it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from station.keys import StationKey
from storage.durable import replace_file
from storage.envelope import Cipher
from storage.errors import EnrolmentError, FormatError, StoreError, StoreFailedError, StoreFullError
from storage.keyfiles import encode_recipient
from storage.keyring_file import KeyringFile
from storage.layout import MAX_BODY_BYTES, MAX_CHUNKS, Flags, Kind, Light
from storage.ratchet import Keyring, decode
from storage.seal import SealedChunk
from storage.segment_report import Status, verify_segment
from storage.store import Store, StoreSettings
from storage.verdict import Verdict
from storage.verify import verify
from tests.storage.kit import BOOT, CHUNK_NS, INIT, JOURNAL, Device, media_bytes

STATION = StationKey.generate(hybrid=False)
RECORDING = b"R" * 16


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path / "device", STATION)


def settings(**more: Any) -> StoreSettings:
    return StoreSettings([STATION.recipient], **{"reserve_bytes": 0, **more})


def seg(device: Device, number: int) -> Path:
    return device.flash / "segments" / f"{number:010d}.seg"


def media(device: Device, segment: Any, size: int = 9) -> None:
    segment.media(device.clock.stamp(CHUNK_NS), media_bytes(0, 0, size), Flags.KEY)


@pytest.mark.parametrize("cipher", list(Cipher))
def test_a_shift(tmp_path: Path, cipher: Cipher) -> None:
    device = Device(tmp_path, STATION, cipher)
    device.shift()
    report = verify(device.flash, device.identity)
    assert report.verdict is Verdict.AUTHENTIC
    assert {part.opening.cipher for part in report.segments if part.opening} == {cipher}


def test_what_a_segment_tells_while_it_is_open(device: Device) -> None:
    durable: list[SealedChunk] = []
    with device.open(on_durable=durable.append) as store:
        assert (store.identity, store.device) == (device.identity, decode(keyring(device)).device)
        segment = store.begin(device.clock.stamp(), recording=RECORDING, profile="x", init=INIT)
        assert (segment.number, segment.chunks, len(durable)) == (1, 1, 1)
        assert segment.size_bytes == seg(device, 1).stat().st_size
        media(device, segment)
        segment.events(device.clock.stamp(), b"\x80")
        segment.heartbeat(device.clock.stamp())
        store._flash.barrier()
        assert segment.chain == durable[-1].tip.chain
        assert segment.size_bytes == seg(device, 1).stat().st_size
        segment.close("stop", device.clock.stamp())
        assert store.queued_bytes == 0
        assert (store.previous.segment, store.previous.chunks) == (1, 5)
        assert store.previous.tip == durable[-1].tip
        assert (segment.chunks, segment.chain) == (0, bytes(32))
    assert [chunk.kind for chunk in durable] == [
        Kind.OPENING, Kind.MEDIA, Kind.EVENTS, Kind.HEARTBEAT, Kind.CLOSING
    ]  # fmt: skip


def keyring(device: Device) -> bytes:
    return (device.state / "keyring").read_bytes()


def test_modes_of_files_and_folders(device: Device) -> None:
    device.shift(chunks=1)
    modes = {str(path.relative_to(device.base)): path.stat().st_mode & 0o777 for path in device.base.rglob("*")}
    assert modes.pop("state/device.pub") == 0o644
    assert {mode for name, mode in modes.items() if "." not in name} == {0o700, 0o600}
    assert modes["state/keyring"] == 0o600
    assert {mode for name, mode in modes.items() if name.endswith(".seg")} == {0o600}
    assert {modes[name] for name in ("flash", "flash/segments", "flash/torn", "state")} == {0o700}


def test_one_segment_at_a_time(device: Device) -> None:
    with device.open() as store:
        segment = store.begin(device.clock.stamp())
        with pytest.raises(StoreError, match="a segment is open: close it first"):
            store.begin(device.clock.stamp())
        segment.close("power-off", device.clock.stamp())
        with pytest.raises(StoreError, match="segment 1 is not open"):
            segment.heartbeat(device.clock.stamp())
        with pytest.raises(StoreError, match="segment 1 is not open"):
            segment.close("stop", device.clock.stamp())
        with pytest.raises(StoreError, match="that segment is not the open one"):
            store.ended(segment, store.previous)


def test_a_reason_that_is_none_harms_nothing(device: Device) -> None:
    with device.open() as store:
        segment = store.begin(device.clock.stamp())
        with pytest.raises(FormatError, match="not a reason"):
            segment.close("bored", device.clock.stamp())
        segment.close("power-off", device.clock.stamp())
    assert verify(device.flash, device.identity).verdict is Verdict.AUTHENTIC


def test_a_chunk_too_large_harms_nothing(device: Device) -> None:
    with device.open() as store:
        segment = store.begin(device.clock.stamp(), recording=RECORDING, profile="x", init=INIT)
        with pytest.raises(FormatError, match="larger than the format allows"):
            segment.media(device.clock.stamp(1), bytes(MAX_BODY_BYTES), Flags.KEY)
        media(device, segment)
        segment.close("stop", device.clock.stamp())
        device.journal(store, "power-off")
    assert verify(device.flash, device.identity).verdict is Verdict.AUTHENTIC


def test_a_full_segment_still_takes_its_closing(device: Device) -> None:
    with device.open() as store:
        segment = store.begin(device.clock.stamp())
        sealer = segment._sealer
        assert sealer is not None
        sealer._chunks = MAX_CHUNKS - 1
        with pytest.raises(StoreError, match="segment 1 is full: close it and open the next"):
            segment.heartbeat(device.clock.stamp())
        closing = sealer.encrypt(Kind.CLOSING, device.clock.stamp(), b"")
        assert closing.number == MAX_CHUNKS - 1
        sealer.sign(closing)
        with pytest.raises(StoreError, match="segment 1 is closed"):
            sealer.encrypt(Kind.HEARTBEAT, device.clock.stamp(), b"")
        with pytest.raises(StoreError, match="segment 1 is closed"):
            sealer.sign(closing)


def test_nobody_to_seal_to(device: Device) -> None:
    with pytest.raises(StoreError, match="no recipient to seal to"):
        Store(device.flash, device.state, StoreSettings([]), BOOT)
    assert not device.flash.exists()


def test_several_recipients_can_each_open(device: Device, tmp_path: Path) -> None:
    others = [StationKey.generate(), StationKey.generate(hybrid=False)]
    several = StoreSettings([STATION.recipient, *(key.recipient for key in others)], reserve_bytes=0)
    with Store(device.flash, device.state, several, BOOT) as store:
        store.begin(device.clock.stamp()).close("power-off", device.clock.stamp())
    opening = verify_segment(seg(device, 1), device.identity).opening
    assert opening is not None
    assert [item.recipient for item in opening.envelopes] == [item.id for item in several.recipients]


# --- Enrolment and the keyring ----------------------------------------------------------------------------------------


def test_not_enrolled(tmp_path: Path) -> None:
    with pytest.raises(EnrolmentError, match=r"not enrolled: no keyring at .*/keyring; enrol it first"):
        Store(tmp_path / "flash", tmp_path / "state", settings(), BOOT)


@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "text", "seed"])
def test_a_damaged_keyring_is_said_and_signs_nothing(device: Device, damage: str) -> None:
    whole = keyring(device)
    seed = decode(whole).seeds[1]
    data = {
        "cut": whole[:-1], "bit": whole[:60] + bytes([whole[60] ^ 1]) + whole[61:], "empty": b"", "text": b"hello",
        "seed": whole.replace(seed, bytes([seed[0] ^ 1]) + seed[1:]),
    }[damage]  # fmt: skip
    (device.state / "keyring").write_bytes(data)
    with pytest.raises(EnrolmentError, match=r"the keyring .* is damaged \(.*\); enrol the device anew") as raised:
        device.open()
    assert not list((device.flash / "segments").iterdir())
    assert seed.hex() not in repr(raised.value)
    device.flash.rename(device.base / "was")  # and the lock is free again
    (device.state / "keyring").write_bytes(whole)
    device.open().close()


def test_a_keyring_that_cannot_be_read(device: Device) -> None:
    (device.state / "keyring").unlink()
    (device.state / "keyring").mkdir()
    with pytest.raises(EnrolmentError, match=r"cannot read the keyring .*: Is a directory"):
        device.open()


def test_the_keyring_is_read_once_the_store_is_locked(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recorder that starts while another is ending must not keep the keyring of before the other's last save."""
    first = device.open()
    load = KeyringFile.load

    def late(file: KeyringFile) -> Keyring:
        pytest.fail("the keyring was read before the lock was had")

    monkeypatch.setattr(KeyringFile, "load", late)
    with pytest.raises(StoreError, match="in use by another recorder"):
        device.open()
    monkeypatch.setattr(KeyringFile, "load", load)
    first.close()
    device.open().close()


# --- The lock ---------------------------------------------------------------------------------------------------------


def test_a_second_recorder_is_locked_out(device: Device) -> None:
    with device.open():
        with pytest.raises(StoreError, match="in use by another recorder: stop that one first"):
            device.open()
        code = (
            "import sys; from pathlib import Path; from storage.store import Store, StoreSettings;"
            "from storage.keyfiles import load_recipient\n"
            "flash, state, key = map(Path, sys.argv[1:])\n"
            "try: Store(flash, state, StoreSettings([load_recipient(key)]), bytes(16))\n"
            "except Exception as error: print(type(error).__name__, error)"
        )
        (device.base / "station.pub").write_bytes(encode_recipient(STATION.recipient))
        arguments = [device.flash, device.state, device.base / "station.pub"]
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, timeout=60
        )
        assert done.stdout.startswith("StoreError the store ")
        assert done.stdout.endswith("stop that one first\n")
    device.open().close()


def test_a_store_that_cannot_be_opened_lets_go_of_the_lock(device: Device) -> None:
    seg(device, 1).parent.mkdir(parents=True)
    (device.flash / "torn").mkdir()
    seg(device, 1).mkdir()
    for _ in range(2):
        with pytest.raises(StoreFailedError, match=r"cannot recover the store"):
            device.open()
    seg(device, 1).rmdir()
    device.open().close()


def test_something_else_where_the_store_should_be(device: Device) -> None:
    device.flash.write_text("a file")
    with pytest.raises(StoreFailedError, match=r"cannot use .* as a store: "):
        device.open()


def test_a_store_is_closed_once_and_for_all(device: Device) -> None:
    store = device.open()
    segment = store.begin(device.clock.stamp())
    store.close()
    store.close()
    with pytest.raises(StoreError):
        segment.heartbeat(device.clock.stamp())
    assert verify_segment(seg(device, 1), device.identity).status is Status.CUT
    assert not [thread.name for thread in threading.enumerate() if thread.name in ("chain", "flash")]


def test_a_writer_that_hangs_keeps_its_file_and_the_lock(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its descriptor might otherwise be another file's by the time it goes on."""
    hold, held, sync = threading.Event(), threading.Event(), os.fdatasync

    def stall(fd: int) -> None:
        held.set()
        assert hold.wait(20)
        sync(fd)

    store = Store(device.flash, device.state, settings(wait_s=0.05), BOOT)
    segment = store.begin(device.clock.stamp())
    monkeypatch.setattr("storage.flash.os.fdatasync", stall)
    segment.heartbeat(device.clock.stamp())
    assert held.wait(20)
    store.close()
    os.fstat(segment._fd)
    with pytest.raises(StoreError, match="in use by another recorder"):
        device.open()
    hold.set()
    while store._lock >= 0:
        store.close()
    with device.open() as again:
        assert again.recovery.previous.chunks == 2


def test_an_opening_that_hangs_keeps_its_file(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    hold, sync, hung = threading.Event(), os.fdatasync, set[int]()

    def stall(fd: int) -> None:
        hung.add(fd)
        assert hold.wait(20)
        sync(fd)

    monkeypatch.setattr("storage.flash.os.fdatasync", stall)
    store = Store(device.flash, device.state, settings(wait_s=0.05), BOOT)
    with pytest.raises(StoreFailedError, match="has not finished its writes"):
        store.begin(device.clock.stamp())
    (fd,) = hung
    assert os.fstat(fd).st_ino == seg(device, 1).stat().st_ino
    with pytest.raises(StoreError, match="a segment is open"):
        store.begin(device.clock.stamp())
    hold.set()
    while store._lock >= 0:
        store.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
    with device.open() as again:
        assert (again.recovery.how, again.recovery.previous.segment) == ("cut", 1)


def test_a_closed_store_opens_nothing(device: Device) -> None:
    """Another recorder may have the lock by now."""
    store = device.open()
    store.close()
    before = keyring(device)
    with pytest.raises(StoreError, match=r"the store .*/flash is closed"):
        store.begin(device.clock.stamp())
    assert list((device.flash / "segments").iterdir()) == []
    assert keyring(device) == before


# --- Room -------------------------------------------------------------------------------------------------------------


def test_media_is_refused_where_the_journal_is_not(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    free = 10_000

    def statvfs(path: object) -> os.statvfs_result:
        return os.statvfs_result((1, 1, free, free, free, 0, 0, 0, 0, 255))

    device.reserve_bytes = 5_000
    with device.open() as store:
        monkeypatch.setattr("storage.store.os.statvfs", statvfs)
        assert store.free_bytes() == 5_000
        segment = device.part(store, RECORDING, 0, 2, 2_000)
        with pytest.raises(StoreFullError, match="is full: nothing is overwritten; offload the device"):
            media(device, segment, 5_001)
        media(device, segment, 5_000)
        free = 4_000
        assert store.free_bytes() == 0
        with pytest.raises(StoreFullError):
            media(device, segment, 1)
        segment.events(device.clock.stamp(), b"\x80")
        segment.close("full", device.clock.stamp())
        with pytest.raises(StoreFullError):
            store.begin(device.clock.stamp(), recording=RECORDING, part=1, profile="x", init=INIT)
        device.journal(store, "low-power")
    assert verify(device.flash, device.identity).verdict is Verdict.AUTHENTIC


def test_a_medium_that_does_not_answer(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    def statvfs(path: object) -> os.statvfs_result:
        raise OSError(errno.EIO, "Input/output error")

    with device.open() as store:
        monkeypatch.setattr("storage.store.os.statvfs", statvfs)
        with pytest.raises(StoreFailedError, match="the medium does not answer"):
            store.free_bytes()


@pytest.fixture
def small_medium(tmp_path: Path) -> Any:
    """A file system of 256 KiB, where one can be had."""
    folder = tmp_path / "medium"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], capture_output=True, check=False, timeout=30
    )
    if done.returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True, timeout=30)


def test_a_medium_that_fills_up(small_medium: Path) -> None:
    device = Device(small_medium, STATION, reserve_bytes=64 * 1024)
    with device.open() as store:
        device.journal(store)
        segment = store.begin(device.clock.stamp(), recording=RECORDING, profile="x", init=INIT)
        written: list[int] = []

        def fill() -> None:
            for number in range(1000):
                media(device, segment, 5_000)
                store._flash.barrier()
                written.append(number)

        with pytest.raises(StoreFullError, match="is full: nothing is overwritten"):
            fill()
        assert len(written) > 10
        segment.close("full", device.clock.stamp())
        device.journal(store, "low-power")
    report = verify(device.flash, device.identity)
    assert (report.verdict, report.recordings[0].reason) == (Verdict.AUTHENTIC, "full")
    assert report.recordings[0].media.chunks == len(written)


def test_a_medium_that_is_full_beyond_the_reserve(small_medium: Path) -> None:
    """Somebody else filled it: what was reported durable stays sound, the torn rest is set aside."""
    device = Device(small_medium, STATION)
    durable: list[int] = []
    with device.open(on_durable=lambda chunk: durable.append(chunk.number)) as store:
        segment = store.begin(device.clock.stamp(), recording=RECORDING, profile="x", init=INIT)

        def fill() -> None:
            for _ in range(1000):
                segment.events(device.clock.stamp(), bytes(3_000))
                store._flash.barrier()

        with pytest.raises(StoreFullError, match="no room is left on the medium; offload the device"):
            fill()
        with pytest.raises(StoreFullError):
            segment.close("full", device.clock.stamp())
    sound = verify_segment(seg(device, 1), device.identity)
    assert durable == list(range(len(durable)))
    assert sound.sound_chunks >= len(durable) > 5
    assert sound.status is Status.CUT


@pytest.mark.parametrize("taken", [0, 1, 50, 150, 400, 1_000])
def test_no_room_in_the_middle_of_a_chunk(device: Device, monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
    """What had been written is set aside, and with room again the next segment follows."""
    durable: list[int] = []
    with device.open(on_durable=lambda chunk: durable.append(chunk.number)) as store:
        segment = device.part(store, RECORDING, 0, 3, 1_000)
        store._flash.barrier()
        end = segment.size_bytes + taken

        def full(fd: int, buffers: list[memoryview]) -> int:
            left = end - os.fstat(fd).st_size
            if left <= 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return os.write(fd, b"".join(buffers)[:left])

        with monkeypatch.context() as patch:
            patch.setattr("storage.durable.os.writev", full)
            segment.events(device.clock.stamp(), bytes(1_000))
            with pytest.raises(StoreFullError, match="no room is left on the medium; offload the device"):
                segment.close("full", device.clock.stamp())
    assert durable == [0, 1, 2, 3]
    with device.open() as store:
        assert (store.recovery.previous.chunks, store.recovery.torn_bytes) == (4, taken)
        device.journal(store, "low-power")
    report = verify(device.flash, device.identity)
    assert (report.verdict, report.missing_segments) == (Verdict.MISSING_PARTS, ())
    assert [part.status for part in report.segments] == [Status.CUT, Status.CLOSED]


def test_a_segment_filled_to_its_last_chunk(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.seal.MAX_CHUNKS", 5)
    with device.open() as store:
        segment = store.begin(device.clock.stamp())
        for _ in range(3):
            segment.heartbeat(device.clock.stamp())
        with pytest.raises(StoreError, match="segment 1 is full: close it and open the next"):
            segment.heartbeat(device.clock.stamp())
        segment.close("power-off", device.clock.stamp())
        assert store.previous.chunks == 5
    assert verify(device.flash, device.identity).verdict is Verdict.AUTHENTIC


# --- A disk that refuses while a segment is opened --------------------------------------------------------------------


def refusing(nth: int, number: int = errno.EIO) -> Callable[..., Any]:
    """Return a wrapper for a call that fails at its nth use."""

    def wrap(call: Callable[..., Any]) -> Callable[..., Any]:
        uses = iter(range(1, 10_000))

        def stand_in(*args: Any, **more: Any) -> Any:
            if next(uses) == nth:
                raise OSError(number, os.strerror(number))
            return call(*args, **more)

        return stand_in

    return wrap


@pytest.mark.parametrize("name", ["fsync", "fdatasync", "open", "writev"])
@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_a_refusal_while_opening_leaves_a_store_that_goes_on(device: Device, name: str, nth: int) -> None:
    with device.open() as store:
        device.journal(store)
    failed = False
    with pytest.MonkeyPatch.context() as patch, device.open() as store:
        patch.setattr(os, name, refusing(nth)(getattr(os, name)))
        try:
            store.begin(device.clock.stamp())
        except StoreError:
            failed = True
    assert failed or nth > 2
    with device.open() as store:
        number = store.begin(device.clock.stamp()).number
        assert number in (2, 3)
    report = verify(device.flash, device.identity)
    assert report.verdict is Verdict.MISSING_PARTS
    assert report.missing_segments == ()
    assert {item.status for item in report.segments} <= {Status.CLOSED, Status.CUT}
    assert all(position > number for position in decode(keyring(device)).seeds)


def test_a_file_already_there_is_not_written_over(device: Device) -> None:
    with device.open() as store:
        seg(device, 1).write_bytes(b"evidence")
        with pytest.raises(StoreFailedError, match=r"cannot create .*0000000001.seg: File exists"):
            store.begin(device.clock.stamp())
    assert seg(device, 1).read_bytes() == b"evidence"


def test_replacing_a_file_keeps_the_old_one_if_the_disk_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    replace_file(path, b"old", mode=0o640)
    assert path.stat().st_mode & 0o777 == 0o640
    for name in ("open", "writev", "fsync"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, refusing(1)(getattr(os, name)))
            with pytest.raises(OSError, match="Input/output error"):
                replace_file(path, b"new")
        assert path.read_bytes() == b"old"
    replace_file(path, b"new", erase_old=True)
    assert path.read_bytes() == b"new"
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


def test_a_keyring_that_cannot_be_saved(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    with device.open() as store:
        device.journal(store)
        monkeypatch.setattr("storage.keyring_file.replace_file", refusing(1, errno.ENOSPC)(replace_file))
        with pytest.raises(StoreFailedError, match=r"cannot write the keyring .*: No space left on device"):
            store.begin(device.clock.stamp())  # segment 2 certifies 3: saved before anything is opened
        assert not seg(device, 2).exists()
        device.journal(store, "power-off")  # and once there is room again it goes on
    assert verify(device.flash, device.identity).verdict is Verdict.AUTHENTIC


def test_journals_are_dark_and_without_a_recording(device: Device) -> None:
    with device.open() as store:
        store.begin(device.clock.stamp(commanded=Light.DARK)).close("power-off", device.clock.stamp())
    first = verify_segment(seg(device, 1), device.identity).first
    assert first is not None
    assert (first.place.recording, first.stamp.commanded) == (JOURNAL, Light.DARK)
