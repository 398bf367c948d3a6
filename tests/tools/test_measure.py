"""The measuring instrument itself: it must see what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from capture.aac import AacEncoder
from capture.chunker import Chunker, Picture
from capture.fmp4 import AudioTrack, init_segment
from capture.h264 import length_prefixed, parameter_sets, split
from capture.limits import Limits
from capture.soundtrack import Soundtrack
from drivers.camera.protocol import VideoFormat
from drivers.camera.scene import Scene
from drivers.camera.synthetic import open_encoder
from drivers.microphone.protocol import AudioFormat, PcmBlock
from drivers.microphone.synthetic import Voice
from tools.measure import MeasureError, main, measure

SECOND = 1_000_000_000
MS = 1_000_000
ORIGIN = 9000 * SECOND
FIRST = 12
"""The number of the recording's first frame: it does not begin at a flash."""


def _record(path: Path, numbers: list[int], *, sound_late_ns: int = 0) -> None:
    """Frames with these numbers in this order, one each 1/30 s, and sound that is so much too late."""
    fmt = VideoFormat(320, 192, 30, 300_000, 30)
    audio = AudioFormat()
    scene, encoder, aac = Scene(320, 192, 30), open_encoder(fmt), AacEncoder(audio, 96_000)
    sound, chunker = Soundtrack(audio, aac, Limits()), Chunker(Limits(), 30, audio.sample_rate)
    voice = Voice(audio, ORIGIN)
    header = b""
    for place, number in enumerate(numbers):
        at = ORIGIN + (FIRST + place) * SECOND // 30
        picture = scene.draw(number)
        picture.pts = place
        (packet,) = encoder.encode(picture)
        units = split(bytes(packet))
        if not header:
            header = init_segment(parameter_sets(units), AudioTrack(audio, 96_000, aac.config))
            sound.begin(at)
        chunker.picture(Picture(*length_prefixed(units), at, packet.is_keyframe), at)
    for block in range(FIRST * 2 // 3, (FIRST + len(numbers)) * 5 // 3):
        sound.add(PcmBlock(voice.block(block), voice.capture_ns(block) + sound_late_ns))
    sound.finish()
    chunker.sound(sound.frames, ORIGIN)
    chunker.finish()
    path.write_bytes(header + b"".join(chunk.data for chunk in chunker.chunks))


@pytest.mark.parametrize("late_ms", [0, 35, -60])
def test_lip_sync_is_measured_to_a_millisecond(tmp_path: Path, late_ms: int) -> None:
    path = tmp_path / "movie.mp4"
    _record(path, list(range(FIRST, FIRST + 75)), sound_late_ns=late_ms * MS)
    result = measure(path)
    assert (result.frames, result.lost, result.unreadable) == (75, 0, 0)
    assert result.flashes_s == pytest.approx((0.6, 1.6))
    assert result.lip_sync_ms == pytest.approx((late_ms, late_ms), abs=1)
    assert result.lip_sync_max_ms == pytest.approx(abs(late_ms), abs=1)
    assert result.lip_sync_mean_ms == pytest.approx(late_ms, abs=1)


def test_lost_repeated_and_displaced_frames_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "movie.mp4"
    _record(path, [20, 21, 22, 25, 26, 26, 28, 27, 29])
    result = measure(path)
    assert (result.frames, result.lost, result.duplicated, result.out_of_order) == (9, 2, 1, 1)
    assert result.lip_sync_max_ms is None


def test_the_command_prints_a_summary_or_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "movie.mp4"
    _record(path, list(range(FIRST, FIRST + 40)))
    assert main([str(path)]) == 0
    assert "lost          0" in capsys.readouterr().out
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(MeasureError, match="cannot be decoded"):
        measure(path)
    assert main([str(path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert main([]) == 2
