"""Whoever takes the flash and the keyring, at any moment, can sign nothing that was opened before, and open nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from station.keys import StationKey
from station.opener import FileKeyOpener
from storage import durable
from storage.envelope import envelope_info
from storage.errors import EnrolmentError, FormatError
from storage.keypath import Certificate, ancestry, check_path, statement
from storage.layout import Flags
from storage.particulars import Previous
from storage.ratchet import decode
from storage.segment_report import verify_segment
from storage.signer import MemorySigner
from storage.store import Segment
from storage.verdict import Verdict
from storage.verify import verify
from tests.storage.forge import Thief, change_opening, resign, split, stand
from tests.storage.kit import INIT, Device, media_bytes

STATION = StationKey.generate(hybrid=False)


@dataclass
class Theft:
    """Everything on the device's flash at some moment, and which segment had been opened by then."""

    base: Path
    opened: int
    identity: bytes

    @property
    def files(self) -> list[Path]:
        return [path for path in sorted(self.base.rglob("*")) if path.is_file()]

    def segments(self) -> Iterator[tuple[int, bytes]]:
        for path in self.files:
            if path.suffix == ".seg" and path.stat().st_size:
                yield int(path.stem), path.read_bytes()

    def signers(self) -> dict[int, MemorySigner]:
        """The private keys in the keyring and in whatever is left of others."""
        found: dict[int, bytes] = {}
        for path in self.files:
            if path.name.startswith("keyring"):
                try:
                    found |= decode(path.read_bytes()).seeds
                except FormatError:
                    continue
        return {position: MemorySigner.from_seed(seed) for position, seed in found.items()}


@dataclass
class Watch:
    """Steals from a device as often as asked, and knows every private key that was ever made."""

    device: Device
    folder: Path
    seeds: dict[bytes, bytes]
    opened: int = 0
    count: int = 0

    def steal(self) -> Theft:
        self.count += 1
        base = self.folder / str(self.count)
        shutil.copytree(self.device.base, base)
        return Theft(base, self.opened, self.device.identity)


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watch:
    """A device of which every private key is noted, by its public one, as it is made."""
    seeds: dict[bytes, bytes] = {}
    generate = MemorySigner.generate

    def noted() -> MemorySigner:
        signer = generate()
        seeds[signer.public] = signer.seed
        return signer

    monkeypatch.setattr(MemorySigner, "generate", noted)
    return Watch(Device(tmp_path / "device", STATION), tmp_path / "stolen", seeds)


def live(watch: Watch, steal: Callable[[], None], segments: int = 9) -> None:
    """Journals and recordings in turn, with a theft at every step."""
    device = watch.device
    steal()
    with device.open() as store:
        steal()
        for number in range(1, segments + 1):
            segment: Segment
            if number % 3:
                segment = store.begin(device.clock.stamp(), recording=b"R" * 16, part=number, profile="x", init=INIT)
            else:
                segment = store.begin(device.clock.stamp())
            watch.opened = number
            steal()
            if number % 3:
                segment.media(device.clock.stamp(1), media_bytes(0, number, 20), Flags.KEY)
                store._flash.barrier()
                steal()
            segment.close("rotation" if number % 3 else "power-off", device.clock.stamp())
            steal()
    steal()


def keys_of(data: bytes, identity: bytes, tmp_path: Path) -> tuple[Certificate, ...]:
    copy = tmp_path / "one.seg"
    copy.write_bytes(data)
    report = verify_segment(copy, identity)
    assert report.opening is not None
    return report.opening.path


def test_no_key_that_signed_is_found_anywhere(watch: Watch, tmp_path: Path) -> None:
    thefts: list[Theft] = []
    live(watch, lambda: thefts.append(watch.steal()))
    final = thefts[-1]
    public = {number: keys_of(data, final.identity, tmp_path)[-1].public for number, data in final.segments()}
    assert sorted(public) == list(range(1, 10))
    identity = watch.seeds[watch.device.identity]
    for theft in thefts:
        blob = b"\0".join(path.read_bytes() for path in theft.files)
        assert identity not in blob
        for number in range(1, theft.opened + 1):
            assert watch.seeds[public[number]] not in blob, (theft.base.name, number)
        assert min(theft.signers()) == theft.opened + 1
        # The next key is there, as it must be: the search does find what is there.
        assert any(seed in blob for seed in watch.seeds.values())


def test_no_window_of_the_flash_is_a_key_that_signed(watch: Watch, tmp_path: Path) -> None:
    """Without knowing what to look for: every 32 bytes anywhere, taken as a private key."""
    device = watch.device
    with device.open() as store:
        device.journal(store)
        segment = store.begin(device.clock.stamp())
        theft = watch.steal()
        segment.close("power-off", device.clock.stamp())
    publics = {step.public for _, data in theft.segments() for step in keys_of(data, device.identity, tmp_path)}
    publics.add(device.identity)
    found = 0
    for path in theft.files:
        data = path.read_bytes()
        for at in range(len(data) - 31):
            key = Ed25519PrivateKey.from_private_bytes(data[at : at + 32]).public_key().public_bytes_raw()
            assert key not in publics, (path, at)
            found += key in watch.seeds
    assert found >= 32 - 2  # those of segments to come


