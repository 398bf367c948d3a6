"""Light, sound, time and gaps of a recording, as the chunks say in the clear."""

from __future__ import annotations

from pathlib import Path

import pytest

from station.keys import StationKey
from station.report import recording_as_json, recording_text
from storage.chain_rules import RecordingReport
from storage.layout import Flags, Light
from storage.particulars import Gap
from storage.verify import verify
from tests.storage.kit import INIT, Device

STATION = StationKey.generate(hybrid=False)
SECOND = 1_000_000_000
LIT = (Light.LIT, Light.LIT)


def record(
    base: Path,
    lights: list[tuple[Light, Light]],
    *,
    sound: list[bool] | None = None,
    wait_ns: dict[int, int] | None = None,
    gaps: dict[int, Gap] | None = None,
    last: tuple[Gap, ...] = (),
    held: int = 0,
) -> RecordingReport:
    """Record chunks of a second each; before chunk n pass `wait_ns[n]`, and tell of `gaps[n]`.

    The first `held` of them are of a pre-event buffer.
    """
    device = Device(base, STATION)
    device.clock.now_ns = 0
    with device.open() as store:
        segment = store.begin(device.clock.stamp(), recording=b"R" * 16, profile="x", init=INIT)
        for number, (commanded, sensed) in enumerate(lights):
            device.clock.now_ns += (wait_ns or {}).get(number, 0)
            stamp = device.clock.stamp(SECOND, commanded=commanded, sensed=sensed)
            flags = Flags.SOUND if (sound or [True] * len(lights))[number] else Flags(0)
            flags |= Flags.PRE_EVENT if number < held else Flags(0)
            segment.media(stamp, b"m", flags, (gaps[number],) if gaps and number in gaps else ())
        segment.close("stop", device.clock.stamp(), last)
    return verify(device.flash, device.identity).recordings[0]


@pytest.mark.parametrize(
    ("light", "covered", "sensed"),
    [
        ((Light.LIT, Light.LIT), True, True), ((Light.LIT, Light.UNSENSED), True, False),
        ((Light.LIT, Light.DARK), False, False), ((Light.LIT, Light.PARTLY), False, False),
        ((Light.PARTLY, Light.LIT), False, False), ((Light.PARTLY, Light.UNSENSED), False, False),
        ((Light.DARK, Light.LIT), False, False), ((Light.DARK, Light.DARK), False, False),
        ((Light.DARK, Light.UNSENSED), False, False),
    ],
)  # fmt: skip
def test_what_the_light_covers(tmp_path: Path, light: tuple[Light, Light], covered: bool, sensed: bool) -> None:
    media = record(tmp_path, [light]).media
    assert (media.lit_chunks, media.dark_chunks, media.sensed_chunks) == (covered, not covered, sensed)


def test_the_light_does_not_answer_for_a_pre_event_buffer(tmp_path: Path) -> None:
    recording = record(tmp_path, [(Light.PARTLY, Light.PARTLY)] * 2 + [LIT] * 3 + [(Light.LIT, Light.DARK)], held=2)
    told = recording_as_json(recording)
    assert told["indicator"] == {"lit_chunks": 3, "dark_chunks": 1, "sensed_lit_chunks": 3, "coverage": 0.75}
    assert (told["chunks"], told["pre_event"]) == (6, {"chunks": 2, "duration_s": 2.0})
    text = "\n".join(recording_text(recording))
    assert "light on for 75.0% of chunks after the pre-event buffer, sensed lit for 75.0%" in text
    assert "Its first 2.0 s (2 chunks) were held in memory before the recording was started" in text


def test_nothing_but_a_pre_event_buffer(tmp_path: Path) -> None:
    told = recording_as_json(record(tmp_path, [(Light.PARTLY, Light.PARTLY)] * 2, held=2))
    assert told["indicator"] == {"lit_chunks": 0, "dark_chunks": 0, "sensed_lit_chunks": 0, "coverage": 0.0}


def test_shares_over_a_recording(tmp_path: Path) -> None:
    lights = [LIT, (Light.LIT, Light.DARK), (Light.LIT, Light.UNSENSED), (Light.DARK, Light.DARK)]
    recording = record(tmp_path, lights, sound=[True, False, True, True])
    told = recording_as_json(recording)
    assert told["indicator"] == {"lit_chunks": 2, "dark_chunks": 2, "sensed_lit_chunks": 1, "coverage": 0.5}
    assert told["sound"] == {"chunks": 3, "coverage": 0.75}
    assert (told["chunks"], told["duration_s"]) == (4, 4.0)
    text = "\n".join(recording_text(recording))
    assert "Recording light on for 50.0% of chunks, sensed lit for 25.0%" in text
    assert "Sound in 75.0% of chunks" in text


def test_a_recording_without_media(tmp_path: Path) -> None:
    recording = record(tmp_path, [])
    assert recording.media.chunks == 0
    told = recording_as_json(recording)
    assert (told["started"], told["sound_until"], told["indicator"]["coverage"]) == (None, None, 0.0)
    assert not any("light" in line for line in recording_text(recording))


