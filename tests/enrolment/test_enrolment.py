"""Enrolment, both ends in one process: what it leaves behind, cut at every byte, again and again."""

from __future__ import annotations

import secrets
import ssl
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware.enrolment.settling import Places, Settled, settle
from station.enrolment.conversation import Outcome
from station.enrolment.desk import Desk
from station.enrolment.errors import EnrolmentRefusedError, EnrolmentUnfinishedError
from storage.errors import StoreFailedError
from storage.keyfiles import device_id, load_device_key
from storage.keyring_file import KeyringFile, is_enrolled
from storage.signer import signer_from_uri
from storage.tls import server_context
from tests.enrolment.bench import NOW_NS, SERIAL, Bench, Camera, Direct, bench
from tests.firmware.policies import UNIT
from tests.storage.swtpm import running
from wire.enrolment import Kind


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    with bench(tmp_path_factory.mktemp("bench")) as made:
        yield made


@pytest.fixture
def own(tmp_path: Path):  # type: ignore[no-untyped-def]
    with bench(tmp_path) as made:
        yield made


@pytest.fixture
def camera(tmp_path: Path) -> Camera:
    return Camera(tmp_path / "camera")


def test_a_fresh_device_becomes_the_units(own: Bench, camera: Camera) -> None:
    line = Direct(camera.answering())
    ended = own.enrol(camera, own.desk("camera 7"), line=line)
    assert ended.outcome is Outcome.ENROLLED
    device = load_device_key(camera.state / "device.pub")
    assert (ended.identity, ended.granted.device) == (device, device_id(device).hex())
    assert KeyringFile(camera.state).load().identity == device
    assert camera.place.unit() == UNIT.public
    assert (ended.granted.name, ended.granted.serial, ended.granted.confirmed) == ("camera 7", SERIAL, True)
    assert (camera.state / "name").read_text() == "camera 7"
    assert own.registered() == {device_id(device).hex(): ""}
    # The private keys are where they were born, for nobody else to read, and were never on the line.
    for name in ("keyring", "../tls/device.key"):
        path = camera.state / name
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        for part in (path.read_bytes(), path.read_bytes()[-60:]):
            assert part not in line.heard
    assert "PRIVATE" not in line.heard.decode()
    keyring = KeyringFile(camera.state).load()
    assert not any(seed.hex() in line.heard.decode() for seed in keyring.seeds.values())
    assert not list((camera.state / "enrolling").iterdir())
    assert isinstance(server_context(camera.settings.tls), ssl.SSLContext)
    (entry,) = own.audit("certificate issued")
    assert (entry["who"], entry["object"]) == ("T1", device_id(device).hex())


def test_asked_again_it_is_enrolled_already_and_the_records_are_completed(own: Bench, camera: Camera) -> None:
    first = own.enrol(camera)
    assert own.enrol(camera).outcome is Outcome.ALREADY
    assert len(own.audit("certificate issued")) == 1
    assert len(own.audit("enrolled")) == 1
    (own.station / "enrolled" / f"{first.granted.device}.json").unlink()
    ended = own.enrol(camera)
    assert ended.outcome is Outcome.ALREADY
    assert ended.granted.certificate == first.granted.certificate
    assert own.records.get(first.granted.device) == ended.granted


def cut_at(shared: Bench, folder: Path, desk: Desk, cut: int) -> None:
    camera = Camera(folder / str(cut))
    before = set(shared.registered())
    try:
        shared.enrol(camera, desk, line=Direct(camera.answering(), cut))
    except EnrolmentUnfinishedError:
        pass
    else:  # signatures vary in length: it took some bytes less this time
        assert cut > 10_000
        return
    staged = camera.state / "enrolling" / "request"
    shown = staged.read_bytes() if staged.exists() else b""
    ended = shared.enrol(camera, desk)
    assert ended.outcome is Outcome.ENROLLED, cut
    if shown:
        assert ended.granted.device.encode() in shown  # the identity that was born first
    assert set(shared.registered()) - before == {ended.granted.device}
    assert shared.enrol(camera, desk).outcome is Outcome.ALREADY


def bytes_of(shared: Bench, folder: Path, desk: Desk) -> int:
    """How many bytes an enrolment takes, both directions together."""
    whole = Direct(Camera(folder / "whole").answering())
    shared.enrol(Camera(folder / "whole"), desk, line=whole)
    return whole.passed


def test_cut_after_some_bytes_it_ends_with_one_identity_and_one_record(shared: Bench, tmp_path: Path) -> None:
    desk = shared.desk()
    total = bytes_of(shared, tmp_path, desk)
    for cut in sorted({1, 40, *range(200, total, 601), total - 200, total - 1}):
        cut_at(shared, tmp_path, desk, cut)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(0, 1, exclude_max=True), st.booleans())
def test_cut_anywhere(shared: Bench, tmp_path: Path, share: float, late: bool) -> None:
    folder = tmp_path / secrets.token_hex(8)
    desk = shared.desk()
    total = bytes_of(shared, folder, desk)
    cut_at(shared, folder, desk, total - 1 - int(share * 800) if late else 1 + int(share * (total - 1)))


