"""The pre-event buffer: what it holds, how it is filled, and how a recording takes it."""

from __future__ import annotations

import gc
import queue
import threading
import time
from dataclasses import replace
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.chunk import CmafChunk
from capture.errors import CaptureError
from capture.fmp4 import VIDEO_TRACK, Run, Sample, fragment, init_segment
from capture.h264 import parameter_sets, split
from drivers.camera_power.protocol import CameraPower
from drivers.camera_power.simulated import SimulatedCameraPower
from drivers.errors import DriverError
from drivers.indicator.protocol import LightState
from firmware.cues import Cue
from firmware.inputs import Docked, PowerOff, Trouble
from firmware.parts import Parts
from firmware.patterns import CUES, lane_ms
from firmware.pre_event import PreEventBuffer
from firmware.recorder import News, RecorderTimes
from firmware.rules import Rules
from firmware.settings import load_settings
from firmware.standby_capture import HandedOver
from firmware.states import State
from firmware.wiring import Device
from station.keys import load_station_key
from storage.layout import Flags, Kind, Light, Stamp
from storage.verdict import Verdict
from storage.verify import verify
from tests.capture.fakes import coded
from tests.capture.mp4 import runs
from tests.firmware.device import Kit
from tests.firmware.kit import PATIENCE_S, SECOND, THIRD, Bench, FakeCapture, chunk, footage, read_store
from tests.firmware.stage import Stage
from tests.firmware.test_wiring import States, settings_of
from tools.mock_pins import MockPins

T0 = 1000 * SECOND
MARK = b"footage that was held in memory"
TICKS = 90_000


def stamp(item: CmafChunk) -> Stamp:
    return Stamp(item.start_ns, item.start_ns + 5, item.duration_ns)


# --- What it holds ----------------------------------------------------------------------------------------------------


