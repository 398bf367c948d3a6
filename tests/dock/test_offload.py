"""From the dock to the receipt, over real TLS."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from station.authority import new_authority
from station.custody.devices import Devices
from station.custody.tables import DeviceRow
from station.dock.bay import Handed
from station.dock.client import DeviceClient
from station.dock.command import _table
from station.dock.errors import DeviceLiesError
from station.dock.turns import Turns
from station.errors import StationError
from station.live.shelf import LiveShelf
from storage.receipt import parse_receipt
from tests.dock.kit import Docked, Pki, Station, refuse
from tests.storage.forge import split
from tools.cable import Cable
from uplink.offload.application import Application, _json


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path / "pki")


@pytest.fixture
def station(tmp_path: Path, pki: Pki) -> Iterator[Station]:
    made = Station(tmp_path / "station", pki)
    yield made
    made.close()


@pytest.fixture
def docked(tmp_path: Path, pki: Pki, station: Station) -> Docked:
    made = Docked(tmp_path / "device", pki)
    made.device.shift(parts=2, chunks=6, size=50_000)
    station.enrol(made)
    return made


def test_all_of_it_arrives_is_checked_receipted_and_not_asked_for_again(station: Station, docked: Docked) -> None:
    with docked.served():
        bay = station.bay(docked.port)
        bay.visit()
        status = bay.status()
        assert (status["state"], status["text"]) == ("done", "")
        assert status["segments_done"] == status["segments"] == status["receipts"] == 4
        assert status["bytes_done"] == status["bytes"] > 0
        bay.visit()
        assert bay.status()["state"] == "done"
    receipts = [parse_receipt(data, {station.signer.public}) for data in docked.receipts]
    assert [receipt.segment for receipt in receipts] == [1, 2, 3, 4]
    for receipt in receipts:
        source = docked.device.flash / "segments" / f"{receipt.segment:010d}.seg"
        (body,) = (station.base / "bodies" / docked.id.hex()).glob(f"{receipt.segment:010d}-*")
        assert body.read_bytes() == source.read_bytes()
        assert body.stat().st_mode & 0o777 == 0o600
        assert receipt.size_bytes == source.stat().st_size
    assert [what for what, _ in docked.given] == ["time"]
    assert len(list(station.base.glob("incoming/*/*"))) == 0


def test_pulled_at_any_byte_it_goes_on_there_and_loses_nothing(tmp_path: Path, pki: Pki, docked: Docked) -> None:
    """Cut in handshake, status, list, header, body, receipts: at bytes that a die chose, and at the first ones."""
    dice = random.Random(11)
    sizes = [path.stat().st_size for path in sorted((docked.device.flash / "segments").iterdir())]
    with docked.served():
        for after in [1, 900, 2500, 3000, 3300, *(dice.randrange(3000, sum(sizes) + 6000) for _ in range(12))]:
            station = Station(tmp_path / f"station{after}", pki)
            station.enrol(docked)
            docked.receipts.clear()
            proxy = Cable(docked.port, after)
            bay = station.bay(proxy.port)
            bay.visit()
            assert bay.status()["state"] in ("pulled", "waiting", "done"), bay.status()
            if bay.status()["segments_done"] < len(sizes):
                assert docked.receipts == [], "nothing is erased before all of it is here"
            for _ in range(2):
                bay.visit()
            proxy.close()
            assert bay.status()["state"] == "done", bay.status()
            kept = sorted((station.base / "bodies").glob("*/*.seg"))
            assert [path.stat().st_size for path in kept] == sizes
            station.close()


def test_a_bay_that_waits_for_its_turn_keeps_its_device_and_sees_it_pulled(station: Station, docked: Docked) -> None:
    turns = Turns(1)
    asked = threading.Semaphore(0)
    status = docked._status

    def counted() -> dict[str, object]:
        asked.release()
        return status()

    docked._status = counted  # type: ignore[method-assign]
    with docked.served() as server:
        bay = station.bay(docked.port, turns=turns)
        visit = threading.Thread(target=bay.visit, name="visit")
        with turns.turn(0.0):
            visit.start()
            for _ in range(3):  # the first is asked before it waits
                assert asked.acquire(timeout=20)
            assert bay.status()["state"] == "receiving"
        visit.join(20)
        assert bay.status()["state"] == "done"

        other = Station(station.base / "other", station.pki)
        other.enrol(docked)
        docked.receipts.clear()
        bay = other.bay(docked.port, turns=turns)
        visit = threading.Thread(target=bay.visit, name="visit")
        with turns.turn(0.0):
            visit.start()
            for _ in range(2):
                assert asked.acquire(timeout=20)
            server.close()
            visit.join(20)
            assert not visit.is_alive()
        assert bay.status()["state"] == "pulled"
        assert docked.receipts == []
        other.close()


def test_what_live_view_left_here_is_not_fetched_again(tmp_path: Path, station: Station, docked: Docked) -> None:
    shelf = LiveShelf(tmp_path / "shelf", 10**9)
    for number, without in ((2, {3, 4}), (3, {0, 7})):
        records = split((docked.device.flash / "segments" / f"{number:010d}.seg").read_bytes())
        for chunk, record in enumerate(records):
            if chunk not in without:
                shelf.add(docked.id, number, chunk, record, 1)
    shelf.close()
    with docked.served():
        bay = station.bay(docked.port, shelf=shelf)
        bay.visit()
        status = bay.status()
    assert status["state"] == "done", status
    assert status["from_shelf_bytes"] > 400_000
    assert len(docked.receipts) == 4
    assert list((tmp_path / "shelf").glob("*/*.live")) == []


def test_a_shelf_that_lies_is_not_believed(tmp_path: Path, station: Station, docked: Docked) -> None:
    shelf = LiveShelf(tmp_path / "shelf", 10**9)
    records = split((docked.device.flash / "segments" / "0000000002.seg").read_bytes())
    changed = bytearray(records[2])
    changed[200] ^= 1
    shelf.add(docked.id, 2, 0, records[0], 1)
    shelf.add(docked.id, 2, 2, bytes(changed), 1)
    shelf.close()
    with docked.served():
        bay = station.bay(docked.port, shelf=shelf)
        bay.visit()
    assert bay.status()["state"] == "done"
    assert len(docked.receipts) == 4


def test_a_device_that_records_keeps_what_it_has_and_is_offered_the_receipts_again(
    station: Station, docked: Docked
) -> None:
    taken, docked.accept = docked.accept, refuse("it is kept for now: the device records; offer it again")
    with docked.served():
        bay = station.bay(docked.port)
        bay.visit()
        assert bay.status()["state"] == "kept on the device"
        docked.accept = taken
        bay.visit()
        assert bay.status()["state"] == "done"
    assert len(docked.receipts) == 4


def test_an_unenrolled_and_a_revoked_device_are_refused_with_the_reason(station: Station, docked: Docked) -> None:
    devices = Devices(station.database, station.audit, lambda: station.now_ns)
    devices.revoke("T1", docked.id.hex(), "it was lost on 3 March")
    with docked.served():
        bay = station.bay(docked.port)
        bay.visit()
        assert bay.status()["state"] == "refused"
        assert "it was lost on 3 March" in bay.status()["text"]
        with station.database.session() as session:
            session.delete(session.get_one(DeviceRow, docked.id.hex()))
        bay.visit()
        assert "is not enrolled" in bay.status()["text"]
    assert docked.receipts == []


def test_a_chain_that_was_rolled_back_or_forked_is_an_alarm_and_stays_on_record(
    tmp_path: Path, station: Station, docked: Docked
) -> None:
    with docked.served():
        bay = station.bay(docked.port)
        bay.visit()
        docked.receipts.clear()
        docked.changes = {"closed_segment": 2}
        bay = station.bay(docked.port)
        bay.visit()
        assert bay.status()["state"] == "alarm"
        assert "rolled back" in bay.status()["text"]
        docked.changes = {"chain": "ab" * 32}
        bay.visit()
        assert "forked" in bay.status()["text"]
    assert docked.receipts == []
    assert station.lines().count('"act":"alarm"') == 2


def test_a_hole_is_on_record_before_anything_is_erased(station: Station, docked: Docked) -> None:
    (docked.device.flash / "segments" / "0000000002.seg").unlink()
    with docked.served():
        bay = station.bay(docked.port)
        bay.visit()
        status = bay.status()
    assert status["holes"] == [(2, 2)]
    assert "nowhere" in status["text"]
    acts = [json.loads(line)["act"] for line in station.lines().splitlines()]
    assert acts == ["ingest", "ingest", "ingest", "alarm"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"device": "00" * 16}, "its certificate is"),
        ({"device": 5}, "hexadecimal"),
        ({"closed_segment": -1}, "no number"),
        ({"closed_segment": True}, "no number"),
        ({"closed_segment": 2**40}, "no number"),
        ({"chain": "zz"}, "hexadecimal"),
        ({"utc_ns": "now"}, "no number"),
        ({"more": "x" * 300_000}, "has no end"),
    ],
)
def test_a_device_that_lies_about_itself_is_an_alarm(
    station: Station, docked: Docked, changes: dict[str, object], says: str
) -> None:
    docked.changes = changes
    with docked.served():
        bay = station.bay(docked.port)
        bay.visit()
    assert bay.status()["state"] == "alarm"
    assert says in bay.status()["text"]
    assert docked.receipts == []


def lying(items: list[object], more: bool) -> Callable[..., object]:
    return lambda _self, _environ, start: _json(start, {"segments": items, "more": more})


@pytest.mark.parametrize(
    ("items", "more", "says"),
    [
        ([{"number": 1, "size_bytes": 100, "digest": "00" * 32}], True, "after segment"),
        ([], True, "not one"),
        ([5], False, "not one"),
        ([{"number": 0, "size_bytes": 100, "digest": "00" * 32}], False, "segment 0"),
        ([{"number": 1, "size_bytes": 10**12, "digest": "00" * 32}], False, "no number"),
        ([{"number": 1, "size_bytes": 100, "digest": "../../etc/passwd"}], False, "hexadecimal"),
        ([{"number": "../1", "size_bytes": 100, "digest": "00" * 32}], False, "no number"),
        ([{"number": 1, "size_bytes": 100, "digest": "00" * 32}], False, "answers 206"),
        ([{"number": 9, "size_bytes": 100, "digest": "00" * 32}], False, "answers 404"),
    ],
)
def test_a_list_that_lies_is_an_alarm(
    monkeypatch: pytest.MonkeyPatch, station: Station, docked: Docked, items: list[object], more: bool, says: str
) -> None:
    monkeypatch.setattr(Application, "_list", lying(items, more))
    with docked.served():
        bay = station.bay(docked.port)
        bay.visit()
    assert (bay.status()["state"], says in bay.status()["text"]) == ("alarm", True), bay.status()
    assert docked.receipts == []


@pytest.mark.parametrize("length", ["99999999999", "0", "1"])
def test_a_length_that_is_not_what_was_asked_for_is_an_alarm_and_asks_for_no_memory(
    monkeypatch: pytest.MonkeyPatch, station: Station, docked: Docked, length: str
) -> None:
    honest = Application._segment

    def lies(self: Application, environ: Any, start: Any, number: int) -> Any:
        def started(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            return start(status, [(name, length if name == "Content-Length" else v) for name, v in headers], *more)

        list(honest(self, environ, started, number))
        return []

    monkeypatch.setattr(Application, "_segment", lies)
    with docked.served():
        bay = station.bay(docked.port)
        bay.visit()
    assert (bay.status()["state"], "another number of bytes" in bay.status()["text"]) == ("alarm", True), bay.status()


def test_a_bay_goes_on_whatever_happens_in_it(
    monkeypatch: pytest.MonkeyPatch, station: Station, docked: Docked, caplog: pytest.LogCaptureFixture
) -> None:
    honest, failed = DeviceClient.segments, threading.Event()

    def fails_once(self: DeviceClient) -> Any:
        if not failed.is_set():
            failed.set()
            raise MemoryError
        return honest(self)

    states: list[str] = []
    done = threading.Event()

    def changed(status: Any) -> None:
        states.append(status.state)
        if status.state == "done":
            done.set()

    monkeypatch.setattr(DeviceClient, "segments", fails_once)
    with docked.served():
        bay = station.bay(docked.port, on_change=changed)
        bay.begin()
        try:
            assert done.wait(60)
        finally:
            bay.close()
    assert "trouble" in states
    assert "MemoryError" in caplog.text
    assert "Traceback" not in caplog.text


def test_what_a_device_says_is_nothing_that_a_terminal_obeys(station: Station, docked: Docked) -> None:
    docked.accept = refuse("no \x1b]0;owned\x07\x1b[2J")
    with docked.served():
        bay = station.bay(docked.port, name="[/x]")
        bay.visit()
    status = bay.status()
    assert status["text"].isprintable()
    assert "owned" in status["text"]
    console = Console(width=200)
    with console.capture() as shown:
        console.print(_table([status]))
    assert "[/x]" in shown.get()


def test_a_bay_where_nobody_is_looks_where_the_device_is_now(station: Station, docked: Docked) -> None:
    with docked.served(), socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
        nobody.close()
        bay = station.bay(port)
        bay.visit()
        assert bay.status()["state"] == "waiting"
        bay.move("127.0.0.1", docked.port)
        bay.visit()
        assert bay.status()["state"] == "done"
        bay.move("127.0.0.1", port)
        bay.visit()
        assert bay.status()["state"] == "done", "who is found is not looked for elsewhere"


def test_bytes_that_are_not_what_the_device_listed_are_not_kept(station: Station, docked: Docked) -> None:
    path = docked.device.flash / "segments" / "0000000003.seg"
    with docked.served():
        data = bytearray(path.read_bytes())
        data[-3000] ^= 1
        path.write_bytes(data)
        bay = station.bay(docked.port)
        bay.visit()
        assert bay.status()["state"] == "alarm"
        assert "segment 3" in bay.status()["text"]
    assert docked.receipts == []
    assert not list((station.base / "incoming").rglob("0000000003*"))
    assert not list((station.base / "bodies").rglob("0000000003*"))


def test_a_full_station_disk_is_told_and_nothing_is_receipted(
    monkeypatch: pytest.MonkeyPatch, station: Station, docked: Docked
) -> None:
    monkeypatch.setattr("station.dock.fetch.shutil.disk_usage", lambda _path: SimpleNamespace(free=1000))
    with docked.served():
        bay = station.bay(docked.port)
        bay.visit()
        assert bay.status()["state"] == "trouble"
        assert "disk is full" in bay.status()["text"]
        assert docked.receipts == []
        monkeypatch.undo()
        bay.visit()
        assert bay.status()["state"] == "done"


def test_a_body_store_or_a_log_that_fails_receipts_nothing_and_recovers(
    monkeypatch: pytest.MonkeyPatch, station: Station, docked: Docked
) -> None:
    def failing(*_: object) -> None:
        raise StationError("the disk is on fire")

    with docked.served():
        for broken, name in ((station.store, "put"), (station.audit, "write")):
            with monkeypatch.context() as patch:
                patch.setattr(broken, name, failing)
                bay = station.bay(docked.port)
                bay.visit()
                assert bay.status()["state"] == "trouble"
                assert docked.receipts == []
        bay = station.bay(docked.port)
        bay.visit()
        assert bay.status()["state"] == "done"
    assert len(list((station.base / "bodies").rglob("*.seg"))) == 4


def test_only_a_station_may_talk_to_a_device_and_only_a_device_is_believed_to_be_one(
    tmp_path: Path, pki: Pki, station: Station, docked: Docked
) -> None:
    with docked.served():
        station.tls = pki.device(bytes(16))  # another device of the unit
        bay = station.bay(docked.port)
        bay.visit()
        assert bay.status()["state"] == "refused"
        assert "only a station" in bay.status()["text"]
        station.tls = pki.station("foreign", authority=new_authority("another unit", pki.now))
        bay = station.bay(docked.port)
        bay.visit()
        assert bay.status()["state"] in ("waiting", "pulled")
    station.tls = pki.station()
    with docked.served(pki.station("pretender")):
        bay = station.bay(docked.port)
        bay.visit()
        assert bay.status()["state"] == "alarm"
        assert "no device of the unit" in bay.status()["text"]
    assert docked.receipts == []


def test_the_device_refuses_what_it_does_not_serve(station: Station, docked: Docked) -> None:
    with docked.served(), DeviceClient("127.0.0.1", docked.port, station.tls) as client:
        for path, code in (
            ("/1/segments/../../../state/keyring", 404), ("/1/segments/%2e%2e/keyring", 404), ("/1/segments/99", 404),
            ("/", 404), ("/1/segments?after=x", 400), ("/1/segments?after=1&x=2", 400), ("/1/segments/-1", 404),
        ):  # fmt: skip
            response = client._ask("GET", path, {})
            response.read()
            assert response.status == code, path
        for wanted in ("bytes=99999999-", "bytes=5-1", "bytes=-5", "lines=1-2", "bytes=0-1,3-4"):
            response = client._ask("GET", "/1/segments/1", {"Range": wanted})
            response.read()
            assert response.status == 416, wanted
        response = client._ask("PUT", "/1/receipts", {}, b"x")
        response.read()
        assert response.status == 405
        for path, body in (("/1/nothing", b"x"),):
            with pytest.raises(DeviceLiesError, match="404"):
                client.post(path, body)
        # A part, from the middle.
        whole = (docked.device.flash / "segments" / "0000000001.seg").read_bytes()
        size = len(whole)
        assert b"".join(bytes(block) for block in client.read(1, 100, 300, size)) == whole[100:300]


def test_the_open_segment_is_not_offered(station: Station, docked: Docked) -> None:
    with docked.served():
        assert docked.store is not None
        docked.store.begin(docked.device.clock.stamp())
        with DeviceClient("127.0.0.1", docked.port, station.tls) as client:
            assert [item.number for item in client.segments()] == [1, 2, 3, 4]


def test_a_device_that_trickles_holds_up_its_bay_for_a_while_only(
    monkeypatch: pytest.MonkeyPatch, station: Station, docked: Docked
) -> None:
    monkeypatch.setattr("station.dock.client._ANSWER_S", 0.5)
    pause = threading.Event()

    def trickle(_self: object, _environ: object, start: Callable[..., object]) -> Iterator[bytes]:
        start("200 OK", [("Content-Type", "application/json"), ("Content-Length", "1000")])
        for _ in range(1000):
            yield b" "
            pause.wait(0.05)

    monkeypatch.setattr(Application, "__call__", trickle)
    with docked.served():
        bay = station.bay(docked.port)
        begin = time.monotonic()
        bay.visit()
        assert time.monotonic() - begin < 10
        assert bay.status()["state"] in ("pulled", "waiting")
        pause.set()


def test_a_newer_policy_and_the_next_assignment_are_handed_over(station: Station, docked: Docked) -> None:
    handed = Handed(lambda _device: (2, b"the policy"), lambda _device: b'{"officer":"12345"}')
    with docked.served():
        station.bay(docked.port, handed=handed).visit()
    assert [what for what, _ in docked.given] == ["time", "policy", "assignment"]
    assert docked.given[1][1] == b"the policy"
    docked.given.clear()
    with docked.served():
        docked.changes = {"policy_serial": 2}
        station.bay(docked.port, handed=handed).visit()
    assert [what for what, _ in docked.given] == ["time", "assignment"]
