"""A whole device in its dock: what it serves, what it takes, and what it destroys on whose word."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware.board import BOARDS
from firmware.inputs import PowerOff
from firmware.parts import Parts
from firmware.settings import load_settings
from firmware.states import State
from firmware.wiring import Device
from station.dock.client import DeviceClient
from station.dock.discovery import Discovery
from station.errors import RefusedError, StationError
from station.keys import load_station_key
from storage.keyfiles import device_id, load_device_key
from storage.policy import sign_policy
from storage.receipt import Receipt
from storage.segment_report import verify_segment
from storage.signer import MemorySigner
from tests.dock.kit import Pki
from tests.firmware.device import Kit
from tests.firmware.policies import UNIT, policy_text
from tools.prepare import States

_STATION = MemorySigner.from_seed(bytes(reversed(range(32))))
_PATIENCE_S = 30.0


class Docked:
    """It runs, with a journal that was closed, and sits in its dock."""

    def __init__(self, base: Path) -> None:
        self.kit = Kit.make(base, receipt_keys=f'["{_STATION.public.hex()}"]')
        (base / "board.toml").write_text((BOARDS / "simulated.toml").read_text("utf-8"), "utf-8")
        self.pki = Pki(base / "pki")
        self.id = device_id(load_device_key(base / "state" / "device.pub"))
        files = self.pki.device(self.id)
        with self.kit.settings.open("a") as file:
            file.write(
                f'\n[dock]\naddress = "127.0.0.1"\nport = 0\nannounce = true\n[tls]\nauthority = "{files.authority}"\n'
                f'certificate = "{files.certificate}"\nkey = "{files.key}"\n'
            )
        self.tls = self.pki.station()
        for _ in range(2):  # the first life leaves a closed journal
            self.states = States()
            settings = load_settings(self.kit.settings)
            self.device = Device(settings, Parts(settings.board), self.states.changed)
            self.thread = threading.Thread(target=self.device.run, name="appliance", daemon=True)
            self.thread.start()
            self.states.wait_for(State.STANDBY, _PATIENCE_S)
            if _ == 0:
                self.end()

    def dock(self, there: bool) -> None:
        self.device.hardware.dock.put(there)  # type: ignore[attr-defined]
        end_s = time.monotonic() + _PATIENCE_S
        while bool(self.device.docking.port) is not there:
            assert time.monotonic() < end_s
            time.sleep(0.005)

    def client(self) -> DeviceClient:
        return DeviceClient("127.0.0.1", self.device.docking.port, self.tls)

    def end(self) -> None:
        self.device.inputs.put(PowerOff(), timeout=1.0)
        self.thread.join(_PATIENCE_S)
        self.device.__exit__(None, None, None)


@pytest.fixture
def docked(tmp_path: Path) -> Iterator[Docked]:
    made = Docked(tmp_path)
    yield made
    made.end()


def test_a_docked_device_serves_takes_and_obeys_a_receipt(docked: Docked) -> None:
    assert docked.device.docking.port == 0, "not before it is docked"
    docked.dock(True)
    segment = docked.kit.flash / "segments" / "0000000001.seg"
    with docked.client() as client:
        status = client.status()
        assert (status.device, status.closed_segment, status.policy_serial) == (docked.id, 1, 1)
        (item,) = client.segments()
        assert item.size_bytes == segment.stat().st_size
        now_ns = time.time_ns() + 5_000_000_000
        assert "behind" in client.post("/1/time", json.dumps({"utc_ns": now_ns}).encode())
        reading = docked.device.hardware.clock.read()
        assert abs(reading.utc_ns - time.time_ns() - 5_000_000_000) < 2_000_000_000 or reading.synchronised
        for body in (b"x", b"{}", b'{"utc_ns":1}', b'{"utc_ns":true}', b'{"utc_ns":5000000000000000000}'):
            with pytest.raises(RefusedError):
                client.post("/1/time", body)
        assert client.post("/1/assignment", b'{"officer":"P201"}') == "taken"
        for body in (b"[]", b'{"officer":"a b"}', b'{"officer":5}', b'{"officer":"P1","x":1}'):
            with pytest.raises(RefusedError):
                client.post("/1/assignment", body)
        assert (docked.kit.base / "state" / "assignment").read_text() == "P201"
        recipient = load_station_key(docked.kit.station_key).recipient
        newer = sign_policy(policy_text([recipient], serial="2", video_profile='"480p30"'), UNIT)
        assert "policy 2" in client.post("/1/policy", newer)
        assert client.status().policy_serial == 2
        with pytest.raises(RefusedError, match="refused"):
            client.post("/1/policy", sign_policy(policy_text([recipient]), UNIT))
        report = verify_segment(segment, docked.device.store.identity)  # type: ignore[union-attr]
        assert report.tip is not None
        from storage.particulars import Previous

        last = Previous(1, report.sound_chunks, report.tip)
        receipt = Receipt(docked.id, 1, last, item.size_bytes, item.digest, 5)
        for signer in (UNIT, MemorySigner.generate()):
            with pytest.raises(RefusedError, match="names no station"):
                client.post("/1/receipts", receipt.sign(signer))
        assert segment.exists()
        assert client.post("/1/receipts", receipt.sign(_STATION)) == "segment 1 is destroyed"
        assert not segment.exists()
        assert client.post("/1/receipts", receipt.sign(_STATION)) == "segment 1 is not here any more"
        port = docked.device.docking.port
    docked.dock(False)
    with pytest.raises(StationError, match="nobody answers"):
        DeviceClient("127.0.0.1", port, docked.tls)
    docked.dock(True)
    docked.dock(False)


def test_it_is_found_by_name_on_the_docks_link(docked: Docked) -> None:
    found: list[tuple[str, str, int]] = []
    came = threading.Event()

    def note(name: str, host: str, port: int) -> None:
        if name == docked.id.hex():
            found.append((name, host, port))
            came.set()

    with Discovery("127.0.0.1", note):
        docked.dock(True)
        assert came.wait(_PATIENCE_S)
    assert found[0] == (docked.id.hex(), "127.0.0.1", docked.device.docking.port)