def test_no_stolen_key_signs_a_chunk_of_an_opened_segment(watch: Watch, tmp_path: Path) -> None:
    thefts: list[Theft] = []
    live(watch, lambda: thefts.append(watch.steal()), segments=5)
    attempts = 0
    copy = tmp_path / "forged.seg"
    for theft in thefts:
        for number, data in theft.segments():
            assert number <= theft.opened
            # Keys far ahead are all alike; the nearest are the likeliest to be wrong.
            for signer in list(theft.signers().values())[:6]:
                for altered in (resign(data, signer), change_opening(data, signer, part=7)):
                    copy.write_bytes(altered)
                    assert verify_segment(copy, theft.identity).sound_chunks == 0
                    attempts += 1
                records = split(data)
                last = resign(data, signer)[-64:]
                copy.write_bytes(b"".join(records)[:-64] + last)
                assert verify_segment(copy, theft.identity).sound_chunks == len(records) - 1
    assert attempts > 100


def test_no_stolen_key_certifies_a_position_that_was_opened(watch: Watch, tmp_path: Path) -> None:
    thefts: list[Theft] = []
    live(watch, lambda: thefts.append(watch.steal()), segments=6)
    attempts = 0
    for theft in thefts:
        keyring = decode((theft.base / "state" / "keyring").read_bytes())
        known = dict(keyring.certificates)
        for _, data in theft.segments():
            known |= {step.position: step for step in keys_of(data, theft.identity, tmp_path)}
        mine = MemorySigner.generate()
        for position in range(1, theft.opened + 1):
            steps = ancestry(position)
            for parent, signer in theft.signers().items():
                for forged in range(len(steps)):
                    # Steps above the forged one as the device made them; it and those below are the attacker's.
                    path, above = [known[step] for step in steps[:forged] if step in known], signer
                    for step in steps[forged:]:
                        signature = above.sign(statement(keyring.device, step, mine.public))
                        path.append(Certificate(step, mine.public, signature))
                        above = mine
                    with pytest.raises(FormatError):
                        check_path(theft.identity, keyring.device, position, path)
                    attempts += 1
                # A good path to the stolen key, with the wanted position as a further step.
                below = Certificate(
                    position, mine.public, signer.sign(statement(keyring.device, position, mine.public))
                )
                with pytest.raises(FormatError):
                    check_path(theft.identity, keyring.device, position, [*keyring.path(parent), below])
            with pytest.raises(EnrolmentError):
                keyring.signer(position)
    assert attempts > 500


