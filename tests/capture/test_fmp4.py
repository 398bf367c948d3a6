"""The file that the chunks make: what players and checkers take."""

from __future__ import annotations

import io
import struct
import subprocess
from pathlib import Path

import av
import pytest

from capture.aac import AacEncoder
from capture.chunker import Chunker, Picture
from capture.fmp4 import AudioTrack, init_segment
from capture.h264 import length_prefixed, parameter_sets, split
from capture.limits import Limits
from capture.soundtrack import Soundtrack
from drivers.microphone.protocol import AudioFormat, PcmBlock
from drivers.microphone.synthetic import Voice
from tests.capture.fakes import BLOCK, SECOND, SMALL, coded
from tests.capture.mp4 import contents, kinds, runs

ORIGIN = 5000 * SECOND


@pytest.fixture(scope="module")
def movie() -> tuple[bytes, list[bytes]]:
    """Header and chunks of two seconds, made without threads."""
    fmt = AudioFormat()
    encoder = AacEncoder(fmt, 96_000)
    sound = Soundtrack(fmt, encoder, Limits())
    chunker = Chunker(Limits(), 30, fmt.sample_rate)
    voice = Voice(fmt, ORIGIN)
    blocks = 0
    header = b""
    for number, (data, key) in enumerate(coded(60)):
        capture_ns = ORIGIN + number * SECOND // 30
        units = split(data)
        if not header:
            header = init_segment(parameter_sets(units), AudioTrack(fmt, 96_000, encoder.config))
            sound.begin(capture_ns)
        chunker.picture(Picture(*length_prefixed(units), capture_ns, key), capture_ns)
        while ORIGIN + (blocks + 1) * BLOCK <= capture_ns:
            sound.add(PcmBlock(voice.block(blocks), ORIGIN + blocks * BLOCK))
            blocks += 1
        frames, sound.frames = sound.frames, []
        chunker.sound(frames, capture_ns)
    sound.finish()
    chunker.sound(sound.frames, ORIGIN + 2 * SECOND)
    chunker.finish()
    return header, [chunk.data for chunk in chunker.chunks]


def test_the_header_is_laid_out_as_the_standard_says(movie: tuple[bytes, list[bytes]]) -> None:
    header, _ = movie
    track = [
        "trak",
        "tkhd",
        "mdia",
        "mdhd",
        "hdlr",
        "minf",
        "{}",
        "dinf",
        "dref",
        "stbl",
        "stsd",
        "stts",
        "stsc",
        "stsz",
        "stco",
    ]
    video, audio = ([name.format(kind) for name in track] for kind in ("vmhd", "smhd"))
    assert kinds(header) == ["ftyp", "moov", "mvhd", *video, *audio, "mvex", "trex", "trex"]
    assert contents(header, b"ftyp")[:4] == b"iso6"


def test_the_sample_entries_describe_the_streams(movie: tuple[bytes, list[bytes]]) -> None:
    header, _ = movie
    units = split(coded(60)[0][0])
    sps, pps = bytes(units[0]), bytes(units[1])
    avcc = header[header.index(b"avcC") + 4 :]
    assert avcc[:6] == b"\x01" + sps[1:4] + b"\xff\xe1"
    assert avcc[6:].startswith(struct.pack(">H", len(sps)) + sps + b"\x01" + struct.pack(">H", len(pps)) + pps)
    esds = header[header.index(b"esds") + 8 :]
    # ES_Descriptor, DecoderConfigDescriptor (AAC, audio), AudioSpecificConfig (LC, 48 kHz, mono), SLConfig (MP4).
    assert esds[:2] == b"\x03\x19"
    assert esds[5:9] == b"\x04\x11\x40\x15"
    assert esds[20:24] == b"\x05\x02\x11\x88"
    assert esds[24:27] == b"\x06\x01\x02"


def test_pyav_reads_each_sample_at_its_exact_time(movie: tuple[bytes, list[bytes]]) -> None:
    header, chunks = movie
    with av.open(io.BytesIO(header + b"".join(chunks)), "r") as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.width, video.height, video.codec_context.name) == (SMALL.width, SMALL.height, "h264")
        assert (audio.codec_context.name, audio.sample_rate, audio.channels) == ("aac", 48_000, 1)
        packets = list(container.demux())
    pictures = [packet for packet in packets if packet.stream_index == 0 and packet.size]
    assert [packet.pts for packet in pictures] == [3000 * number for number in range(60)]
    assert all(packet.pts == packet.dts and packet.duration == 3000 for packet in pictures)
    assert [packet.is_keyframe for packet in pictures] == [key for _, key in coded(60)]
    sounds = [packet.pts for packet in packets if packet.stream_index == 1 and packet.size]
    assert sounds == [1024 * number for number in range(len(sounds))]
    # The blocks that were whole when the last picture came, 98 of 20 ms, and the last frame filled up.
    assert len(sounds) == -(-98 * 960 // 1024)


def test_parameter_sets_stay_in_band(movie: tuple[bytes, list[bytes]]) -> None:
    _, chunks = movie
    samples = [data for chunk in chunks for run in runs(chunk) if run.track == 1 for data in run.data]
    keys = [sample for sample, (_, key) in zip(samples, coded(60), strict=True) if key]
    assert len(keys) == 2
    assert all(sample[4] & 0x1F == 7 for sample in keys)


def test_stock_tools_say_nothing(movie: tuple[bytes, list[bytes]], tmp_path: Path) -> None:
    header, chunks = movie
    path = tmp_path / "movie.mp4"
    path.write_bytes(header + b"".join(chunks))
    for command in (
        ["ffmpeg", "-v", "error", "-xerror", "-i", str(path), "-f", "null", "-"],
        ["ffprobe", "-v", "error", "-count_frames", str(path)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), command


def test_it_plays_from_any_chunk_that_begins_with_a_key_picture(movie: tuple[bytes, list[bytes]]) -> None:
    header, chunks = movie
    later = next(index for index, chunk in enumerate(chunks) if index and runs(chunk)[0].flags[0] == 0x02000000)
    with av.open(io.BytesIO(header + b"".join(chunks[later:])), "r") as container:
        frames = list(container.decode(video=0))
    assert [frame.pts for frame in frames] == [3000 * number for number in range(30, 60)]
