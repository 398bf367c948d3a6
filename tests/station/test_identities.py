"""A device whose identity is of P-256, in memory and in a real TPM: everything the station does with a device, done."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from station.bundle import verify as script
from station.bundle.bundle import Disclosure, make_bundle
from station.custody.devices import Devices
from station.live.register import DeviceRegister
from station.live.segment import LiveSegment
from station.opener import FileKeyOpener
from storage.inventory import segment_name
from storage.keyfiles import device_id, encode_device_key
from storage.receipt import parse_receipt
from storage.signer import MemorySigner, Signer, signer_from_uri
from storage.verify import verify
from tests.dock.kit import Docked, Pki, Station
from tests.station.kit import Bench
from tests.storage import outsider
from tests.storage.forge import split
from tests.storage.kit import Device
from tests.storage.p256 import P256Signer
from tests.storage.swtpm import running

RECORDING = (b"R" * 16).hex()


@pytest.fixture(params=["memory", "tpm"])
def signer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Signer]:
    if request.param == "memory":
        yield P256Signer(bytes(range(1, 33)))
        return
    with running(tmp_path / "tpm") as tpm:
        yield signer_from_uri(tpm.uri)


@pytest.fixture
def device(signer: Signer, tmp_path: Path) -> Device:
    made = Device(tmp_path / "device", signer=signer)
    made.shift()
    assert len(made.identity) == 33
    return made


def test_verified_and_exported(device: Device, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench(device, tmp_path, capsys)
    answer = bench.verify("--json")
    assert (answer.status, answer.json["verdict"]) == (0, "authentic")
    assert answer.json["device"] == device_id(device.identity).hex()
    assert outsider.verify(device.flash, bench.device_key.read_bytes()).verdict == "authentic"
    assert bench.export().status == 0
    assert bench.output.is_file()
    bench.device_key.write_bytes(encode_device_key(P256Signer(bytes(31) + b"\7").public))
    assert bench.verify().status == 1


def test_docked_received_and_receipted(device: Device, tmp_path: Path) -> None:
    station = Station(tmp_path / "station", Pki(tmp_path / "pki"))
    docked = Docked(tmp_path / "docked", station.pki)
    docked.device = device
    devices = Devices(station.database, station.audit, lambda: 1)
    number = devices.enrol("T1", device.identity, "one")
    assert number == docked.id.hex() == device_id(device.identity).hex()
    assert [known.identity for known in devices.all()] == [device.identity]
    with docked.served():
        bay = station.bay(docked.port)
        bay.visit()
    assert (bay.status()["state"], bay.status()["text"]) == ("done", "")
    assert [parse_receipt(data, {station.signer.public}).segment for data in docked.receipts] == [1, 2, 3, 4]
    station.close()


def test_disclosed_and_checked_by_the_defence(
    device: Device, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    station = MemorySigner.generate()
    files = [device.flash / "segments" / segment_name(number) for number in (2, 3)]
    bundle = tmp_path / "bundle"
    done = make_bundle(files, device.identity, FileKeyOpener(device.station), station, RECORDING,
                       Disclosure("E. Beheer (E300)", "mr. X", "verzoek", "b"), bundle)  # fmt: skip
    assert done.verdict.value == "authentic"
    key = tmp_path / "key"

    def check(device_key: str = str(bundle / "device.pub"), station_key: str = station.public.hex()) -> tuple[int, str]:
        status = script.main([str(bundle), "--device", device_key, "--station", station_key])
        return status, "".join(capsys.readouterr())

    alone = subprocess.run([sys.executable, "-I", str(bundle / "verify.py")], capture_output=True, text=True,
                           check=False, cwd="/")  # fmt: skip
    assert (alone.returncode, f"key {device.identity.hex()}" in alone.stdout) == (0, True), alone.stderr
    for good in (device.identity.hex(), str(bundle / "device.pub")):
        status, text = check(good)
        assert (status, f"key {device.identity.hex()}" in text) == (0, True), text
    assert check(P256Signer(bytes(31) + b"\7").public.hex())[0] == 1
    assert check(station.public.hex())[0] == 1
    assert check("02" + "ff" * 32)[0] == 1  # no point of the curve
    for wrong in (device.identity.hex() + "00", device.identity.hex()[2:-2]):
        assert check(wrong)[0] == 2
    status, text = check(station_key=str(bundle / "device.pub"))
    assert (status, "is not an Ed25519 public key" in text) == (2, True), "a station's key is of Ed25519 alone"
    assert check(station_key=device.identity.hex())[0] == 2
    key.write_bytes(encode_device_key(station.public))
    assert check(station_key=str(key))[0] == 0


def test_followed_live(device: Device, tmp_path: Path) -> None:
    folder = tmp_path / "devices"
    folder.mkdir()
    (folder / "one.pub").write_bytes((device.state / "device.pub").read_bytes())
    identity = DeviceRegister(folder).identity(device_id(device.identity))
    assert identity == device.identity
    opening, *chunks = split((device.flash / "segments" / segment_name(2)).read_bytes())
    segment = LiveSegment(identity, opening)
    for chunk in chunks:
        segment.take(chunk, segment.last_tip)
    assert (segment.highest, segment.closed) == (len(chunks), "rotation")
    assert verify(device.flash, identity, workers=1).verdict.value == "authentic"