def test_at_every_sync_and_rename_only_the_key_in_use_is_left(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """A theft between any two steps on the disk, leftovers such as keyring.new included."""
    thefts: list[Theft] = []

    def before(call: Callable[..., object]) -> Callable[..., object]:
        def stealing(*args: object, **more: object) -> object:
            thefts.append(watch.steal())
            return call(*args, **more)

        return stealing

    with monkeypatch.context() as patch:
        for name in ("fsync", "fdatasync", "pwrite"):
            patch.setattr(os, name, before(getattr(os, name)))
        patch.setattr(Path, "replace", before(Path.replace))
        live(watch, lambda: None, segments=4)
    leftovers = {path.name for theft in thefts for path in theft.files if path.parent.name == "state"}
    assert leftovers == {"device.pub", "keyring", "keyring.new"}
    final = watch.steal()
    public = {number: verify_segment(path, watch.device.identity).opening for number, path in numbered(final)}
    for theft in thefts:
        blob = b"\0".join(path.read_bytes() for path in theft.files)
        for number in range(1, theft.opened + 1):
            opening = public[number]
            assert opening is not None
            assert watch.seeds[opening.path[-1].public] not in blob, number


def numbered(theft: Theft) -> list[tuple[int, Path]]:
    return [(int(path.stem), path) for path in theft.files if path.suffix == ".seg"]


def test_the_old_keyring_is_overwritten_where_it_lay(watch: Watch) -> None:
    """Not only unlinked: somebody may hold it open, or read the cells."""
    keyring = watch.device.state / "keyring"
    with watch.device.open() as store, keyring.open("rb") as old:
        size = keyring.stat().st_size
        watch.device.journal(store)
        assert old.read() == bytes(size)
        assert keyring.stat().st_ino != os.fstat(old.fileno()).st_ino


def test_what_a_crash_left_of_a_keyring_is_overwritten_too(tmp_path: Path) -> None:
    left = tmp_path / "keyring.new"
    left.write_bytes(b"secret")
    with left.open("rb") as old:
        durable.replace_file(tmp_path / "keyring", b"content", erase_old=True)
        assert old.read() == bytes(6)
    assert not left.exists()


def test_earlier_segments_altered_made_anew_or_removed_are_seen(watch: Watch) -> None:
    device = watch.device
    device.shift(chunks=2, size=9)
    watch.opened = 4
    paths = [device.flash / "segments" / f"{number:010d}.seg" for number in range(1, 5)]
    thief = Thief(decode((device.state / "keyring").read_bytes()), STATION.recipient)
    assert verify(device.flash, device.identity).verdict is Verdict.AUTHENTIC
    for number in (1, 2, 3):
        whole = paths[number - 1].read_bytes()
        paths[number - 1].unlink()
        report = verify(device.flash, device.identity)
        assert (report.verdict, report.missing_segments) == (Verdict.MISSING_PARTS, ((number, number),))
        # Made anew by the device itself, were it asked to: its key is gone.
        with pytest.raises(EnrolmentError, match=f"key of segment {number} is not in the keyring"):
            thief.keyring.prepared(number)
        # Made anew with the next key, named as if it were the old one.
        signer = thief.keyring.signer(5)
        paths[number - 1].write_bytes(change_opening(whole, signer, path=thief.keyring.path(5)))
        assert verify(device.flash, device.identity).verdict is Verdict.NOT_AUTHENTIC
        paths[number - 1].write_bytes(whole)
    # What a thief appends names the segment before it: that one cannot be taken away any more.
    forged = thief.segment(stand(paths[3], device.identity))
    (device.flash / "segments" / "0000000005.seg").write_bytes(forged)
    assert verify(device.flash, device.identity).verdict is Verdict.AUTHENTIC
    paths[3].unlink()
    assert verify(device.flash, device.identity).missing_segments == ((4, 4),)


def test_an_earlier_segment_cut_short_and_continued_is_seen(watch: Watch) -> None:
    """Only the newest can be cut and continued; of an earlier one, what it lacks is named by what came after."""
    device = watch.device
    device.shift(chunks=3, size=9)
    paths = [device.flash / "segments" / f"{number:010d}.seg" for number in range(1, 6)]
    thief = Thief(decode((device.state / "keyring").read_bytes()), STATION.recipient)
    end = stand(paths[3], device.identity)
    whole = [path.read_bytes() for path in paths[:4]]
    for number in (1, 2, 3):
        records = split(whole[number - 1])
        for kept in range(1, len(records)):
            paths[number - 1].write_bytes(b"".join(records[:kept]))
            assert verify(device.flash, device.identity).verdict is Verdict.MISSING_PARTS
            short = stand(paths[number - 1], device.identity)
            # To go on from there takes the key of a segment that was opened.
            with pytest.raises(EnrolmentError, match=f"key of segment {number + 1} is not in the keyring"):
                thief.segment(short)
            # With the nearest key that there is, in the place of all that came after.
            for path in paths[number:4]:
                path.unlink()
            paths[4].write_bytes(thief.segment(Previous(4, short.chunks, short.tip)))
            report = verify(device.flash, device.identity)
            assert report.missing_segments == ((number + 1, 4),)
            assert report.verdict is Verdict.MISSING_PARTS
            # And with all that came after left in its place.
            for path, data in zip(paths[number:4], whole[number:], strict=True):
                path.write_bytes(data)
            assert verify(device.flash, device.identity).verdict is Verdict.NOT_AUTHENTIC
            paths[4].unlink()
        paths[number - 1].write_bytes(whole[number - 1])
    paths[4].write_bytes(thief.segment(end))
    assert verify(device.flash, device.identity).verdict is Verdict.AUTHENTIC


@pytest.mark.parametrize("hybrid", [True, False], ids=["hybrid", "x25519"])
def test_nothing_on_the_device_opens_what_it_wrote(tmp_path: Path, hybrid: bool) -> None:
    station = StationKey.generate(hybrid=hybrid)
    device = Device(tmp_path / "device", station)
    device.shift(chunks=3, size=200)
    with device.open() as store:  # a cut one and a torn opening in torn/ as well
        device.part(store, b"C" * 16, 0, 2, 200)
    with (device.flash / "segments" / "0000000005.seg").open("ab") as file:
        file.write(b"torn")
    device.open().close()
    files = [path for path in device.base.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} == {"segments", "torn", "state"}
    blob = b"\0".join(path.read_bytes() for path in files)
    opener, opened = FileKeyOpener(station), 0
    for path in files:
        if path.suffix == ".seg":
            report = verify_segment(path, device.identity)
            assert report.first is not None
            assert report.opening is not None
            opening = report.opening
            info = envelope_info(report.first.place, opening.path[-1].public)
            content_key = opener.unwrap(opening.envelopes[0], info)
            assert len(content_key) == 32
            assert content_key not in blob
            assert content_key.hex().encode() not in blob
            opened += 1
    assert opened == 5
    assert station.x25519.private_bytes_raw() not in blob
    if station.mlkem:
        assert station.mlkem.private_bytes_raw() not in blob
    for plain in (INIT, *(media_bytes(part, number, 200) for part in range(2) for number in range(3))):
        assert plain[:24] not in blob
