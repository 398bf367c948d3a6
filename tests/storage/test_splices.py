"""Segments put where they do not belong, or signed by others: never authentic, and never mixed with what is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from station.keys import StationKey
from storage.chain import genesis
from storage.keyfiles import device_id
from storage.keypath import Certificate
from storage.layout import HEADER_BYTES, SIGNATURE_BYTES, Flags, Kind, parse_header
from storage.particulars import Previous, parse_opening
from storage.ratchet import Keyring, decode
from storage.segment_report import Status, verify_segment
from storage.signer import MemorySigner
from storage.verdict import Verdict
from storage.verify import verify
from tests.storage.forge import Thief, change_opening, own_path, resign, split, stand
from tests.storage.kit import Device, media_bytes

STATION = StationKey.generate(hybrid=False)


def make(base: Path) -> Device:
    """Segments 1 journal, 2 and 3 recording R, 4 journal, 5 and 6 recording S, 7 journal for power-off."""
    device = Device(base, STATION)
    with device.open() as store:
        device.journal(store)
        device.record(store, b"R" * 16, chunks=3, size=9)
        device.journal(store)
        device.record(store, b"S" * 16, chunks=3, size=9)
        device.journal(store, "power-off")
    return device


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Device:
    return make(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Device:
    return make(tmp_path_factory.mktemp("other"))


@pytest.fixture
def device(made: Device, tmp_path: Path) -> Device:
    """A copy to alter."""
    shutil.copytree(made.base, tmp_path / "copy")
    copy = object.__new__(Device)
    copy.__dict__.update(made.__dict__, base=tmp_path / "copy")
    return copy


def seg(device: Device, number: int) -> Path:
    return device.flash / "segments" / f"{number:010d}.seg"


def verdicts(device: Device) -> tuple[Verdict, list[Verdict]]:
    report = verify(device.flash, device.identity, workers=1)
    return report.verdict, [item.verdict for item in report.recordings]


def test_as_made(device: Device) -> None:
    assert verdicts(device) == (Verdict.AUTHENTIC, [Verdict.AUTHENTIC] * 2)


def test_a_segment_of_another_device(device: Device, other: Device) -> None:
    shutil.copy(seg(other, 3), seg(device, 3))
    verdict, recordings = verdicts(device)
    assert verdict is Verdict.NOT_AUTHENTIC
    assert recordings == [Verdict.MISSING_PARTS, Verdict.AUTHENTIC]
    report = verify_segment(seg(device, 3), device.identity)
    assert (report.status, report.sound_chunks) == (Status.BROKEN, 0)
    assert device_id(other.identity).hex() in str(report.error)


def test_another_device_key_verifies_nothing(device: Device, other: Device) -> None:
    report = verify(device.flash, other.identity)
    assert (report.verdict, report.recordings) == (Verdict.NOT_AUTHENTIC, ())


@pytest.mark.parametrize(("taken", "put"), [(5, 2), (2, 5), (6, 3), (4, 1), (7, 4), (1, 7)])
def test_a_segment_of_another_place(device: Device, taken: int, put: int) -> None:
    """In a file of another name it stays the segment that it is: one is there twice, one is missing."""
    shutil.copy(seg(device, taken), seg(device, put))
    report = verify(device.flash, device.identity)
    assert report.verdict is Verdict.MISSING_PARTS
    assert any("there twice, the same" in item.text for item in report.findings)
    assert report.missing_segments == (((put, put),) if put < 7 else ())


@pytest.mark.parametrize("number", [1, 2, 3, 4])
@pytest.mark.parametrize("field", ["segment", "recording", "device"])
def test_a_segment_that_names_another_place(device: Device, number: int, field: str) -> None:
    """The header's place is altered in every chunk, as a thief would who has no key."""
    at, value = {"segment": (16, b"\0" * 7 + b"\5"), "recording": (40, b"S" * 16), "device": (24, b"D" * 16)}[field]
    records = split(seg(device, number).read_bytes())
    seg(device, number).write_bytes(b"".join(item[:at] + value + item[at + len(value) :] for item in records))
    report = verify_segment(seg(device, number), device.identity)
    assert (report.status, report.sound_chunks) == (Status.BROKEN, 0)
    assert verdicts(device)[0] is Verdict.NOT_AUTHENTIC


