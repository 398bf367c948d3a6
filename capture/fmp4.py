"""Fragmented MP4 (ISO/IEC 14496-12), laid out as CMAF lays out its chunks (ISO/IEC 23000-19), two tracks in one file.

The video is `avc1` (ISO/IEC 14496-15): the sample entry holds the first parameter sets, and each key picture repeats
the ones in force in band, so that an encoder that was started again needs no new header. There are no edit lists: each
sample stands at its true time.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from capture.boxes import UNITY_MATRIX, box, descriptor, full_box
from capture.h264 import ParameterSets
from drivers.microphone.protocol import AudioFormat

VIDEO_TIMESCALE = 90_000
VIDEO_TRACK = 1
AUDIO_TRACK = 2
_UNDETERMINED = 0x55C4
"""The language code ``und`` (8.4.2.3)."""
_KEY_SAMPLE = 0x0200_0000
_DEPENDENT_SAMPLE = 0x0101_0000
_DEFAULT_BASE_IS_MOOF = 0x02_0000
_SAMPLE_DURATIONS, _SAMPLE_SIZES, _SAMPLE_FLAGS, _DATA_OFFSET = 0x100, 0x200, 0x400, 0x1
_ENABLED_IN_MOVIE = 3
_BT709 = 1
_AAC = 0x40
_AUDIO_STREAM = 0x15
_ES, _DECODER_CONFIG, _DECODER_SPECIFIC, _SL_CONFIG = 3, 4, 5, 6
_MP4_ONLY = 2

Pieces = list[bytes | memoryview]


@dataclass(frozen=True, slots=True)
class AudioTrack:
    """What the header says about the sound."""

    fmt: AudioFormat
    bitrate_bps: int
    config: bytes
    """AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1)."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture or one AAC frame as it stands in the file."""

    pieces: Pieces
    size_bytes: int
    duration: int
    """In the track's time scale."""
    key: bool


@dataclass(frozen=True, slots=True)
class Run:
    """Samples of one track that follow on one another."""

    track: int
    time: int
    """Of the first sample, in the track's time scale (`tfdt`)."""
    samples: list[Sample]


def init_segment(video: ParameterSets, audio: AudioTrack | None) -> bytes:
    """File type and movie header: what stands before the first chunk."""
    tracks = [_video_track(video)]
    extends = [_trex(VIDEO_TRACK)]
    if audio is not None:
        tracks.append(_audio_track(audio))
        extends.append(_trex(AUDIO_TRACK))
    header = full_box(
        b"mvhd",
        0,
        0,
        struct.pack(">IIII", 0, 0, 1000, 0),
        struct.pack(">iHH8x", 0x10000, 0x100, 0),
        UNITY_MATRIX,
        bytes(24),
        struct.pack(">I", len(tracks) + 1),
    )
    brands = box(b"ftyp", b"iso6", struct.pack(">I", 0), b"iso6", b"mp42", b"avc1")
    return brands + box(b"moov", header, *tracks, box(b"mvex", *extends))


def fragment(sequence: int, runs: list[Run]) -> bytes:
    """One `moof` and its `mdat`; `sequence` counts from 1. The samples' bytes are copied once."""
    boxes: list[bytes] = [full_box(b"mfhd", 0, 0, struct.pack(">I", sequence))]
    # The data offsets in the moof count from its beginning, so its size must be known before it is built.
    moof_bytes = 8 + len(boxes[0]) + sum(_traf_bytes(run) for run in runs)
    offset = moof_bytes + 8
    pieces: Pieces = []
    for run in runs:
        boxes.append(_traf(run, offset))
        for sample in run.samples:
            pieces += sample.pieces
            offset += sample.size_bytes
    moof = box(b"moof", *boxes)
    if len(moof) != moof_bytes:
        raise AssertionError(f"moof of {len(moof)} bytes, {moof_bytes} foreseen")
    return b"".join((moof, struct.pack(">I4s", offset - moof_bytes, b"mdat"), *pieces))


def _traf_bytes(run: Run) -> int:
    per_sample = 12 if run.track == VIDEO_TRACK else 8
    return 8 + 16 + 20 + 20 + per_sample * len(run.samples)


