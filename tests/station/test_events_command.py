"""``station verify --events``: a store told as a timeline, with and without the unit's key."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from station.errors import OpenError, StationError
from station.event_reader import open_events
from station.keys import StationKey, encode_station_key
from station.opener import FileKeyOpener
from station.outline import Outline, outline
from storage.events import Event, encode_events
from storage.layout import Flags, Light
from storage.segment_report import SegmentReport
from storage.store import Segment, Store, StoreSettings
from storage.verify import verify
from tests.station.kit import Bench, one_clear_line
from tests.storage.forge import Thief, stand
from tests.storage.kit import BOOT, CHUNK_NS, Device

STATION = StationKey.generate(hybrid=False)
ONE, TWO = b"\x11" * 16, b"\x12" * 16
SECOND_BOOT = bytes(reversed(BOOT))
S = 1_000_000_000
SECRETS = ["marker", "private", "purpose", "position", "latitude", "button"]


def write(device: Device, segment: Segment, *events: tuple[str, dict[str, str | int | bool | None]]) -> None:
    """Seal events, half a second after each other."""
    made = []
    for name, details in events:
        made.append(Event(device.clock.now_ns, name, details))
        device.clock.now_ns += S // 2
    segment.events(device.clock.stamp(), encode_events(made))


def beat(device: Device, segment: Segment, times: int, every_s: int = 10) -> None:
    for _ in range(times):
        device.clock.now_ns += every_s * S
        segment.heartbeat(device.clock.stamp(commanded=Light.DARK, sensed=Light.DARK))


def reopened(device: Device, boot: bytes) -> Store:
    return Store(device.flash, device.state, StoreSettings([device.station.recipient], reserve_bytes=0), boot)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Device:
    """Two boots.

    1 journal, 2 3 recording 11.., 4 journal for power-off; an hour later 5 journal, 6 recording 12.., cut.
    """
    device = Device(tmp_path_factory.mktemp("made") / "device", STATION)
    with device.open() as store:
        segment = store.begin(device.clock.stamp())
        write(device, segment, ("boot", {"last_run": "new", "torn_bytes": 0}))
        beat(device, segment, 6)
        write(device, segment, ("button", {"pressed": True}), ("marker", {}))
        segment.close("recording", device.clock.stamp())
        segment = device.part(store, ONE, 0, 6)
        write(device, segment, ("private", {"on": True}), ("position", {"latitude": -12_150_000}), ("x y", {"z": None}))
        segment.close("rotation", device.clock.stamp())
        segment = device.part(store, ONE, 1, 3)
        write(device, segment, ("private", {"on": False}))
        segment.close("stop", device.clock.stamp())
        segment = store.begin(device.clock.stamp())
        write(device, segment, ("purpose", {"purpose": "b"}))
        beat(device, segment, 3)
        segment.close("power-off", device.clock.stamp())
    device.clock.now_ns += 3600 * S
    with reopened(device, SECOND_BOOT) as store:
        segment = store.begin(device.clock.stamp())
        beat(device, segment, 2)
        beat(device, segment, 1, every_s=600)
        segment.close("recording", device.clock.stamp())
        segment = device.part(store, TWO, 0, 2)
        dark = device.clock.stamp(CHUNK_NS, sensed=Light.DARK)
        segment.media(dark, b"in the dark", Flags.SOUND)
    return device


@pytest.fixture
def bench(made: Device, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bench:
    shutil.copytree(made.base, tmp_path / "device")
    bench = Bench(made, tmp_path, capsys)
    device = Device.__new__(Device)  # the copy: enrolled already
    device.base, device.station, device.identity, device.clock = tmp_path / "device", STATION, made.identity, made.clock
    device.cipher, device.reserve_bytes = made.cipher, 0
    bench.device = device
    return bench


CLEAR = f"""\
2026-09-21T14:13:25.000Z                 boot        boot id {BOOT.hex()}, wall clock by NTP ± 20 ms
2026-09-21T14:13:25.000Z      0:01:01.5  ready       segment 1
2026-09-21T14:14:26.500Z      0:00:02.0  recording   {ONE.hex()}, segment 2, light on for 100.0% (sensed 100.0%), \
sound for 100.0%
2026-09-21T14:14:27.166Z                 lost        video for 0.033 s, 1 lost (lost)
2026-09-21T14:14:28.500Z      0:00:01.5  gap         segment 3, no media: unaccounted
2026-09-21T14:14:30.000Z      0:00:01.0  recording   {ONE.hex()}, segment 3, light on for 100.0% (sensed 100.0%), \
sound for 100.0%
2026-09-21T14:14:30.666Z                 lost        video for 0.033 s, 1 lost (lost)
2026-09-21T14:14:31.000Z      0:00:31.0  ready       segments 3 to 4
2026-09-21T14:14:31.500Z                 ended       recording {ONE.hex()}: stop
2026-09-21T14:15:02.000Z     ~1:00:00.0  off         closed for power-off; by the wall clock, NTP ± 20 ms before and \
NTP ± 20 ms after
2026-09-21T15:15:02.000Z                 boot        boot id {SECOND_BOOT.hex()}, wall clock by NTP ± 20 ms
2026-09-21T15:15:02.000Z      0:00:20.0  ready       segment 5
2026-09-21T15:15:22.000Z      0:10:00.0  gap         no chunk for longer than a device that is on leaves between two
2026-09-21T15:25:22.000Z      0:00:01.0  recording   {TWO.hex()}, segment 6, light on for 66.7% (sensed 66.7%), \
sound for 100.0%
2026-09-21T15:25:22.666Z                 light       commanded lit, sensed dark for 0.333 s of footage
2026-09-21T15:25:23.000Z                 stopped     segment 6: no closing chunk: cut after chunk 3
2026-09-21T15:25:23.000Z                 unpowered   segment 6 has no closing: cut, or still open when it was copied
Total, where the device counts as on between two chunks at most 30 s apart:
  ready          0:01:52.5
  recording      0:00:04.0
  off            1:00:00.0
  unpowered      0:00:00.0
  unknown        0:10:01.5  (gap 0:10:01.5)
  and 1 of unknown length, or without an end