@pytest.mark.parametrize("chunk", [1, 2, 3])
@pytest.mark.parametrize("source", ["same device", "other device"])
def test_a_chunk_of_another_segment(device: Device, other: Device, chunk: int, source: str) -> None:
    """With its header made to fit; the body alone; the body and the signature."""
    records = split(seg(device, 2).read_bytes())
    foreign = split((seg(other, 2) if source == "other device" else seg(device, 5)).read_bytes())[chunk]
    start = HEADER_BYTES + parse_header(foreign).particulars_bytes
    end = len(foreign) - SIGNATURE_BYTES
    fitted = foreign[:16] + records[chunk][16:72] + foreign[72:]
    body = records[chunk][:start] + foreign[start:end] + records[chunk][end:]
    both = records[chunk][:start] + foreign[start:]
    for altered in (foreign, fitted, body, both):
        seg(device, 2).write_bytes(b"".join([*records[:chunk], altered, *records[chunk + 1 :]]))
        report = verify_segment(seg(device, 2), device.identity)
        assert (report.status, report.sound_chunks) == (Status.BROKEN, chunk)


def test_an_older_copy_of_the_same_segment(tmp_path: Path) -> None:
    """A segment as it stood while it was open, put back over the whole one."""
    device = Device(tmp_path, STATION)
    with device.open() as store:
        device.journal(store)
        segment = device.part(store, b"R" * 16, 0, 2, 9)
        store._flash.barrier()
        older = seg(device, 2).read_bytes()
        segment.media(device.clock.stamp(1), media_bytes(0, 2, 9), Flags.KEY)
        segment.close("stop", device.clock.stamp())
        device.journal(store, "power-off")
    assert verdicts(device) == (Verdict.AUTHENTIC, [Verdict.AUTHENTIC])
    whole = seg(device, 2).read_bytes()
    seg(device, 2).write_bytes(older)
    report = verify(device.flash, device.identity)
    assert (report.verdict, report.recordings[0].status) == (Verdict.MISSING_PARTS, "cut")
    assert any("the last 2 chunks of segment 2 are missing" in item.text for item in report.findings)
    # Beside the whole one it is a fork: which of the two the device stood by does not show.
    seg(device, 2).write_bytes(whole)
    (device.flash / "segments" / "older.seg").write_bytes(older)
    report = verify(device.flash, device.identity)
    assert report.verdict is Verdict.NOT_AUTHENTIC
    assert report.recordings[0].segments[0].sound_chunks == 5


def test_signed_anew_with_a_key_of_ones_own(device: Device) -> None:
    data = seg(device, 2).read_bytes()
    seg(device, 2).write_bytes(resign(data, MemorySigner.generate()))
    report = verify_segment(seg(device, 2), device.identity)
    assert (report.status, report.sound_chunks) == (Status.BROKEN, 0)


@pytest.mark.parametrize("number", [2, 3, 6])
def test_signed_anew_with_a_path_of_ones_own(device: Device, number: int) -> None:
    data = seg(device, number).read_bytes()
    opening = parse_opening(data[HEADER_BYTES : HEADER_BYTES + parse_header(data).particulars_bytes])
    known = {step.position: step for step in opening.path}
    id_bytes = device_id(device.identity)
    # The identity's certificates kept as far as they go, and none of them; steps left out; steps of another place.
    for kept in ({}, {key: known[key] for key in list(known)[:-1]}):
        path, signer = own_path(number, id_bytes, kept)
        seg(device, number).write_bytes(change_opening(data, signer, path=tuple(path)))
        report = verify_segment(seg(device, number), device.identity)
        assert (report.status, report.sound_chunks) == (Status.BROKEN, 0)
        assert "is not signed by the key at position" in str(report.error)
    path, signer = own_path(number, id_bytes, {})
    for wrong in (path[:-1], [*path, path[-1]], path[1:], [], [Certificate(0, device.identity, bytes(64)), *path]):
        seg(device, number).write_bytes(change_opening(data, signer, path=tuple(wrong)))
        assert "does not lead there" in str(verify_segment(seg(device, number), device.identity).error)


def test_the_attackers_own_device_in_the_victims_name(device: Device, other: Device) -> None:
    """A key path that is good, from another identity, under this device's id."""
    foreign = decode((other.state / "keyring").read_bytes())
    thief = Thief(Keyring(device.identity, foreign.seeds, foreign.certificates), STATION.recipient)
    seg(device, 8).write_bytes(thief.segment(stand(seg(device, 7), device.identity)))
    assert verdicts(device)[0] is Verdict.NOT_AUTHENTIC
    assert verify_segment(seg(device, 8), device.identity).sound_chunks == 0