@pytest.mark.parametrize(
    ("hole_ns", "on_record_ns", "unaccounted"),
    [
        (0, 0, False), (100_000_000, 0, False), (100_000_001, 0, True), (SECOND, SECOND, False),
        (SECOND, SECOND - 100_000_000, False), (SECOND, SECOND - 100_000_001, True), (-SECOND // 2, 0, False),
    ],
)  # fmt: skip
def test_time_that_no_gap_accounts_for(tmp_path: Path, hole_ns: int, on_record_ns: int, unaccounted: bool) -> None:
    """docs/FORMAT.md: more than 100 ms beyond the gaps of the later chunk."""
    told = {2: Gap("video", 2 * SECOND, on_record_ns, 9, "overflow")} if on_record_ns else {}
    recording = record(tmp_path, [LIT] * 4, wait_ns={2: hole_ns}, gaps=told)
    found = [Gap("video", 2 * SECOND, hole_ns, 0, "unaccounted")] if unaccounted else []
    assert list(recording.media.gaps) == [*found, *told.values()]


def test_gaps_of_the_closing_and_their_text(tmp_path: Path) -> None:
    recording = record(
        tmp_path, [LIT] * 2, gaps={1: Gap("audio", SECOND, 5, 1, "overflow")},
        last=(Gap("video", 2 * SECOND, 250_000_000, 7, "camera"),),
    )  # fmt: skip
    assert [gap.cause for gap in recording.media.gaps] == ["overflow", "camera"]
    assert "  Gap: video 0.250 s at 2.000 s, 7 lost (camera)" in list(recording_text(recording))
    assert recording_as_json(recording)["gaps"][1] == {
        "track": "video", "at_s": 2.0, "duration_s": 0.25, "lost": 7, "cause": "camera"
    }  # fmt: skip


def test_many_gaps_are_counted_in_text(tmp_path: Path) -> None:
    gaps = tuple(Gap("audio", number, 5, 1, "overflow") for number in range(25))
    recording = record(tmp_path, [LIT], last=gaps)
    assert "  ... and 5 more gaps" in list(recording_text(recording))
    assert len(recording_as_json(recording)["gaps"]) == 25


def test_parts_add_up(tmp_path: Path) -> None:
    device = Device(tmp_path, STATION)
    with device.open() as store:
        device.record(store, parts=3, chunks=3, size=9)
    (recording,) = verify(device.flash, device.identity).recordings
    media, parts = recording.media, [part.media for part in recording.segments]
    assert (media.chunks, media.lit_chunks, media.sensed_chunks, media.sound_chunks) == (9, 9, 9, 9)
    assert media.duration_ns == sum(part.duration_ns for part in parts) == media.end_ns - media.start_ns
    assert (media.start_ns, media.end_ns) == (parts[0].start_ns, parts[-1].end_ns)
    assert (media.start_utc_ns, media.end_utc_ns) == (parts[0].start_utc_ns, parts[-1].end_utc_ns)
    assert [gap.cause for gap in media.gaps] == ["lost"] * 3


@pytest.mark.parametrize("where", ["closing", "first chunk"])
@pytest.mark.parametrize(
    ("hole_ns", "told_ns", "unaccounted"),
    [
        (100_000_000, 0, False), (100_000_001, 0, True), (SECOND, SECOND, False), (2 * SECOND, SECOND, True),
        (SECOND, SECOND - 100_000_000, False), (SECOND, SECOND - 100_000_001, True),
    ],
)  # fmt: skip
def test_time_between_parts(tmp_path: Path, where: str, hole_ns: int, told_ns: int, unaccounted: bool) -> None:
    """Told by the closing before it, or by the first chunk after it, or by neither."""
    device = Device(tmp_path, STATION)
    device.clock.now_ns = 0
    gaps = (Gap("video", SECOND, told_ns, 3, "camera"),) if told_ns else ()
    with device.open() as store:
        segment = store.begin(device.clock.stamp(), recording=b"R" * 16, profile="x", init=INIT)
        segment.media(device.clock.stamp(SECOND), b"m", Flags(0))
        device.clock.now_ns += hole_ns
        segment.close("rotation", device.clock.stamp(), gaps if where == "closing" else ())
        segment = store.begin(device.clock.stamp(), recording=b"R" * 16, part=1, profile="x", init=INIT)
        segment.media(device.clock.stamp(SECOND), b"m", Flags(0), gaps if where == "first chunk" else ())
        segment.close("stop", device.clock.stamp())
    (recording,) = verify(device.flash, device.identity).recordings
    found = [gap for gap in recording.media.gaps if gap.cause == "unaccounted"]
    assert found == ([Gap("video", SECOND, hole_ns, 0, "unaccounted")] if unaccounted else [])
    assert len(recording.media.gaps) == len(found) + len(gaps)


def test_gaps_of_a_recording_that_never_got_a_chunk(tmp_path: Path) -> None:
    lost = Gap("video", 0, SECOND, 30, "camera")
    assert record(tmp_path, [], last=(lost,)).media.gaps == (lost,)