5 chunks of events are sealed to the unit: --key opens them
Chain: segment 6 (0000000006.seg): no closing chunk: cut after chunk 3
"""


def test_without_a_key(bench: Bench) -> None:
    answer = bench.verify("--events")
    assert (answer.status, answer.err) == (3, "")
    device = verify(bench.flash, bench.device.identity).device.hex()
    assert answer.out == (
        CLEAR + f"Device {device}: 6 of 6 segments signed by it; the whole store was checked\n"
        "Verdict: authentic with missing parts\n"
    )
    for secret in SECRETS:
        assert secret not in answer.out
        assert secret not in bench.verify("--events", "--json").out


def test_with_the_key(bench: Bench) -> None:
    answer = bench.verify("--events", "--key", bench.key)
    assert (answer.status, answer.err) == (3, "")
    lines = answer.out.splitlines()
    told = [line for line in lines if line[41:46] == "event"]
    assert [line[53:] for line in told] == [
        'boot last_run="new" torn_bytes=0', "button pressed=yes", "marker", "private on=yes",
        "position latitude=-12150000", "x y z=none", "private on=no", 'purpose purpose="b"',
    ]  # fmt: skip
    # Nothing of what is in the clear is lost or changed by it.
    assert [line for line in lines if line in CLEAR.splitlines()] == [
        line for line in CLEAR.splitlines() if "sealed to the unit" not in line
    ]
    at = lines.index(told[1])
    assert lines[at - 1].startswith("2026-09-21T14:13:25.000Z"), "an event stands where it happened"
    assert lines[at].startswith("2026-09-21T14:14:25.500Z")
    assert "8 events in 5 chunks" in lines
    assert (
        f"Private premises of recording {ONE.hex()}: 2026-09-21T14:14:28.500Z to 2026-09-21T14:14:31.000Z, 0:00:02.5, "
        "until the recording ended"
    ) in lines
    assert lines[-5:-3] == [f"Purpose of {ONE.hex()}: b", f"Purpose of {TWO.hex()}: unclassified"]


def test_json(bench: Bench) -> None:
    told = bench.verify("--events", "--json").json
    assert (told["schema"], told["verdict"], told["exit_status"]) == (
        "getuige-timeline/1", "authentic with missing parts", 3
    )  # fmt: skip
    assert (told["scope"], told["ready_within_s"], told["opened"], told["sealed_event_chunks"]) == (
        "store",
        30,
        None,
        5,
    )
    assert told["boots"] == [BOOT.hex(), SECOND_BOOT.hex()]
    assert told["totals_s"] == {
        "ready": 112.5, "recording": pytest.approx(4), "gap": pytest.approx(601.5), "off": 3600, "unpowered": 0,
        "missing": 0, "unknown": 0, "not verified": 0,
    }  # fmt: skip
    spans = [item for item in told["timeline"] if "span" in item]
    assert [item["span"] for item in spans] == [
        "ready", "recording", "gap", "recording", "ready", "off", "ready", "gap", "recording", "unpowered"
    ]  # fmt: skip
    assert spans[0] == {
        "span": "ready",
        "start": {"utc": "2026-09-21T14:13:25.000Z", "boot": 0, "monotonic_ns": 5 * S},
        "end": {"utc": "2026-09-21T14:14:26.500Z", "boot": 0, "monotonic_ns": 66_500_000_000},
        "duration_s": 61.5, "measured_by": "monotonic clock", "segments": [1, 1], "recording": None, "media": None,
        "detail": "", "verified": True,
    }  # fmt: skip
    assert spans[1]["media"] == {
        "chunks": 6,
        "lit_chunks": 6,
        "sensed_lit_chunks": 6,
        "sound_chunks": 6,
        "pre_event_chunks": 0,
    }
    assert (spans[1]["recording"], spans[5]["measured_by"]) == (ONE.hex(), "wall clock")
    assert (spans[-1]["end"], spans[-1]["duration_s"], spans[-1]["measured_by"]) == (None, None, None)
    entries = [item for item in told["timeline"] if "entry" in item]
    assert {item["entry"] for item in entries} == {"boot", "lost", "ended", "light", "stopped"}
    assert told["findings"][0]["segment"] == 6

    told = bench.verify("--events", "--json", "--key", bench.key).json
    events = [item["event"] for item in told["timeline"] if item.get("entry") == "event"]
    assert events[0] == {"name": "boot", "details": {"last_run": "new", "torn_bytes": 0}}
    assert events[4] == {"name": "position", "details": {"latitude": -12_150_000}}
    assert told["opened"]["purposes"] == [
        {"recording": ONE.hex(), "purpose": "b", "verified": True},
        {"recording": TWO.hex(), "purpose": None, "verified": True},
    ]
    (private,) = told["opened"]["private_premises"]
    assert (private["recording"], private["ended_by"], private["verified"]) == (ONE.hex(), "recording", True)
    assert private["duration_s"] == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("harm", "status", "says"),
    [
        (lambda bench: bench.seg(3).unlink(), 3, ["missing     segment 3 is not there"]),
        (lambda bench: bench.seg(1).unlink(), 3, ["missing     segment 1 is not there"]),
        (lambda bench: bench.seg(6).unlink(), 3, ["missing     segment 5 was closed for recording, so another"]),
        (lambda bench: bench.cut(3, 3), 3, ["missing     the last 3 chunks of segment 3", "cut after chunk 2"]),
        (lambda bench: bench.cut(4, 1), 3, ["missing     the last 5 chunks of segment 4"]),
        (
            lambda bench: bench.spoil(4), 1,
            ["unknown     not verified: what follows the sound chunks of segment 4", "nothing is said of the rest"],
        ),
        (lambda bench: bench.seg(3).write_bytes(bytes(500)), 1, ["Chain: 0000000003.seg: no chunk begins here"]),
        (lambda bench: (bench.seg(3).parent / "copy.seg").write_bytes(b""), 1, ["Chain: copy.seg: the file is empty"]),
    ],
    ids=["a part gone", "the first gone", "the last gone", "cut", "a journal cut", "broken", "unsigned", "empty"],
)  # fmt: skip
def test_stores_that_are_not_whole(
    bench: Bench, harm: Callable[[Bench], object], status: int, says: list[str]
) -> None:  # fmt: skip
    harm(bench)
    answer = bench.verify("--events")
    assert (answer.status, answer.err) == (status, "")
    for text in says:
        assert text in answer.out
    plain = bench.verify()
    assert (plain.status, plain.out.splitlines()[-2:]) == (status, answer.out.splitlines()[-2:])
    with_key = bench.verify("--events", "--key", bench.key)
    assert (with_key.status, with_key.err) == (status, "")
    assert bench.verify("--events", "--json").json["exit_status"] == status


def test_a_fork_is_not_verified(bench: Bench) -> None:
    shutil.copy(bench.seg(4), bench.seg(4).with_name("other.seg"))
    bench.cut(4, 3)
    answer = bench.verify("--events", "--key", bench.key)
    assert answer.status == 1
    told = [line for line in answer.out.splitlines() if "not verified: segment 4" in line]
    assert len(told) == 1
    assert "event       not verified: purpose" in answer.out
    assert f"Purpose of {ONE.hex()}: not verified: b" in answer.out


def test_a_segment_put_in_by_a_thief_is_not_verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    device = Device(tmp_path / "device", STATION)
    keyring = device.open()
    thief = Thief(keyring._keyring, STATION.recipient)
    device.journal(keyring, "recording")
    keyring.close()
    bench = Bench(device, tmp_path, capsys)
    previous = stand(bench.seg(1), device.identity)
    other = previous.tip._replace(chain=b"\x00" * 32)
    forged = thief.segment(type(previous)(previous.segment, previous.chunks, other))
    bench.seg(2).write_bytes(forged)
    answer = bench.verify("--events")
    assert answer.status == 1
    assert "not verified: segment 2 does not follow segment 1 as it stands here" in answer.out
    assert answer.out.endswith("Verdict: not authentic\n")


def test_a_file_alone(bench: Bench) -> None:
    answer = bench.verify("--events", "--key", bench.key, path=bench.seg(2))
    assert answer.status == 0
    assert "missing" not in answer.out
    assert "one segment alone" in answer.out
    assert "position latitude=-12150000" in answer.out
    answer = bench.verify("--events", "--key", bench.key, path=bench.seg(6))
    assert "0 events in 0 chunks" in answer.out


def test_another_heartbeat(bench: Bench) -> None:
    out = bench.verify("--events", "--heartbeat", 200).out
    assert "between two chunks at most 600 s apart" in out
    assert "  ready          0:11:52.5" in out
    out = bench.verify("--events", "--heartbeat", 3).out
    assert "at most 9 s apart" in out
    assert bench.verify("--events", "--heartbeat", 0).status == 2


def test_clear_lines(bench: Bench) -> None:
    one_clear_line(bench.verify("--events", "--recording", ONE.hex()), "leave --recording out")
    one_clear_line(bench.verify("--key", bench.key), "say --events too")
    one_clear_line(bench.verify("--heartbeat", 5), "say --events too")
    one_clear_line(bench.verify("--events", path=bench.folder / "nowhere"), "there is no ", "nowhere")
    one_clear_line(bench.verify("--events", "--key", bench.folder / "no.key"), "no.key", "No such file")
    one_clear_line(bench.verify("--events", "--key", bench.device_key), "not a private key")


@pytest.mark.parametrize("hybrid", [False, True])
def test_the_key_of_another_unit(bench: Bench, hybrid: bool) -> None:
    other = bench.folder / "other.key"
    other.write_bytes(encode_station_key(StationKey.generate(hybrid=hybrid)))
    one_clear_line(bench.verify("--events", "--key", other), "segment 1 was not sealed to this station key")


def test_a_store_of_two_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The unit has a new key: what is sealed to the old one is told as such, the rest is read."""
    device = Device(tmp_path / "device", STATION)
    old = StationKey.generate(hybrid=False)
    for key, name in ((old, "before"), (STATION, "after")):
        settings = StoreSettings([key.recipient], reserve_bytes=0)
        with Store(device.flash, device.state, settings, BOOT) as store:
            segment = store.begin(device.clock.stamp())
            write(device, segment, (name, {}))
            segment.close("power-off", device.clock.stamp())
    answer = Bench(device, tmp_path, capsys).verify("--events", "--key", tmp_path / "station.key")
    assert answer.status == 0
    assert "event       not verified: segment 1 was not sealed to this station key" in answer.out
    assert "event       after" in answer.out
    assert "before" not in answer.out


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "the events is not CBOR"), (b"\x81\x01", "an event is not an array"),
        (b"\xa0", "the events is not a CBOR array"),
        (b"\x81" * 500, "the events is not CBOR"),
    ],
)  # fmt: skip
def test_events_that_are_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], body: bytes, says: str
) -> None:  # fmt: skip
    """One bad chunk hides none of the others."""
    device = Device(tmp_path / "device", STATION)
    with device.open() as store:
        segment = store.begin(device.clock.stamp())
        segment.events(device.clock.stamp(), body)
        write(device, segment, ("good", {}))
        segment.close("power-off", device.clock.stamp())
    answer = Bench(device, tmp_path, capsys).verify("--events", "--key", tmp_path / "station.key")
    assert answer.status == 0
    assert f"event       not verified: chunk 1 of segment 1: {says}" in answer.out
    assert "event       good" in answer.out