def _traf(run: Run, offset: int) -> bytes:
    head = full_box(b"tfhd", 0, _DEFAULT_BASE_IS_MOOF, struct.pack(">I", run.track))
    time = full_box(b"tfdt", 1, 0, struct.pack(">Q", run.time))
    flags = _DATA_OFFSET | _SAMPLE_DURATIONS | _SAMPLE_SIZES
    fields: list[int] = []
    if run.track == VIDEO_TRACK:
        flags |= _SAMPLE_FLAGS
        for sample in run.samples:
            fields += (sample.duration, sample.size_bytes, _KEY_SAMPLE if sample.key else _DEPENDENT_SAMPLE)
    else:
        for sample in run.samples:
            fields += (sample.duration, sample.size_bytes)
    table = struct.pack(f">Ii{len(fields)}I", len(run.samples), offset, *fields)
    return box(b"traf", head, time, full_box(b"trun", 0, flags, table))


def _trex(track: int) -> bytes:
    flags = _DEPENDENT_SAMPLE if track == VIDEO_TRACK else _KEY_SAMPLE
    return full_box(b"trex", 0, 0, struct.pack(">IIIII", track, 1, 0, 0, flags))


def _video_track(video: ParameterSets) -> bytes:
    entry = box(
        b"avc1",
        struct.pack(">6xH16xHHIIIH", 1, video.width, video.height, 0x480000, 0x480000, 0, 1),
        bytes(32),
        struct.pack(">Hh", 24, -1),
        box(b"avcC", video.avcc()),
        box(b"colr", b"nclx", struct.pack(">HHHB", _BT709, _BT709, _BT709, 0)),
        box(b"pasp", struct.pack(">II", 1, 1)),
    )
    media_header = full_box(b"vmhd", 0, 1, bytes(8))
    size = struct.pack(">II", video.width << 16, video.height << 16)
    return _track(VIDEO_TRACK, VIDEO_TIMESCALE, b"vide", b"Pictures", media_header, entry, 0, size)


def _audio_track(audio: AudioTrack) -> bytes:
    decoder = descriptor(
        _DECODER_CONFIG,
        struct.pack(">BB3xII", _AAC, _AUDIO_STREAM, audio.bitrate_bps, audio.bitrate_bps),
        descriptor(_DECODER_SPECIFIC, audio.config),
    )
    stream = descriptor(_ES, struct.pack(">HB", AUDIO_TRACK, 0), decoder, descriptor(_SL_CONFIG, bytes((_MP4_ONLY,))))
    entry = box(
        b"mp4a",
        struct.pack(">6xH8xHH4xI", 1, audio.fmt.channels, 16, audio.fmt.sample_rate << 16),
        full_box(b"esds", 0, 0, stream),
    )
    media_header = full_box(b"smhd", 0, 0, bytes(4))
    return _track(AUDIO_TRACK, audio.fmt.sample_rate, b"soun", b"Sound", media_header, entry, 0x100, bytes(8))


def _track(
    number: int,
    timescale: int,
    handler: bytes,
    name: bytes,
    media_header: bytes,
    entry: bytes,
    volume: int,
    size: bytes,
) -> bytes:
    track_header = full_box(
        b"tkhd",
        0,
        _ENABLED_IN_MOVIE,
        struct.pack(">IIIII8xHHHxx", 0, 0, number, 0, 0, 0, 0, volume),
        UNITY_MATRIX,
        size,
    )
    tables = box(
        b"stbl",
        full_box(b"stsd", 0, 0, struct.pack(">I", 1), entry),
        full_box(b"stts", 0, 0, bytes(4)),
        full_box(b"stsc", 0, 0, bytes(4)),
        full_box(b"stsz", 0, 0, bytes(8)),
        full_box(b"stco", 0, 0, bytes(4)),
    )
    here = full_box(b"dref", 0, 0, struct.pack(">I", 1), full_box(b"url ", 0, 1))
    media = box(
        b"mdia",
        full_box(b"mdhd", 0, 0, struct.pack(">IIIIHH", 0, 0, timescale, 0, _UNDETERMINED, 0)),
        full_box(b"hdlr", 0, 0, bytes(4), handler, bytes(12), name + b"\x00"),
        box(b"minf", media_header, box(b"dinf", here), tables),
    )
    return box(b"trak", track_header, media)
