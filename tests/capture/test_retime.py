"""Footage that was held before a recording is moved to the recording's beginning."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.aac import AacEncoder
from capture.chunk import CmafChunk
from capture.errors import CaptureError
from capture.fmp4 import AUDIO_TRACK, VIDEO_TIMESCALE, VIDEO_TRACK, AudioTrack, Run, Sample, fragment, init_segment
from capture.h264 import parameter_sets, split
from capture.retime import Retimer
from drivers.microphone.protocol import AudioFormat
from tests.capture.fakes import SECOND, coded
from tests.capture.mp4 import contents, runs

FORMAT = AudioFormat()


@pytest.fixture(scope="module")
def header() -> bytes:
    encoder = AacEncoder(FORMAT, 96_000)
    return init_segment(parameter_sets(split(coded(1)[0][0])), AudioTrack(FORMAT, 96_000, encoder.config))


def chunk(sequence: int, *times: tuple[int, int]) -> CmafChunk:
    made = [Run(track, time, [Sample([b"sample"], 6, 3000, key=True)]) for track, time in times]
    return CmafChunk(fragment(sequence, made), 77, SECOND, True, 1, (), audio_live=True, video_live=True)


@given(
    video=st.integers(0, 2**48), lead=st.integers(-96_000, 96_000),
    sequence=st.integers(1, 2**31), steps=st.lists(st.integers(0, 500_000), max_size=5),
)  # fmt: skip
def test_all_move_by_the_same_whole_seconds(
    header: bytes, video: int, lead: int, sequence: int, steps: list[int]
) -> None:
    sound = max(0, video * FORMAT.sample_rate // VIDEO_TIMESCALE + lead)
    retimer = Retimer(header)
    shift_s = min(video // VIDEO_TIMESCALE, sound // FORMAT.sample_rate)
    for number, step in enumerate([0, *steps]):
        before = chunk(sequence + number, (VIDEO_TRACK, video + step), (AUDIO_TRACK, sound + step))
        after = retimer(before)
        assert [(run.track, run.time) for run in runs(after.data)] == [
            (VIDEO_TRACK, video + step - shift_s * VIDEO_TIMESCALE),
            (AUDIO_TRACK, sound + step - shift_s * FORMAT.sample_rate),
        ]
        assert [run.data for run in runs(after.data)] == [run.data for run in runs(before.data)]
        assert struct.unpack(">I", contents(after.data, b"mfhd")[4:]) == (number + 1,)
        assert replace(after, data=b"") == replace(before, data=b"")
        assert len(after.data) == len(before.data)
        if not number:
            assert any(run.time < {1: VIDEO_TIMESCALE, 2: FORMAT.sample_rate}[run.track] for run in runs(after.data))


def test_what_begins_at_zero_stays_as_it_is(header: bytes) -> None:
    retimer = Retimer(header)
    for number in range(3):
        before = chunk(1 + number, (VIDEO_TRACK, number * 30_000), (AUDIO_TRACK, number * 16_000))
        assert retimer(before) == before


def test_sound_alone_comes_along(header: bytes) -> None:
    retimer = Retimer(header)
    retimer(chunk(9, (VIDEO_TRACK, 100 * VIDEO_TIMESCALE + 5)))
    (only,) = runs(retimer(chunk(10, (AUDIO_TRACK, 101 * FORMAT.sample_rate))).data)
    assert only.time == FORMAT.sample_rate


@pytest.mark.parametrize("data", [b"", b"\0\0\0\x08moov", b"\0\0\1\0moov"])
def test_a_header_without_tracks(data: bytes) -> None:
    with pytest.raises(CaptureError):
        Retimer(data)