def test_with_the_stolen_keyring_one_may_append(device: Device) -> None:
    thief = Thief(decode((device.state / "keyring").read_bytes()), STATION.recipient)
    previous = stand(seg(device, 7), device.identity)
    seg(device, 8).write_bytes(thief.segment(previous))
    assert verdicts(device) == (Verdict.AUTHENTIC, [Verdict.AUTHENTIC] * 2)


@pytest.mark.parametrize("wrong", ["chain", "signature", "chunks", "segment"])
def test_what_is_appended_must_chain(device: Device, wrong: str) -> None:
    thief = Thief(decode((device.state / "keyring").read_bytes()), STATION.recipient)
    previous = stand(seg(device, 7), device.identity)
    altered = {
        "chain": Previous(7, previous.chunks, previous.tip._replace(chain=bytes(32))),
        "signature": Previous(7, previous.chunks, previous.tip._replace(signature=b"x" * 64)),
        "chunks": Previous(7, previous.chunks - 1, previous.tip),
        "segment": stand(seg(device, 6), device.identity),
    }[wrong]
    if wrong == "segment":  # after 6, in 7's place: 7's key is erased
        with pytest.raises(Exception, match="the signing key of segment 7 is not in the keyring"):
            thief.segment(altered)
        return
    seg(device, 8).write_bytes(thief.segment(altered))
    report = verify(device.flash, device.identity)
    assert report.verdict is Verdict.NOT_AUTHENTIC
    assert any("segment 8 does not follow segment 7" in item.text for item in report.findings)


def test_a_cut_end_continued_by_a_thief_is_told_by_what_is_known_elsewhere(device: Device) -> None:
    """The page says so: the end can be cut and continued. The stolen key is that of the position after the end."""
    thief = Thief(decode((device.state / "keyring").read_bytes()), STATION.recipient)
    records = split(seg(device, 7).read_bytes())
    seg(device, 7).write_bytes(b"".join(records[:-1]))
    assert verdicts(device)[0] is Verdict.MISSING_PARTS
    seg(device, 8).write_bytes(thief.segment(stand(seg(device, 7), device.identity)))
    assert verdicts(device)[0] is Verdict.MISSING_PARTS  # segment 7 stays cut for ever


def test_events_in_a_stolen_journal_are_no_media(device: Device) -> None:
    thief = Thief(decode((device.state / "keyring").read_bytes()), STATION.recipient)
    previous = stand(seg(device, 7), device.identity)
    seg(device, 8).write_bytes(thief.segment(previous, items=[(Kind.MEDIA, b"m", Flags.KEY, b"")]))
    report = verify_segment(seg(device, 8), device.identity)
    assert (report.status, report.sound_chunks) == (Status.BROKEN, 1)


def test_a_second_genesis(device: Device, tmp_path: Path) -> None:
    """Segment 1 that names something before it."""
    fresh = Device(tmp_path / "fresh", STATION)
    thief = Thief(decode((fresh.state / "keyring").read_bytes()), STATION.recipient)
    good = thief.segment(Previous(0, 0, genesis(fresh.identity)))
    (tmp_path / "one.seg").write_bytes(good)
    assert verify(tmp_path / "one.seg", fresh.identity).verdict is Verdict.AUTHENTIC
    wrong = stand(seg(device, 7), device.identity)
    (tmp_path / "one.seg").write_bytes(thief.segment(Previous(0, 0, wrong.tip)))
    report = verify(tmp_path / "one.seg", fresh.identity)
    assert report.verdict is Verdict.NOT_AUTHENTIC
    assert report.findings[0].text == "segment 1 does not follow the device's genesis"


@pytest.mark.parametrize("less", [0, 1, 2])
def test_after_a_cut_the_next_cannot_know_of_less(device: Device, less: int) -> None:
    """It may name chunks that are gone, but not another end than the one that is there."""
    thief = Thief(decode((device.state / "keyring").read_bytes()), STATION.recipient)
    records = split(seg(device, 7).read_bytes())
    seg(device, 7).write_bytes(b"".join(records[:-1]))
    there = stand(seg(device, 7), device.identity)
    named = Previous(7, there.chunks - less, there.tip._replace(chain=bytes(32)))
    seg(device, 8).write_bytes(thief.segment(named))
    report = verify(device.flash, device.identity)
    assert report.verdict is Verdict.NOT_AUTHENTIC
    assert any("segment 8 does not follow segment 7" in item.text for item in report.findings)
