"""Capture on both real drivers at once: the MP4 that comes out is whole, and sound and pictures are of one clock."""

from __future__ import annotations

import io
import itertools
import time

import av
import numpy as np
import pytest

from capture.capture import Capture
from capture.chunk import AUDIO, LOST, START, VIDEO, CmafChunk
from capture.profiles import Profile
from drivers.camera.picamera2_camera import Picamera2Camera
from drivers.camera.protocol import VideoFormat
from drivers.microphone.protocol import AudioFormat
from drivers.microphone.pyaudio_microphone import PyAudioMicrophone
from tests.rig import numbered
from tests.rig.sound_card import SoundCard, bursts
from tests.rig.virtual_camera import HEIGHT, WIDTH, VirtualPipeline

pytestmark = [
    pytest.mark.rig,
    # picamera2's event loop still sets its thread up in the old way
    pytest.mark.filterwarnings("ignore:setDaemon:DeprecationWarning"),
]

RATE = 48_000
PROFILE = Profile("rig", VideoFormat(WIDTH, HEIGHT, 30, 2_000_000, key_interval=30), AudioFormat(RATE, 1))
PICTURES = 180
LONGEST_NS = 500_000_000
LATE_NS = 45_000_000
"""A picture this long after the one before is later than 1.35 periods; from 1.5 on capture calls it a loss."""
LIP_SYNC_MS = 20


def record(capture: Capture) -> list[CmafChunk]:
    """Run a capture until PICTURES are in its chunks, stop it, and drain it."""
    chunks: list[CmafChunk] = []
    give_up = time.monotonic() + 60
    capture.start()
    while not capture.ended:
        assert time.monotonic() < give_up
        chunk = capture.read(0.5)
        if chunk is not None:
            chunks.append(chunk)
        if sum(chunk.frames for chunk in chunks) >= PICTURES:
            capture.request_stop()
    return chunks


def onsets(sound: np.ndarray) -> np.ndarray:
    """Find where bursts begin, as sample numbers: silence for 100 ms before, sound for 5 ms after."""
    width = RATE // 1000
    loud = np.abs(sound[: len(sound) // width * width]).reshape(-1, width).max(axis=1) > 0.15
    found = [i for i in range(100, len(loud) - 5) if loud[i : i + 5].all() and not loud[i - 100 : i].any()]
    return np.array([i * width + np.argmax(np.abs(sound[i * width : (i + 1) * width]) > 0.15) for i in found])


def test_both_real_drivers_make_one_recording_on_one_clock(
    pipeline: VirtualPipeline, sound_card: SoundCard, capsys: pytest.CaptureFixture[str]
) -> None:
    sound_card.samples = bursts(1_000, RATE)
    with (
        Picamera2Camera(load=pipeline.load) as camera,
        PyAudioMicrophone() as microphone,
        Capture(PROFILE, camera, microphone) as capture,
    ):
        chunks = record(capture)
        recording = capture.init_segment + b"".join(chunk.data for chunk in chunks)
        statistics = capture.statistics
        gaps = [gap for chunk in chunks for gap in chunk.gaps] + list(capture.pending_gaps)
    sensor = pipeline.opened[-1]

    assert (statistics.camera_restarts, statistics.microphone_restarts) == (0, 0)
    assert (statistics.dropped_frames, statistics.dropped_blocks) == (0, 0)
    # The sensor is a thread here: on a busy machine it comes late now and then, and a gap says so. No other gap may be.
    late = [later - earlier for earlier, later in itertools.pairwise(sensor.taken_ns) if later - earlier > LATE_NS]
    losses = [gap for gap in gaps if (gap.track, gap.cause) != (AUDIO, START)]
    assert [(gap.track, gap.cause) for gap in losses] == [(VIDEO, LOST)] * len(losses)
    assert len(losses) <= len(late)
    assert chunks[0].key
    assert all(chunk.audio_live and chunk.video_live for chunk in chunks[1:-1])
    assert max(chunk.duration_ns for chunk in chunks) <= LONGEST_NS

    # Every picture that the sensor gave, but for those in work at the stop, once and in order.
    with av.open(io.BytesIO(recording)) as container:
        pictures = [(frame.time, numbered.read(frame.to_ndarray(format="gray"))) for frame in container.decode(video=0)]
    assert len(pictures) == statistics.frames == sum(chunk.frames for chunk in chunks) >= PICTURES
    assert len(sensor.taken_ns) - len(pictures) <= 8
    assert numbered.losses([number for _, number in pictures]) == []

    # The sound is as long as the pictures, and without a hole: capture leads it, by at most 0.4 %, and never jumps.
    with av.open(io.BytesIO(recording)) as container:
        frames = [(frame.time, frame.to_ndarray()[0]) for frame in container.decode(audio=0)]
    for (earlier, values), (later, _) in itertools.pairwise(frames):
        assert later - earlier == pytest.approx(len(values) / RATE, rel=0.005)
    assert frames[0][0] - pictures[0][0] < 0.1
    assert pictures[-1][0] - frames[-1][0] < 0.1

    # The recording's time 0 on the monotonic clock, by the pictures; then what each burst of sound says to that.
    turns = [later for earlier, later in itertools.pairwise(pictures) if earlier[1] != later[1] and later[1]]
    begin_s = np.median([sensor.taken_ns[number * numbered.SHOWN] / 1e9 - at for at, number in turns])
    sound = np.concatenate([values for _, values in frames])
    starts = np.cumsum([0, *(len(values) for _, values in frames)])
    late_ms = []
    for onset in onsets(sound):
        index = int(np.searchsorted(starts, onset, side="right")) - 1
        heard_s = begin_s + frames[index][0] + (onset - starts[index]) / RATE - sound_card.began_ns / 1e9
        late_ms.append((heard_s - round(heard_s)) * 1e3)  # the card sounds a burst at each of its whole seconds
    with capsys.disabled():
        print(  # noqa: T201
            f"\ncapture: {len(pictures)} pictures and {len(sound) / RATE:.2f} s of sound in {len(chunks)} chunks, "
            f"sound late by {', '.join(f'{late:+.1f}' for late in late_ms)} ms, at most "
            f"{statistics.highest_queue_bytes / 1024:.0f} KiB queued"
        )
    assert len(late_ms) >= 4
    assert abs(np.median(late_ms)) <= LIP_SYNC_MS
    assert max(map(abs, late_ms)) <= 3 * LIP_SYNC_MS  # before capture has led the sound to its place
