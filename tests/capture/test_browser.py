"""The file in a real browser: as it stands, and chunk by chunk through Media Source Extensions."""

from __future__ import annotations

import http.server
import json
import queue
import shutil
import subprocess
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from capture.aac import AacEncoder
from capture.chunker import Chunker, Picture
from capture.fmp4 import AudioTrack, init_segment
from capture.h264 import length_prefixed, parameter_sets, split
from capture.limits import Limits
from capture.soundtrack import Soundtrack
from drivers.camera.scene import Scene
from drivers.camera.x264 import X264Encoder
from drivers.microphone.protocol import AudioFormat, PcmBlock
from drivers.microphone.synthetic import Voice
from tests.capture.fakes import SECOND, SMALL, coded

_CHROMIUM = shutil.which("chromium")
_ORIGIN = 5000 * SECOND
_PAGE = """<script>
const report = (what) => fetch('/report?' + encodeURIComponent(JSON.stringify(what)));
async function play(how, source, type) {
  const video = document.createElement('video');
  document.body.append(video);
  video.muted = true;
  let error = null;
  try {
    if (type) {
      const media = new MediaSource();
      video.src = URL.createObjectURL(media);
      await new Promise((opened) => { media.onsourceopen = opened; });
      const buffer = media.addSourceBuffer(type);
      for (const part of source) {
        buffer.appendBuffer(await (await fetch(part)).arrayBuffer());
        await new Promise((taken) => { buffer.onupdateend = taken; });
      }
      media.endOfStream();
    } else {
      video.src = source;
    }
    video.playbackRate = 4;
    const ended = new Promise((resolve, reject) => {
      video.onended = resolve;
      video.onerror = () => reject(new Error(video.error.message));
    });
    await video.play();
    await ended;
  } catch (problem) {
    error = String(problem) + (video.error ? ' ' + video.error.message : '');
  }
  const frames = video.getVideoPlaybackQuality().totalVideoFrames;
  await report({how, error, frames, width: video.videoWidth, duration: video.duration,
                audio: video.webkitAudioDecodedByteCount, ranges: video.buffered.length});
}
onload = async () => {
  await play('file', '/movie.mp4', null);
  await play('chunks', PARTS, TYPE);
};
</script><body>"""


def _movie() -> tuple[list[bytes], str]:
    """Two seconds with a camera that was started again half-way, with other parameter sets; the parts and the codec."""
    fmt = AudioFormat()
    encoder = AacEncoder(fmt, 96_000)
    sound, chunker = Soundtrack(fmt, encoder, Limits()), Chunker(Limits(), 30, fmt.sample_rate)
    voice = Voice(fmt, _ORIGIN)
    scene, other = Scene(SMALL.width, SMALL.height, SMALL.frame_rate), X264Encoder(SMALL, preset="veryfast")
    first = coded()[:30]
    units = [unit for number in range(30) for unit in other.encode(scene.draw(number), number * SECOND // 30)]
    second = tuple((unit.data, unit.key) for unit in [*units, *other.flush()])
    sets = [parameter_sets(split(units[0][0])) for units in (first, second)]
    assert sets[0].sps[1] != sets[1].sps[1], "the restart must change the H.264 profile"
    header = init_segment(sets[0], AudioTrack(fmt, 96_000, encoder.config))
    sound.begin(_ORIGIN)
    for number, (data, key) in enumerate(first + second):
        at = _ORIGIN + number * SECOND // 30
        chunker.picture(Picture(*length_prefixed(split(data)), at, key), at)
        for block in range(number * 5 // 3, (number + 1) * 5 // 3):
            sound.add(PcmBlock(voice.block(block), voice.capture_ns(block)))
        frames, sound.frames = sound.frames, []
        chunker.sound(frames, at)
    sound.finish()
    chunker.sound(sound.frames, _ORIGIN + 2 * SECOND)
    chunker.finish()
    return [header, *(chunk.data for chunk in chunker.chunks)], sets[0].sps[1:4].hex()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, files: dict[str, tuple[str, bytes]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = files
        self.reports: queue.Queue[dict[str, Any]] = queue.Queue(16)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path == "/report":
            self.server.reports.put(json.loads(urllib.parse.unquote(query)), timeout=1)
        kind, body = self.server.files.get(path, ("text/plain", b""))
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named so by the base class
        """Say nothing."""


@pytest.fixture
def reports(tmp_path: Path) -> Iterator[queue.Queue[dict[str, Any]]]:
    parts, codec = _movie()
    names = [f"/part{number}" for number in range(len(parts))]
    kind = f'video/mp4; codecs="avc1.{codec},mp4a.40.2"'
    page = _PAGE.replace("PARTS", json.dumps(names)).replace("TYPE", json.dumps(kind))
    files = {name: ("video/mp4", part) for name, part in zip(names, parts, strict=True)}
    files |= {"/": ("text/html", page.encode()), "/movie.mp4": ("video/mp4", b"".join(parts))}
    with _Server(files) as server:
        thread = threading.Thread(target=server.serve_forever, name="test-web-server", daemon=True)
        thread.start()
        browser = subprocess.Popen(
            [
                _CHROMIUM or "chromium",
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--autoplay-policy=no-user-gesture-required",
                "--remote-debugging-port=0",  # without it, it ends once the page is loaded
                f"--user-data-dir={tmp_path}",
                f"http://127.0.0.1:{server.server_port}/",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield server.reports
        finally:
            browser.terminate()
            browser.wait(20)
            server.shutdown()
            thread.join(10)


def test_chromium_plays_the_file_and_its_chunks(reports: queue.Queue[dict[str, Any]]) -> None:
    for how in ("file", "chunks"):
        report = reports.get(timeout=60)
        assert (report["how"], report["error"]) == (how, None)
        assert (report["frames"], report["width"], report["ranges"]) == (60, 320, 1)
        assert report["duration"] == pytest.approx(2, abs=0.03)
        assert report["audio"] > 10_000
