"""From the dock to the receipt, over real TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.receipt import parse_receipt
from tests.dock.kit import Docked, Pki, Station


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