@given(
    chunks=st.lists(st.tuples(st.integers(1, SECOND // 2), st.booleans(), st.integers(0, 2000)), max_size=60),
    length_s=st.integers(1, 5), most_bytes=st.integers(1000, 20_000),
)  # fmt: skip
def test_never_more_than_is_allowed_and_always_from_a_key_picture(
    chunks: list[tuple[int, bool, int]], length_s: int, most_bytes: int
) -> None:
    buffer = PreEventBuffer(length_s * SECOND, most_bytes)
    at_ns = T0
    given_in = []
    for number, (duration_ns, key, size) in enumerate(chunks):
        item = CmafChunk(
            number.to_bytes(2) + bytes(size), at_ns, duration_ns, key, 1, (), audio_live=True, video_live=True
        )
        at_ns += duration_ns
        given_in.append(item)
        buffer.add(item, stamp(item))
        assert buffer.held_ns <= length_s * SECOND + SECOND // 10
        assert buffer.size_bytes <= most_bytes
    held = [item for item, _ in buffer.take()]
    assert held == given_in[len(given_in) - len(held) :], "the newest, in order, and nothing between them left out"
    assert not held or held[0].key
    assert (buffer.held_ns, buffer.size_bytes, list(buffer.take())) == (0, 0, [])


def test_it_holds_what_is_allowed() -> None:
    buffer = PreEventBuffer(5 * SECOND)
    for item in footage(T0, 20):
        buffer.add(item, stamp(item))
    assert 4 * SECOND - 3 <= buffer.held_ns <= 5 * SECOND
    assert [when for _, when in buffer.take()] == [stamp(item) for item in footage(T0, 20)[-15:]]


def test_nothing_of_it_can_be_read_in_memory() -> None:
    buffer = PreEventBuffer(5 * SECOND)
    for item in footage(T0, 3):
        secret = replace(item, data=MARK * 10)
        buffer.add(secret, stamp(secret))
        del secret
    gc.collect()
    chunks = [value for value in gc.get_objects() if isinstance(value, CmafChunk)]
    assert not [value for value in chunks if MARK in value.data]
    assert all(item.data == MARK * 10 for item, _ in buffer.take())


def test_wiped_is_wiped() -> None:
    buffer = PreEventBuffer(5 * SECOND)
    for item in footage(T0, 3):
        buffer.add(item, stamp(item))
    buffer.wipe()
    assert (buffer.held_ns, buffer.size_bytes, buffer.end_ns, list(buffer.take())) == (0, 0, 0, [])


# --- In the recorder --------------------------------------------------------------------------------------------------


def movie(start_ns: int, seconds: int, origin_ns: int = T0 - 5000 * SECOND) -> list[CmafChunk]:
    """The same as `footage`, as real MP4 that began long before."""
    made = []
    for item in footage(start_ns, seconds):
        number = (item.start_ns - T0) // THIRD + 9000
        time = (item.start_ns - origin_ns) * TICKS // SECOND
        sample = Sample([MARK], len(MARK), 30_000, key=item.key)
        made.append(replace(item, data=fragment(number, [Run(VIDEO_TRACK, time, [sample])])))
    return made


class StandbyBench(Bench):
    """With a buffer of five seconds; `captures` give a real header."""

    def __init__(self, base: Path, captures: list[FakeCapture], length_s: int = 5) -> None:
        header = init_segment(parameter_sets(split(coded(1)[0][0])), None)
        for capture in captures:
            capture.init_segment = header
        super().__init__(base, captures, RecorderTimes(pre_event_ns=length_s * SECOND))

    def take(self, at_ns: int = T0) -> None:
        """Start a recording at that time, and wait until it has what was held."""
        self.clock.advance(at_ns - self.clock.monotonic_ns())
        taken = threading.Event()
        standby = self.recorder._standby
        hand_over = standby.hand_over

        def tell() -> HandedOver | None:
            handed = hand_over()
            taken.set()
            return handed

        standby.hand_over = tell  # type: ignore[method-assign]
        self.recorder.start()
        assert taken.wait(30)

    def fill(self, capture: FakeCapture, chunks: list[CmafChunk]) -> None:
        """Buffer, and wait until all was taken in."""
        self.recorder.buffer(True)
        assert capture.started.wait(30)
        capture.feed(*chunks)
        capture.until_read()


def test_a_recording_begins_with_what_was_held(tmp_path: Path) -> None:
    capture = FakeCapture()
    with StandbyBench(tmp_path, [capture]) as bench:
        bench.recorder.begin()
        bench.witness.saw(LightState(T0 + 10 * SECOND, False, False))
        bench.witness.saw(LightState(T0 + 10 * SECOND + 5, True, True))
        bench.fill(capture, movie(T0, 20))
        assert not [item for item in bench.written() if item.media], "nothing reaches the flash before the press"
        bench.take(T0 + 20 * SECOND)
        capture.feed(*movie(T0 + 20 * SECOND, 1))
        bench.watched.until_durable(Kind.MEDIA, 18)
        bench.recorder.stop()
        bench.watched.until_news(News.ENDED)
        bench.finish()
        journal, media, _last = bench.written()
        assert [bool(entry.flags & Flags.PRE_EVENT) for entry in media.footage] == [True] * 15 + [False] * 3
        assert [entry.stamp.monotonic_ns for entry in media.footage] == [
            item.start_ns for item in (*footage(T0, 20)[-15:], *footage(T0 + 20 * SECOND, 1))
        ]
        times = [runs(entry.body)[0].time for entry in media.footage]
        assert times[0] < TICKS, "players begin at zero"
        assert times == sorted(times)
        assert runs(media.footage[0].body)[0].data == [MARK]
        assert {"held_ms": 4999} in [event.details for event in media.events if event.name == "pre-event"]
        assert {"on": True} in [event.details for event in journal.events if event.name == "buffering"]
        (recording,) = bench.verified().recordings
        assert recording.verdict is Verdict.AUTHENTIC
        assert (recording.media.pre_event_chunks, recording.media.announced_chunks) == (15, 3)
        assert capture.closed.is_set()


def test_each_held_chunk_attests_the_light_of_its_own_time(tmp_path: Path) -> None:
    capture = FakeCapture()
    with StandbyBench(tmp_path, [capture]) as bench:
        bench.recorder.begin()
        bench.witness.saw(LightState(T0 + THIRD, False, False))
        bench.witness.saw(LightState(T0 + 2 * THIRD, True, True))
        bench.fill(capture, movie(T0, 1))
        bench.witness.saw(LightState(T0 + SECOND, False, False))
        bench.take(T0 + SECOND)
        bench.watched.until_durable(Kind.MEDIA, 3)
        bench.finish()
        (media,) = [item for item in bench.written() if item.media]
        assert [entry.stamp.commanded for entry in media.footage] == [Light.LIT, Light.DARK, Light.LIT]


def test_turned_off_nothing_is_left_and_the_camera_rests(tmp_path: Path) -> None:
    captures = [FakeCapture(), FakeCapture()]
    with StandbyBench(tmp_path, captures) as bench:
        bench.recorder.begin()
        bench.fill(captures[0], movie(T0, 2))
        bench.recorder.buffer(False)
        assert captures[0].closed.wait(30)
        bench.take()
        captures[1].feed(*movie(T0 + 9 * SECOND, 1))
        bench.watched.until_durable(Kind.MEDIA, 3)
        bench.finish()
        (media,) = [item for item in bench.written() if item.media]
        assert not [entry for entry in media.footage if entry.flags & Flags.PRE_EVENT]
        journal = bench.written()[0]
        assert [event.details["on"] for event in journal.events if event.name == "buffering"] == [True, False]


def test_what_no_light_told_of_is_not_kept(tmp_path: Path) -> None:
    """The light breaks between the last look at it and the press."""
    captures = [FakeCapture(), FakeCapture()]
    with StandbyBench(tmp_path, captures) as bench:
        bench.recorder.begin()
        bench.fill(captures[0], movie(T0, 3))
        bench.witness.saw(LightState(T0, True, False))
        bench.witness.saw(LightState(T0 + 3 * SECOND, True, True))
        bench.take(T0 + 3 * SECOND)
        assert captures[0].closed.wait(30)
        captures[1].feed(*movie(T0 + 3 * SECOND, 1))
        bench.watched.until_durable(Kind.MEDIA, 3)
        bench.finish()
        (media,) = [item for item in bench.written() if item.media]
        assert [entry.flags & Flags.PRE_EVENT for entry in media.footage] == [0, 0, 0]
        assert not [event for event in media.events if event.name == "pre-event"]


def test_what_was_on_its_way_at_the_press_came_before_it(tmp_path: Path) -> None:
    capture = FakeCapture()
    with StandbyBench(tmp_path, [capture]) as bench:
        bench.recorder.begin()
        bench.fill(capture, movie(T0, 2))
        bench.take(T0 + 2 * SECOND + THIRD + 5)
        capture.feed(*movie(T0 + 2 * SECOND, 1))
        bench.watched.until_durable(Kind.MEDIA, 9)
        bench.finish()
        (media,) = [item for item in bench.written() if item.media]
        assert [bool(entry.flags & Flags.PRE_EVENT) for entry in media.footage] == [True] * 8 + [False]


def test_a_light_that_breaks_in_standby_ends_the_buffer(tmp_path: Path) -> None:
    capture = FakeCapture()
    with StandbyBench(tmp_path, [capture], length_s=30) as bench:
        bench.recorder.begin()
        bench.witness.saw(LightState(T0, True, False))
        bench.recorder.buffer(True)
        assert capture.started.wait(30)
        capture.feed(*movie(T0, 7))
        assert capture.closed.wait(30)
        bench.finish()
        assert bench.buffer_trouble == [
            "the light is dark: nobody can see that the last seconds are held; take the device in"
        ]


@pytest.mark.parametrize("error", [CaptureError("no pictures"), DriverError("camera gone")])
def test_a_camera_that_fails_in_standby_is_told_and_no_recording_is_lost(tmp_path: Path, error: Exception) -> None:
    captures = [FakeCapture(), FakeCapture()]
    with StandbyBench(tmp_path, captures) as bench:
        bench.recorder.begin()
        bench.recorder.buffer(True)
        assert captures[0].started.wait(30)
        captures[0].feed(*movie(T0, 2), error)
        assert captures[0].closed.wait(30)
        bench.take()
        captures[1].feed(*movie(T0 + 9 * SECOND, 1))
        bench.watched.until_durable(Kind.MEDIA, 3)
        bench.finish()
        assert bench.buffer_trouble == [str(error)]
        assert bench.verified().recordings[0].media.pre_event_chunks == 0


def test_without_a_policy_that_allows_it_nothing_runs(tmp_path: Path) -> None:
    capture = FakeCapture()
    with StandbyBench(tmp_path, [capture], length_s=0) as bench:
        bench.recorder.begin()
        bench.recorder.buffer(True)
        bench.recorder.note("after")
        bench.watched.until_durable(Kind.EVENTS)
        bench.finish()
        assert not capture.started.is_set()


def test_power_off_while_it_is_filled(tmp_path: Path) -> None:
    capture = FakeCapture()
    with StandbyBench(tmp_path, [capture]) as bench:
        bench.recorder.begin()
        bench.fill(capture, movie(T0, 2))
        bench.finish()
        assert capture.closed.is_set()
        assert [item.summary for item in bench.written()] == [("journal", 0, "power-off")]
        flash = b"".join(path.read_bytes() for path in bench.enrolled.flash.rglob("*.seg"))
        assert MARK not in flash


def test_the_heart_beats_while_it_is_filled(tmp_path: Path) -> None:
    capture = FakeCapture()
    with StandbyBench(tmp_path, [capture]) as bench:
        bench.recorder._times = replace(bench.times, heartbeat_ns=20_000_000)
        bench.recorder.begin()
        bench.fill(capture, movie(T0, 1))
        bench.watched.until_durable(Kind.HEARTBEAT, 3)
        bench.finish()


def test_no_thread_is_left(tmp_path: Path) -> None:
    before = threading.active_count()
    test_power_off_while_it_is_filled(tmp_path)
    assert threading.active_count() == before


# --- In the appliance -------------------------------------------------------------------------------------------------

BUFFERING = Rules(buffering=True)


def test_the_light_has_said_so_before_the_buffer_is_filled() -> None:
    stage = Stage(rules=BUFFERING)
    stage.run()
    assert stage.voice.cues[0] is Cue.BUFFERING
    assert stage.told == ["begin", "buffer on", "shut down"]
    (filled,) = [item for item in stage.recorder.done if item.what == "buffer on"]
    assert filled.time_ms >= lane_ms(CUES[Cue.BUFFERING].light)


def test_a_press_takes_the_buffer_and_standby_fills_it_anew() -> None:
    stage = Stage(rules=BUFFERING, patience_ms=20_000)
    stage.press(3000)
    stage.hold(4000)
    stage.run()
    assert stage.told == ["begin", "buffer on", "start", "stop stop", "buffer on", "shut down"]


def test_a_press_before_the_buffer_is_filled() -> None:
    stage = Stage(rules=BUFFERING)
    stage.press(1000)
    stage.run()
    assert stage.told == ["begin", "start", "shut down"]


def test_in_the_dock_nothing_is_held() -> None:
    stage = Stage(rules=BUFFERING, patience_ms=20_000)
    stage.inputs.at(3000, lambda: stage.inputs.put_nowait(Docked(True)))
    stage.inputs.at(3900, lambda: stage.inputs.put_nowait(Docked(False)))
    stage.run()
    assert stage.told == ["begin", "buffer on", "buffer off", "buffer on", "shut down"]


def test_a_light_that_cannot_announce_takes_the_buffer_with_it() -> None:
    stage = Stage(rules=BUFFERING)
    stage.light.stick(False)
    stage.press(3000)
    stage.run()
    assert stage.told == ["begin", "buffer on", "buffer off", "shut down"]


def test_without_a_buffer_nothing_is_asked_of_the_recorder() -> None:
    stage = Stage()
    stage.press(100)
    stage.hold(1000)
    stage.run()
    assert not [what for what in stage.told if "buffer" in what]


def test_a_chunk_that_cannot_begin_is_not_held() -> None:
    buffer = PreEventBuffer(5 * SECOND)
    buffer.add(chunk(T0), stamp(chunk(T0)))
    assert buffer.held_ns == 0


# --- In a whole device ------------------------------------------------------------------------------------------------


def test_a_device_whose_policy_allows_a_buffer(tmp_path: Path) -> None:
    kit = Kit.make(tmp_path, pre_event_s="2")
    settings, pins, states = settings_of(kit), MockPins(), States()
    settings = replace(settings, recording=replace(settings.recording, segment_s=60))
    with Device(settings, Parts(settings.board, pin_factory=pins.factory), states.changed) as device:
        ending: queue.Queue[str] = queue.Queue(1)
        thread = threading.Thread(target=lambda: ending.put(device.run()), name="appliance")
        thread.start()
        try:
            states.until(State.STANDBY)
            deadline_s = time.monotonic() + PATIENCE_S
            while device.recorder._standby._buffer.held_ns < SECOND:
                assert time.monotonic() < deadline_s, "the buffer was never filled"
                time.sleep(0.02)
            pins.button.drive_low()
            states.until(State.RECORDING)
            pins.button.drive_high()
            kit.await_media(after=1, chunks=9)
        finally:
            device.inputs.put(PowerOff(), timeout=PATIENCE_S)
            assert ending.get(timeout=PATIENCE_S) == ""
            thread.join(PATIENCE_S)
        assert device.store is not None
        identity = device.store.identity
    report = verify(kit.flash, identity, workers=1)
    assert report.verdict is Verdict.AUTHENTIC
    (recording,) = report.recordings
    assert SECOND * 0.9 <= recording.media.pre_event_ns <= SECOND * 2.1
    assert recording.media.lit_chunks == recording.media.announced_chunks > 0
    assert recording.media.gaps == ()
    plain = b"".join(
        entry.body for item in read_store(kit.flash, load_station_key(kit.station_key)) for entry in item.entries
        if item.media and entry.kind in (Kind.OPENING, Kind.MEDIA)
    )  # fmt: skip
    (tmp_path / "out.mp4").write_bytes(plain)
    with av.open(str(tmp_path / "out.mp4")) as movie_file:
        pictures = [float(frame.time or 0) for frame in movie_file.decode(video=0)]
    assert pictures[0] < 1
    assert len(pictures) >= 25 * (pictures[-1] - pictures[0])


def test_the_companion_lets_nothing_be_held(tmp_path: Path) -> None:
    kit = Kit.make(tmp_path, pre_event_s="2")
    settings = load_settings(kit.settings)
    companion = replace(settings.board, camera_power=replace(settings.board.camera_power, driver="companion"))
    with Device(settings, PowerlessParts(companion), lambda _snapshot: None) as device:
        assert not device.rules.buffering
        found = device.inputs.get_nowait()
        assert isinstance(found, Trouble)
        assert found.part == "pre-event buffer"


class PowerlessParts(Parts):
    """A board whose companion is only believed to be there."""

    def camera_power(self) -> CameraPower:
        return SimulatedCameraPower()
