"""What an earlier identity left grows old, and goes: on record first, and only while nothing is recorded."""

from __future__ import annotations

from pathlib import Path

from firmware.recorder import RecorderTimes
from storage.inventory import SEGMENTS
from storage.keyfiles import device_id, encode_device_key
from storage.verdict import Verdict
from storage.verify import verify
from tests.firmware.kit import SECOND, Bench, FakeCapture, read_store
from tests.firmware.test_custodian import DAY, T0, Clock, Rig, record
from tests.storage.kit import Device

BEFORE = "flash.before-00000000"


def former(bench: Bench, tmp_path: Path, name: str = BEFORE, *, known: bool = True) -> tuple[Device, Path]:
    """A shift of an earlier identity, set aside beside the store as enrolment does."""
    device = Device(tmp_path / f"former-{name}")
    device.shift(parts=2, chunks=4)
    root = bench.enrolled.flash.with_name(name)
    device.flash.rename(root)
    if known:
        (root / "device.pub").write_bytes(encode_device_key(device.identity))
    return device, root


def media(root: Path) -> list[int]:
    return sorted(int(path.stem) for path in (root / SEGMENTS).glob("*.seg"))


def test_it_goes_after_its_time_with_a_word_in_the_chain_of_now(tmp_path: Path) -> None:
    with Bench(tmp_path, [FakeCapture()], RecorderTimes(segment_ns=SECOND)) as bench:
        record(bench)
        device, root = former(bench, tmp_path)
        rig = Rig(bench, Clock(now_ns=T0))
        custodian = rig.custodian()
        custodian.look()
        rig.clock.now_ns += 28 * DAY - 2000 * SECOND
        custodian.look()
        custodian.look()
        assert media(root) == [1, 2, 3, 4]
        rig.clock.now_ns += 4000 * SECOND
        custodian.look()
        assert media(root) == [1, 2, 3, 4], "first it is on record"
        custodian.look()
        assert media(root) == [1, 4], "journals hold no footage, and stay"
        assert verify(root, device.identity).verdict is Verdict.MISSING_PARTS
        custodian.look()
        assert rig.told == []
        bench.finish()
        assert bench.verified().verdict is Verdict.AUTHENTIC
        stated = [
            event.details
            for segment in read_store(bench.enrolled.flash, bench.enrolled.station)
            for event in segment.events
            if event.name == "former-destroyed"
        ]
    assert sorted(details["segment"] for details in stated) == [2, 3]  # type: ignore[type-var]
    for details in stated:
        assert details["device"] == device_id(device.identity).hex()
        assert len(str(details["digest"])) == 64
        assert int(str(details["age_s"])) >= 28 * 86_400


def test_its_ages_are_kept_although_nothing_of_now_is_of_those_runs(tmp_path: Path) -> None:
    with Bench(tmp_path, [FakeCapture()], RecorderTimes(segment_ns=SECOND)) as bench:
        record(bench)
        _, root = former(bench, tmp_path)
        rig = Rig(bench, Clock(now_ns=T0), boot=b"a later boot id.")
        custodian = rig.custodian()
        for _ in range(3):
            custodian.look()
            rig.clock.now_ns += 14 * DAY + SECOND
        custodian.look()
        custodian.look()
        assert media(root) == [1, 4]
        bench.finish()


def test_what_cannot_be_told_is_told_and_kept(tmp_path: Path) -> None:
    with Bench(tmp_path, [FakeCapture()], RecorderTimes(segment_ns=SECOND)) as bench:
        record(bench)
        _, unknown = former(bench, tmp_path, "flash.before-unknown", known=False)
        _, damaged = former(bench, tmp_path)
        _, sound = former(bench, tmp_path, "flash.before-z")
        path = damaged / SEGMENTS / "0000000003.seg"
        data = bytearray(path.read_bytes())
        data[-70] ^= 1
        path.write_bytes(data)
        (bench.enrolled.flash.with_name("flash.before-empty")).mkdir()
        rig = Rig(bench, Clock(now_ns=T0))
        custodian = rig.custodian()
        custodian.look()
        assert "flash.before-unknown holds footage of an unknown identity" in rig.told[-1].text
        rig.clock.now_ns += 29 * DAY
        for _ in range(4):
            custodian.look()
        assert media(sound) == [1, 4], "what is wrong with one keeps no other from its time"
        assert media(unknown) == [1, 2, 3, 4]
        assert 3 in media(damaged), "what is not sound is for people to look at"
        assert "0000000003.seg is not d" in rig.told[-1].text
        bench.finish()
