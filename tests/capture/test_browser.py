"""Chromium plays what a recording decrypts to: as a file, and chunk by chunk through Media Source Extensions."""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from capture.capture import Capture
from capture.profiles import profile_named
from drivers.camera.synthetic import SyntheticCamera
from drivers.microphone.synthetic import SyntheticMicrophone

_PAGE = """<!doctype html><video id=video muted autoplay></video><script>
const video = document.getElementById("video");
const tell = (result) => fetch("/result", {method: "POST", body: JSON.stringify(result)});
async function append(parts, codecs) {
  const source = new MediaSource(), other = document.createElement("video");
  other.src = URL.createObjectURL(source);
  await new Promise((resolve) => { source.onsourceopen = resolve; });
  const buffer = source.addSourceBuffer(`video/mp4; codecs="${codecs}"`);
  for (let part = 0; part < parts; part++) {
    const data = await (await fetch(`/part/${part}`)).arrayBuffer();
    await new Promise((resolve, reject) => {
      buffer.onupdateend = resolve;
      buffer.onerror = () => reject(`part ${part} is refused`);
      buffer.appendBuffer(data);
    });
  }
  const ranges = [];
  for (let i = 0; i < buffer.buffered.length; i++) ranges.push([buffer.buffered.start(i), buffer.buffered.end(i)]);
  return ranges;
}
video.onerror = () => tell({error: video.error.message});
video.onended = async () => {
  try {
    const found = await (await fetch("/about")).json();
    tell({width: video.videoWidth, height: video.videoHeight, duration: video.duration,
          played: video.currentTime, ranges: await append(found.parts, found.codecs)});
  } catch (error) { tell({error: String(error)}); }
};
video.src = "/recording.mp4";
</script>"""


def _record() -> list[bytes]:
    """Return the header and the chunks of some two seconds."""
    parts: list[bytes] = []
    epoch_ns = time.monotonic_ns()
    with (
        SyntheticCamera(epoch_ns=epoch_ns) as camera,
        SyntheticMicrophone(epoch_ns=epoch_ns) as microphone,
        Capture(profile_named("480p30"), camera, microphone) as capture,
    ):
        capture.start()
        while not capture.ended:
            chunk = capture.read(0.5)
            if chunk is not None:
                parts = parts or [capture.init_segment]
                parts.append(bytes(chunk.data))
            if len(parts) == 7:
                capture.request_stop()
    return parts


@contextmanager
def _server(parts: list[bytes], results: queue.Queue[dict[str, object]]) -> Iterator[str]:
    at = parts[0].index(b"avcC") + 5
    codecs = f"avc1.{parts[0][at : at + 3].hex()},mp4a.40.2"
    pages = {"/": ("text/html", _PAGE.encode()), "/recording.mp4": ("video/mp4", b"".join(parts))}
    pages["/about"] = ("application/json", json.dumps({"parts": len(parts), "codecs": codecs}).encode())
    pages |= {f"/part/{number}": ("video/mp4", part) for number, part in enumerate(parts)}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, body = pages.get(self.path, ("", b""))
            self.send_response(200 if kind else 404)
            self.send_header("Content-Type", kind or "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            results.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, name="browser-server", daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join(5)


def test_chromium_plays_the_file_and_every_chunk(tmp_path: Path) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.fail("chromium is not installed: `make setup` installs it")
    parts = _record()
    results: queue.Queue[dict[str, object]] = queue.Queue()
    options = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    more = "--disable-component-update --disable-sync --autoplay-policy=no-user-gesture-required"
    with _server(parts, results) as address:
        browser = subprocess.Popen(
            [chromium, *options.split(), *more.split(), f"--user-data-dir={tmp_path}", address],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            found = results.get(timeout=90)
        finally:
            browser.kill()
            browser.wait(10)
    assert "error" not in found, found
    assert (found["width"], found["height"]) == (848, 480)
    assert found["duration"] == found["played"] == pytest.approx(2.0, abs=0.5)
    ranges = found["ranges"]
    assert isinstance(ranges, list)
    assert len(ranges) == 1, "a hole between chunks would stop a live viewer"
    assert ranges[0][1] - ranges[0][0] == pytest.approx(found["duration"], abs=0.1)