def test_files_that_change_after_they_were_verified(bench: Bench) -> None:
    outlines: dict[Path, Outline] = {}

    def observe(report: SegmentReport) -> None:
        assert report.chunks
        outlines[report.path] = outline(report.chunks, 30 * S)

    report = verify(bench.flash, bench.device.identity, observe=observe)
    assert not any(item.chunks for item in report.segments)
    assert len(outlines) == 6
    opener = FileKeyOpener(STATION)
    assert [item.segment for item in open_events(report.chain, outlines, opener)] == [1, 1, 2, 3, 4]
    bench.spoil(2, outlines[bench.seg(2)].events[0].offset + 110)
    with pytest.raises(OpenError, match="of segment 2 does not open: its body was changed"):
        open_events(report.chain, outlines, opener)
    bench.seg(2).unlink()
    with pytest.raises(StationError, match=r"cannot read .*0000000002\.seg: No such file"):
        open_events(report.chain, outlines, opener)


def test_hostile_stores_give_a_verdict_or_one_clear_line(bench: Bench) -> None:
    """Each segment spoilt at some of its bytes, and cut at some: never anything but an answer."""
    for number in (1, 2, 4, 6):
        whole = bench.seg(number).read_bytes()
        for offset in range(5, len(whole), len(whole) // 6):
            for data in (whole[:offset], whole[:offset] + bytes([whole[offset] ^ 255]) + whole[offset + 1 :]):
                bench.seg(number).write_bytes(data)
                answer = bench.verify("--events", "--key", bench.key, "--json")
                assert answer.err == ""
                assert answer.status == json.loads(answer.out)["exit_status"]
                assert answer.status in (1, 3)
        bench.seg(number).write_bytes(whole)
