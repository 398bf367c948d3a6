"""The page in a real browser: it plays, and says what is known; nobody without the token sees anything."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from station.keys import load_station_key, write_new_key
from station.live.receiver import LiveReceiver
from station.live.register import DeviceRegister
from station.live.shelf import LiveShelf
from station.live.web import live_app
from station.opener import FileKeyOpener
from storage.keyfiles import encode_device_key
from storage.layout import Flags
from tests.capture.test_browser import _movie
from tests.live.broker import TestBroker, wait_for
from tests.live.kit import Camera
from tools.browser import Browser


class Served:
    """`station live serve` as a program of its own, and a camera that streams to it."""

    def __init__(self, base: Path, broker: TestBroker) -> None:
        write_new_key(base / "station.key", hybrid=False)
        self.camera = Camera(base / "camera", broker.for_device, station=load_station_key(base / "station.key"))
        (base / "devices").mkdir()
        (base / "devices" / "one.pub").write_bytes(encode_device_key(self.camera.store.identity))
        files = broker.station_files()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "station", "live", "serve", "--devices", str(base / "devices"),
             "--key", str(base / "station.key"), "--tls", str(broker.folder), "--shelf", str(base / "shelf"),
             "--host", "127.0.0.1", "--port", str(broker.port), "--page-port", "0"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert files.certificate.name == "station.crt"
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        self.port = int(self.address.split(":")[2].split("/")[0])

    def get(self, path: str, *, method: str = "GET", **headers: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def close(self) -> None:
        self.camera.close()
        self.process.send_signal(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=20)
        assert self.process.returncode == 0, errors
        assert "Traceback" not in errors


@pytest.fixture
def served(tmp_path: Path, broker: TestBroker) -> Iterator[Served]:
    made = Served(tmp_path, broker)
    yield made
    made.close()


def test_a_browser_plays_what_is_streamed_and_says_that_it_is_verified(served: Served) -> None:
    camera = served.camera
    init, *chunks = _movie()[0]
    camera.begin()
    clock = camera.device.clock
    segment = camera.store.begin(clock.stamp(), recording=b"R" * 16, profile="test", init=init)
    with Browser(served.address) as browser:
        browser.wait_for("document.querySelector('#devices button') !== null")
        browser.evaluate("document.querySelector('#devices button').click()")
        # Who watches is shown what comes from then on.
        browser.wait_for("fetch('status').then((answer) => answer.json()).then((all) => all.devices[0].watched === 1)")
        for number, chunk in enumerate(chunks):
            # Every third of a second begins with a key picture once a second.
            flags = Flags.SOUND | (Flags.KEY if number % 3 == 0 else Flags(0))
            segment.media(clock.stamp(333_333_333), chunk, flags)
        browser.wait_for("document.getElementById('video').getVideoPlaybackQuality().totalVideoFrames > 0")
        browser.wait_for("document.getElementById('video').currentTime > 1.7")
        assert browser.evaluate("document.getElementById('verified').textContent") == "verified"
        assert browser.evaluate("document.getElementById('light').textContent") == "lit, sensed lit"
        assert browser.evaluate("document.getElementById('preview').hidden") is True
        segment.close("stop", clock.stamp())
        browser.wait_for("document.getElementById('log').textContent.includes('the recording ended: stop')")
        browser.evaluate("document.getElementById('ask').click()")
        wait_for(lambda: camera.told.asks)
        assert camera.told.asks[0].by == "station"


class InProcess(Served):
    """The same page in a thread of this process."""

    def __init__(self, base: Path, broker: TestBroker) -> None:
        write_new_key(base / "station.key", hybrid=False)
        self.camera = Camera(base / "camera", broker.for_device, station=load_station_key(base / "station.key"))
        (base / "devices").mkdir()
        (base / "devices" / "one.pub").write_bytes(encode_device_key(self.camera.store.identity))
        self.receiver = LiveReceiver(
            broker.for_station(), DeviceRegister(base / "devices"),
            FileKeyOpener(load_station_key(base / "station.key")), LiveShelf(base / "shelf", 10**9),
        )  # fmt: skip
        self.receiver.begin()
        sock = socket.create_server(("127.0.0.1", 0))
        self.port = int(sock.getsockname()[1])
        self.address = f"http://127.0.0.1:{self.port}/enter?token=sesame"
        config = uvicorn.Config(
            live_app(self.receiver, "sesame", "station"), log_level="error", lifespan="off",
            timeout_graceful_shutdown=1,
        )  # fmt: skip
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, args=([sock],), name="page", daemon=True)
        self.thread.start()
        wait_for(lambda: self.server.started)

    def close(self) -> None:
        self.camera.close()
        self.server.should_exit = True
        self.thread.join(20)
        self.receiver.close()


@pytest.fixture
def page(tmp_path: Path, broker: TestBroker) -> Iterator[InProcess]:
    made = InProcess(tmp_path, broker)
    yield made
    made.close()


def test_a_stream_is_frames_with_their_lengths(page: InProcess) -> None:
    camera = page.camera
    camera.begin()
    segment = camera.record()
    camera.chunk(segment, 0)
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=20)
    mine = {"Cookie": "getuige-live=sesame"}
    wait_for(lambda: '"live":true' in page.get("/status", **mine)[1])
    connection.request("GET", f"/devices/{camera.id.hex()}/stream", headers=mine)
    answer = connection.getresponse()
    bodies = []
    for _ in range(2):
        head, size = struct.unpack(">II", answer.read(8))
        bodies.append((json.loads(answer.read(head)), answer.read(size)))
        if len(bodies) == 1:
            second = camera.chunk(segment, 1)
    assert [about["kind"] for about, _ in bodies] == ["init", "media"]
    assert bodies[0][1] == b"init"
    assert bodies[1][1] == second
    assert bodies[1][0]["verified"] is True
    connection.close()
    assert page.get("/enter?token=sesame")[0] == 303
    assert "Getuige live" in page.get("/", **mine)[1]
    assert page.get("/live.css", **mine)[0] == 200
    status, text = page.get(f"/devices/{camera.id.hex()}/ask", method="POST", X_Getuige="1", **mine)
    assert (status, "id" in json.loads(text)) == (200, True)
    wait_for(lambda: camera.told.asks)


def test_without_the_token_nothing_is_seen(page: InProcess) -> None:
    device = page.camera.id.hex()
    for path in ("/", "/status", "/live.js", f"/devices/{device}/stream"):
        assert page.get(path)[0] == 403
        assert page.get(path, Cookie="getuige-live=wrong")[0] == 403
    assert page.get("/enter?token=wrong")[0] == 403
    assert page.get(f"/devices/{device}/ask", method="POST")[0] == 403
    token = page.address.split("token=")[1]
    mine = f"getuige-live={token}"
    status, text = page.get("/status", Cookie=mine)
    assert status == 200
    assert json.loads(text)["devices"] == [{"device": device, "online": False, "live": False}]
    # A page of another site that names this one, or a form of its making.
    assert page.get("/status", Cookie=mine, Host="evil.example")[0] == 400
    assert page.get(f"/devices/{device}/ask", method="POST", Cookie=mine)[0] == 403
    assert page.get("/devices/00/stream", Cookie=mine) == (409, "that is no device id")
    assert page.get(f"/devices/{'0' * 32}/stream", Cookie=mine)[0] == 409
    assert page.get("/../station.key", Cookie=mine)[0] == 404
    assert page.get("/passwd", Cookie=mine)[0] == 404