def test_a_second_desk_gives_the_same(shared: Bench, tmp_path: Path) -> None:
    """Another technician goes on where the first one was cut off."""
    camera = Camera(tmp_path / "camera")
    total = bytes_of(shared, tmp_path, shared.desk())
    with pytest.raises(EnrolmentUnfinishedError):
        shared.enrol(camera, line=Direct(camera.answering(), total * 2 // 3))
    (granted,) = [item for path in (camera.state / "enrolling").glob("request") if (item := path.read_text())]
    device = shared.enrol(camera).granted.device
    assert device in granted


@pytest.mark.parametrize("kind", [Kind.AGAIN, Kind.RENEWAL])
def test_a_second_enrolment_is_cut_anywhere_too(own: Bench, tmp_path: Path, kind: Kind) -> None:
    camera = Camera(tmp_path / "camera")
    own.enrol(camera)
    agreed = own.desk("", own.agreement(kind))
    whole = Direct(camera.answering())
    before = own.enrol(camera, agreed, line=whole).granted
    outcome = Outcome.AGAIN if kind is Kind.AGAIN else Outcome.RENEWED
    for cut in range(1, whole.passed, 701):
        with pytest.raises(EnrolmentUnfinishedError):
            own.enrol(camera, agreed, line=Direct(camera.answering(), cut))
        ended = own.enrol(camera, agreed)
        assert ended.outcome is outcome, cut
        assert ended.granted.certificate != before.certificate
        assert (ended.granted.device == before.device) is (kind is Kind.RENEWAL)
        live = [device for device, revoked in own.registered().items() if not revoked]
        assert live == [ended.granted.device]
        before = ended.granted


def test_power_may_go_at_any_write_and_a_full_card_is_told(
    shared: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from storage import durable

    real = durable.write_all
    left = [0]

    def full(fd: int, buffers: object) -> int:
        if "camera" in str(Path(f"/proc/self/fd/{fd}").readlink()):
            left[0] -= 1
            if left[0] == 0:
                raise OSError(28, "No space left on device")
        return real(fd, buffers)  # type: ignore[arg-type]

    monkeypatch.setattr(durable, "write_all", full)
    writes, desk = 0, shared.desk()
    said: list[str] = []
    while True:
        writes += 1
        camera = Camera(tmp_path / f"camera{writes}")
        left[0] = writes
        try:
            shared.enrol(camera, desk)
            break
        except EnrolmentUnfinishedError as error:
            said.append(str(error))
        assert not is_enrolled(camera.state)
        left[0] = 0
        ended = shared.enrol(camera, desk)
        assert ended.outcome is Outcome.ENROLLED
        assert KeyringFile(camera.state).load().device.hex() == ended.granted.device
    assert writes > 10
    assert all("No space left" in text for text in said)


def test_what_was_granted_is_finished_by_whoever_starts_next(
    own: Bench, camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(_file: KeyringFile, _keyring: object) -> None:
        raise StoreFailedError("cannot write the keyring") from OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(KeyringFile, "save", dies)
        with pytest.raises(EnrolmentUnfinishedError, match="cannot write the keyring"):
            own.enrol(camera)
    assert not is_enrolled(camera.state)
    places = Places(camera.state, camera.settings.store.flash, camera.settings.tls)
    assert settle(places) is Settled.DONE
    assert settle(places) is Settled.NOTHING
    ended = own.enrol(camera)
    assert ended.outcome is Outcome.ENROLLED
    assert KeyringFile(camera.state).load().device.hex() == ended.granted.device


def test_an_identity_that_is_born_in_a_tpm_is_enrolled_and_renewed(own: Bench, camera: Camera) -> None:
    with running(camera.base / "tpm") as tpm:
        text = camera.settings_file.read_text("utf-8")
        camera.settings_file.write_text(text.replace("[enrolment]", f'[enrolment]\nidentity = "{tpm.uri}"'), "utf-8")
        ended = own.enrol(camera)
        assert ended.outcome is Outcome.ENROLLED
        assert ended.identity == signer_from_uri(tpm.uri).public
        assert len(ended.identity) == 33
    assert KeyringFile(camera.state).load().identity == ended.identity
    # After it, it needs no TPM; but a new identity does, and says so.
    assert own.enrol(camera, own.desk("", own.agreement(Kind.RENEWAL))).outcome is Outcome.RENEWED
    with pytest.raises(EnrolmentRefusedError, match="TPM"):
        own.enrol(camera, own.desk("", own.agreement()))
    assert own.enrol(camera).outcome is Outcome.ALREADY


def test_a_device_whose_clock_is_in_1970_is_enrolled_all_the_same(own: Bench, camera: Camera) -> None:
    camera.clock.set_utc(1_000_000_000)
    camera.clock.synchronised = False
    ended = own.enrol(camera)
    assert ended.outcome is Outcome.ENROLLED
    assert ended.clock_off_s == 1 - NOW_NS // 10**9
    assert camera.place.on_record_ns() == NOW_NS


def test_a_station_whose_clock_is_in_1970_is_refused(own: Bench, camera: Camera) -> None:
    own.now_ns = 10**9
    camera.clock.synchronised = False
    with pytest.raises(EnrolmentRefusedError, match="of the future"):
        own.enrol(camera)
    assert not is_enrolled(camera.state)
    own.now_ns = NOW_NS
    assert own.enrol(camera).outcome is Outcome.ENROLLED
