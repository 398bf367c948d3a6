"""Networks given at enrolment: over the cable sealed, on the device alone, cut anywhere; and then it streams."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from drivers.clock.system import SystemClock
from firmware.console.handlers import make_handlers
from firmware.enrolment.settling import Places, Settled, settle
from firmware.enrolment.staging import Staging
from firmware.networks import NetworksFile
from firmware.states import State
from station.enrolment.command import Times, enrol_at
from station.enrolment.conversation import Outcome
from station.enrolment.errors import EnrolmentRefusedError, EnrolmentUnfinishedError
from station.keys import load_station_key
from station.live.receiver import LiveReceiver
from station.live.register import DeviceRegister
from station.live.shelf import LiveShelf
from station.opener import FileKeyOpener
from storage.keyfiles import encode_device_key, load_device_key
from storage.keyring_file import KeyringFile, is_enrolled
from tests.enrolment.bench import Bench, Camera, Direct, bench
from tests.enrolment.test_command import enrol
from tests.enrolment.test_recorder import running
from tests.enrolment.test_refusals import Liar
from tests.firmware.console.cable import Cable, Console
from tests.live.broker import TestBroker, wait_for
from tools.mock_pins import BOARD
from wire.bodies import BytesBody
from wire.calling import Calling
from wire.enrolment import Grant, Kind, parse_grant, parse_request
from wire.errors import RefusedError
from wire.networks import NONE, Networks, Security, Wifi, seal_networks

PHRASE = "a passphrase of nobody"
GIVEN = Networks("127.0.0.1", 8883, (Wifi(b"Unit", Security.WPA, PHRASE),))


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path, people=True) as made:
        yield made


@pytest.fixture
def camera(tmp_path: Path) -> Camera:
    return Camera(tmp_path / "camera")


def networks_file(folder: Path, phrase: str = PHRASE, port: int = 8883) -> Path:
    path = folder / "networks.toml"
    path.touch(0o600)
    path.write_text(
        f'[live]\nhost = "127.0.0.1"\nport = {port}\n[[wifi]]\nssid = "Unit"\npassphrase = "{phrase}"\n', "utf-8"
    )
    return path


def on(camera: Camera) -> Networks:
    return NetworksFile(camera.state).load()


def where(folder: Path, text: str) -> list[str]:
    """The files below a folder that have a text in them, as it is or as the wire writes it."""
    forms = [text.encode(), text.encode().hex().encode()]
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sorted(str(path.relative_to(folder)) for path in files if any(form in path.read_bytes() for form in forms))


def test_a_device_gets_them_and_nobody_else_does(
    own: Bench, camera: Camera, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    line = Direct(camera.answering())
    ended = own.enrol(camera, own.desk(networks=networks_file(tmp_path)), line=line)
    assert (ended.outcome, ended.networks) == (Outcome.ENROLLED, True)
    assert on(camera) == GIVEN
    assert stat.S_IMODE((camera.state / "networks").stat().st_mode) == 0o600
    assert where(tmp_path, PHRASE) == ["camera/state/networks", "networks.toml"]
    assert PHRASE.encode() not in line.heard, "who holds the cable reads along"
    assert PHRASE not in "".join(capfd.readouterr()) + caplog.text
    (entry,) = own.audit("networks given")
    assert (entry["details"]["networks"], entry["details"]["broker"]) == (1, "127.0.0.1")
    assert own.records.get(ended.granted.device) == ended.granted
    assert ended.granted.networks
    assert PHRASE not in str(camera.place.greeting())


def test_cut_anywhere_it_ends_with_one_identity_one_record_and_the_networks(own: Bench, tmp_path: Path) -> None:
    desk = own.desk(networks=networks_file(tmp_path))
    whole = Direct(Camera(tmp_path / "whole").answering())
    own.enrol(Camera(tmp_path / "whole"), desk, line=whole)
    for cut in sorted({*range(500, whole.passed, 1201), whole.passed - 700, whole.passed - 1}):
        camera, before = Camera(tmp_path / str(cut)), set(own.registered())
        with pytest.raises(EnrolmentUnfinishedError):
            own.enrol(camera, desk, line=Direct(camera.answering(), min(cut, whole.passed - 20)))
        ended = own.enrol(camera, desk)
        assert (ended.outcome, ended.networks, on(camera)) == (Outcome.ENROLLED, True, GIVEN), cut
        assert set(own.registered()) - before == {ended.granted.device}
        again = own.enrol(camera, desk)
        assert (again.outcome, again.networks) == (Outcome.ALREADY, False)


def test_over_a_cable_that_is_pulled_the_same_command_goes_on(own: Bench, camera: Camera, tmp_path: Path) -> None:
    """A pseudo-terminal, the real command line, and a device that is enrolled once."""
    path = networks_file(tmp_path)
    with Cable(cut_after=9000) as cable, Console(camera.place, make_handlers(camera.place), cable.device):
        first = enrol_at(cable.station, own.desk(networks=path), Times(0.0, 0.5))
        cable.mend()
        common = ["--port", cable.station, "--networks", str(path)]
        done, later = enrol(own, *common, "--json"), enrol(own, *common)
    assert first.result == "unfinished"
    assert done.exit_code == later.exit_code == 0, done.output + later.output
    found = json.loads(done.stdout)
    assert (found["outcome"], found["networks"]) == ("enrolled", True)
    assert list(own.registered()) == [found["device"]]
    assert on(camera) == GIVEN
    assert "it was not given the networks, as it is enrolled: --again --keep-identity gives them" in later.stdout
    assert PHRASE not in str(first) + done.output + later.output


@pytest.mark.parametrize("kind", [Kind.AGAIN, Kind.RENEWAL])
def test_a_second_enrolment_gives_others_or_leaves_them(own: Bench, camera: Camera, tmp_path: Path, kind: Kind) -> None:
    own.enrol(camera, own.desk(networks=networks_file(tmp_path)))
    kept = own.enrol(camera, own.desk("", own.agreement(kind)))
    assert (kept.networks, on(camera)) == (None, GIVEN)
    other = networks_file(tmp_path, "of somebody else")
    held = (camera.state / "networks").open("rb")
    ended = own.enrol(camera, own.desk("", own.agreement(kind), networks=other))
    assert ended.networks is True
    assert on(camera).wifi == (Wifi(b"Unit", Security.WPA, "of somebody else"),)
    with held:
        assert PHRASE.encode() not in held.read(), "the old one is overwritten"
    other.write_text("")
    assert own.enrol(camera, own.desk("", own.agreement(kind), networks=other)).networks is True
    assert on(camera) == NONE


def test_a_device_that_lost_its_identity_lets_go_of_them(own: Bench, camera: Camera, tmp_path: Path) -> None:
    own.enrol(camera, own.desk(networks=networks_file(tmp_path)))
    (camera.state / "keyring").unlink()
    assert own.enrol(camera).outcome is Outcome.ENROLLED
    assert on(camera) == NONE
    assert where(camera.base, PHRASE) == []


def test_the_answer_is_lost_and_the_record_says_what_it_took(own: Bench, camera: Camera, tmp_path: Path) -> None:
    """Granted without networks, taken, the answer lost: the next try does not claim that it gave them."""
    whole = Direct(Camera(tmp_path / "whole").answering())
    own.enrol(Camera(tmp_path / "whole"), line=whole)
    with pytest.raises(EnrolmentUnfinishedError):
        own.enrol(camera, line=Direct(camera.answering(), whole.passed - 900))
    assert is_enrolled(camera.state)
    ended = own.enrol(camera, own.desk(networks=networks_file(tmp_path)))
    assert (ended.outcome, ended.networks) == (Outcome.ENROLLED, False)
    assert on(camera) == NONE


def test_an_older_device_is_told_from_one_that_takes_them(own: Bench, camera: Camera, tmp_path: Path) -> None:
    def older(_verb: str, said: dict[str, Any]) -> None:
        said.pop("networks", None)

    desk = own.desk(networks=networks_file(tmp_path))
    with pytest.raises(EnrolmentRefusedError, match=r"firmware \(.*\) takes no networks: write it a newer image"):
        own.enrol(camera, desk, line=Liar(camera, older))
    assert own.registered() == {}, "nothing was granted"
    assert own.enrol(camera, line=Liar(camera, older)).outcome is Outcome.ENROLLED


def test_hostile_networks_are_refused_before_anything_is_written(own: Bench, camera: Camera, tmp_path: Path) -> None:
    calling = Calling(Direct(camera.answering()))
    nonce = bytes(32)
    said = calling.call("enrol-offer", {"nonce": nonce.hex()}).fields
    request = parse_request(said["request"])
    key = x509.load_der_x509_csr(request.csr).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    good, _ = own.desk(networks=networks_file(tmp_path)).grant(request, bytes.fromhex(said["proof"]), nonce)

    def sealed(networks: Networks, request: bytes = request.digest) -> bytes:
        return seal_networks(networks, key, request)

    def refused(grant: Grant, *, sign: bool = True) -> str:
        made = replace(grant, signature=own.office.signer.sign(grant.statement)) if sign else grant
        with pytest.raises(RefusedError) as error:
            calling.call("enrol-grant", body=BytesBody(made.encode()))
        assert not is_enrolled(camera.state)
        assert not (camera.state / "networks").exists()
        assert not Staging(camera.state).granted
        assert PHRASE not in str(error.value)
        assert "\n" not in str(error.value)
        return str(error.value)

    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    psk = GIVEN.wifi[0]
    for networks, says in (
        (b"garbage", "not sealed to this request's key"),
        (bytes(60_000), "networks is not what it names"),
        (sealed(GIVEN, bytes(32)), "not sealed to this request's key"),
        (seal_networks(GIVEN, other, request.digest), "not sealed to this request's key"),
        (sealed(replace(GIVEN, wifi=(replace(psk, ssid=bytes(33)),))), "an SSID has 1 to 32 bytes"),
        (sealed(replace(GIVEN, wifi=(Wifi(b"x", Security.WPA, "x\n[vpn]\nkey=1"),))), "8 to 63 characters"),
        (sealed(replace(GIVEN, wifi=GIVEN.wifi * 9)), "more than 8 networks"),
        (sealed(replace(GIVEN, host="a;b")), "the broker needs a host"),
    ):
        assert says in refused(replace(good, networks=networks)), says
    swapped = replace(good, networks=sealed(replace(GIVEN, host="rogue")))
    assert "not signed by the station in it" in refused(swapped, sign=False)
    assert own.enrol(camera).outcome is Outcome.ENROLLED


def test_a_grant_whose_networks_are_damaged_on_the_card_is_dropped_and_asked_for_anew(
    own: Bench, camera: Camera, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = own.desk(networks=networks_file(tmp_path))

    def dies(_file: NetworksFile, _networks: Networks) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(NetworksFile, "save", dies)
        with pytest.raises(EnrolmentUnfinishedError, match="Input/output error"):
            own.enrol(camera, desk)
    assert not is_enrolled(camera.state)
    staged = camera.state / "enrolling" / "grant"
    grant = parse_grant(staged.read_bytes())
    spoilt = replace(grant, networks=grant.networks[:-1] + b"\0")
    staged.write_bytes(spoilt.encode())
    assert settle(Places(camera.state, camera.settings.store.flash, camera.settings.tls)) is Settled.NOTHING
    ended = own.enrol(camera, desk)
    assert (ended.outcome, on(camera)) == (Outcome.ENROLLED, GIVEN)
    assert KeyringFile(camera.state).load().device.hex() == ended.granted.device


def test_what_is_wrong_with_the_file_is_told_before_a_device_is_met(own: Bench, tmp_path: Path) -> None:
    path = networks_file(tmp_path)
    path.chmod(0o644)
    done = enrol(own, "--port", "none", "--networks", str(path))
    assert "holds passphrases and can be read by others: chmod 600" in str(done.exception)


def test_an_enrolled_device_streams_without_a_broker_in_its_settings(own: Bench, tmp_path: Path) -> None:
    """From a fresh card to pictures at the station: the command, the recorder, a real broker."""
    own.sign_policy(live='"on"')
    camera = Camera(tmp_path / "camera", clock=SystemClock())  # type: ignore[arg-type]
    (camera.base / "board.toml").write_text(BOARD, "utf-8")
    broker = TestBroker(tmp_path / "broker", authority=own.papers().authority)
    with ExitStack() as stack:
        broker.start()
        stack.callback(broker.stop)
        cable = stack.enter_context(Cable())
        stack.enter_context(Console(camera.place, make_handlers(camera.place), cable.device))
        done = enrol(own, "--port", cable.station, "--networks", str(networks_file(tmp_path, port=broker.port)))
        assert done.exit_code == 0, done.output
        assert camera.settings.live.host == ""
        devices = tmp_path / "devices"
        devices.mkdir()
        identity = load_device_key(camera.state / "device.pub")
        device = KeyringFile(camera.state).load().device
        (devices / f"{device.hex()}.pub").write_bytes(encode_device_key(identity))
        verified: list[tuple[bytes, int, int]] = []
        refused: list[tuple[str, str]] = []
        receiver = LiveReceiver(
            broker.for_station(), DeviceRegister(devices),
            FileKeyOpener(load_station_key(own.station / "station.key")),
            LiveShelf(tmp_path / "shelf", 2**30),
            on_refused=lambda who, why: refused.append((who, why)),
            on_verified=lambda who, segment, chunk: verified.append((who, segment, chunk)),
        )  # fmt: skip
        receiver.begin()
        stack.callback(receiver.close)
        running_ = stack.enter_context(running(camera))
        running_.states.until(State.STANDBY)
        wait_for(lambda: any(item.get("online") for item in receiver.status()["devices"]), what="it never came online")
        running_.pins.button.drive_low()
        running_.states.until(State.RECORDING)
        running_.pins.button.drive_high()
        wait_for(lambda: len([item for item in verified if item[2] > 0]) >= 3, what=f"{refused} {verified}")
    assert {who for who, _segment, _chunk in verified} == {device}
    assert refused == []
