"""Three seconds of the synthetic pair, really encoded, and measured in the decoded result."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path

from capture.capture import Capture
from capture.chunk import Gap
from capture.profiles import profile_named
from drivers.camera.synthetic import SyntheticCamera
from drivers.microphone.synthetic import SyntheticMicrophone
from tools.measure import measure


def test_a_recording_loses_nothing_and_keeps_lips_in_sync(tmp_path: Path) -> None:
    path = tmp_path / "recording.mp4"
    profile = profile_named("480p30")
    epoch_ns = time.monotonic_ns()
    lengths: list[int] = []
    gaps: list[Gap] = []
    with (
        SyntheticCamera(epoch_ns=epoch_ns) as camera,
        SyntheticMicrophone(epoch_ns=epoch_ns, drift_ppm=150) as microphone,
        Capture(profile, camera, microphone) as capture,
        path.open("wb") as file,
    ):
        capture.start()
        recorded_ns = 0
        while not capture.ended:
            chunk = capture.read(0.5)
            if chunk is None:
                continue
            if not lengths:
                file.write(capture.init_segment)
            file.write(chunk.data)
            lengths.append(chunk.duration_ns)
            gaps += chunk.gaps
            assert chunk.audio_live
            # Not `video_live`: on a machine that is busy a picture may come late for its chunk; none may be lost.
            recorded_ns += chunk.duration_ns
            if recorded_ns > 3_000_000_000:
                capture.request_stop()
    assert not [thread.name for thread in threading.enumerate() if "watch" in thread.name or "synthetic" in thread.name]
    assert gaps == []
    assert max(lengths) <= 500_000_000
    assert capture.statistics.dropped_frames == capture.statistics.camera_restarts == 0

    result = measure(path)
    assert result.frames == capture.statistics.frames >= 90
    assert (result.lost, result.duplicated, result.out_of_order, result.unreadable) == (0, 0, 0, 0)
    assert len(result.flashes_s) == len(result.lip_sync_ms) >= 2
    assert result.lip_sync_max_ms is not None
    assert result.lip_sync_max_ms <= 20

    for command in (
        ["ffmpeg", "-v", "error", "-xerror", "-i", str(path), "-f", "null", "-"],
        ["ffprobe", "-v", "error", str(path)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
