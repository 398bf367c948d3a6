"""What is refused at enrolment: liars on either side, foreigners, what is over; each in one line, and to be mended."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from firmware.console.dispatcher import Dispatcher
from firmware.console.handlers import make_handlers
from firmware.enrolment import birth, enrolment
from firmware.enrolment.birth import Board, born_identity
from firmware.enrolment.settling import Places, Settled, settle, settle_locked
from firmware.enrolment.staging import Staging
from firmware.policy_keeper import PolicyKeeper
from station.authority import new_authority, new_key
from station.enrolment.conversation import Outcome
from station.enrolment.desk import Agreement, Shown
from station.enrolment.errors import EnrolmentRefusedError, EnrolmentUnfinishedError
from station.errors import StationError
from station.unit_key import load_unit_key, write_new_unit_key
from storage.errors import PolicyError, StoreFailedError
from storage.keyfiles import encode_device_key, load_device_key, load_recipient
from storage.keyring_file import enrol_device, is_enrolled
from storage.policy import sign_policy
from storage.signer import MemorySigner
from tests.enrolment.bench import NOW_NS, Bench, Camera, Direct, bench
from tests.firmware.policies import UNIT, policy_text
from wire.answering import Answering, Asked, Reply
from wire.bodies import BytesBody
from wire.calling import Calling
from wire.enrolment import ECDSA, Consent, Grant, Kind, fresh_statement, parse_consent, parse_grant, parse_request
from wire.errors import MessageError, RefusedError
from wire.plain import encode

DAY = timedelta(days=1)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


@pytest.fixture
def camera(tmp_path: Path) -> Camera:
    return Camera(tmp_path / "camera")


# The device lies to the station.


class Liar(Direct):
    """A device whose answers are changed before they are sent."""

    def __init__(self, camera: Camera, change: Callable[[str, dict[str, Any]], None]) -> None:
        place = camera.place

        class NoGate:
            def check(self, asked: Asked) -> Any:
                raise AssertionError

        honest = Dispatcher(make_handlers(place), NoGate())

        def handle(asked: Asked) -> Reply:
            said = dict(honest.handle(asked).fields)
            change(asked.ask.verb, said)
            return Reply(said)

        self.handle = handle
        super().__init__(Answering(place.greeting, handle))


def request_change(**values: Any) -> Callable[[str, dict[str, Any]], None]:
    def change(_verb: str, said: dict[str, Any]) -> None:
        if "request" in said:
            said["request"] = {**said["request"], **values}

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (request_change(board="another"), "not made just now"),
        (lambda _verb, said: said.update(proof="00" * 70), "not made just now"),
        (request_change(device="00" * 16), "not its own"),
        (request_change(csr="00"), "signing request is none"),
        (request_change(kind="again", replaces="00" * 16), "something else than it was offered"),
        (request_change(kind="renewal"), "something else than it was offered"),
        (request_change(board="\x1b[2J"), "not a device of this kind"),
        (request_change(v=2), "not a device of this kind"),
        (lambda _verb, said: said.pop("request", None), "not a device of this kind"),
        (lambda _verb, said: said.update(state=7), "not a device of this kind"),
        (lambda verb, said: said.update(identity="00" * 32) if verb == "enrol-offer" else None, "the device lies"),
        (lambda verb, said: said.update(proof="00" * 70) if "identity" in said else None, "the device lies"),
        (lambda verb, said: said.update(certificate=7) if "certificate" in said else None, "cannot show it"),
        (lambda verb, said: said.update(clock_off_s="x") if verb == "enrol-grant" else None, "not a device of this"),
    ],
)  # fmt: skip
def test_a_lying_device_is_told_from_a_good_one(
    own: Bench, camera: Camera, change: Callable[[str, dict[str, Any]], None], says: str
) -> None:
    with pytest.raises(EnrolmentRefusedError, match=says):
        own.enrol(camera, line=Liar(camera, change))
    assert own.enrol(camera).outcome in (Outcome.ENROLLED, Outcome.ALREADY)


def test_a_request_with_a_foreign_tls_key_or_id_is_refused(own: Bench, camera: Camera) -> None:
    own.enrol(camera)
    signer = MemorySigner.generate()
    made = born_identity(signer, Board("x", "y"))
    tls = birth.load_tls_key(made.tls_key)

    def judged(request: Any) -> str:
        nonce = bytes(32)
        proof = tls.sign(fresh_statement(nonce, request.core), ECDSA)
        with pytest.raises(EnrolmentRefusedError) as refused:
            own.desk().grant(request, proof, nonce)
        return str(refused.value)

    assert "not signed by the identity" in judged(replace(made.request, signature=bytes(64)))
    big = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, made.request.device.hex())])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(big, hashes.SHA256())
    assert "not ECDSA" in judged(replace(made.request, csr=csr.public_bytes(Encoding.DER)))
    other = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "00" * 16)])
    csr = x509.CertificateSigningRequestBuilder().subject_name(other).sign(tls, hashes.SHA256())
    assert "not its own" in judged(replace(made.request, csr=csr.public_bytes(Encoding.DER)))
    renewal = replace(made.request, kind=Kind.RENEWAL)
    assert "not on this station's register" in judged(renewal)
    again = replace(made.request, kind=Kind.AGAIN, replaces=bytes(16))
    again = replace(again, signature=signer.sign(again.statement))
    assert "nobody agreed" in judged(again)


@pytest.mark.parametrize("takes", ["another's place, as itself", "another's place, anew", "its own place, as itself"])
def test_a_device_takes_no_others_place(own: Bench, camera: Camera, tmp_path: Path, takes: str) -> None:
    victim = own.enrol(Camera(tmp_path / "victim")).granted.device
    rogue = own.enrol(camera).granted.device
    changes = {
        "another's place, as itself": {"device": rogue, "replaces": victim},
        "another's place, anew": {"replaces": victim},
        "its own place, as itself": {"device": rogue},
    }[takes]
    with pytest.raises(EnrolmentRefusedError, match="something else than it was offered: it lies"):
        own.enrol(camera, own.desk("", own.agreement()), line=Liar(camera, request_change(**changes)))
    assert own.registered() == {victim: "", rogue: ""}


def test_a_renewal_must_be_vouched_for_by_the_old_key(own: Bench, camera: Camera) -> None:
    own.enrol(camera)
    (camera.base / "tls" / "device.key").write_bytes(birth.born_tls(bytes(32), None, Board("", "")).tls_key)
    with pytest.raises(EnrolmentRefusedError, match="does not vouch for the new one"):
        own.enrol(camera, own.desk("", own.agreement(Kind.RENEWAL)))
    # With a new identity it is the unit's again; it did not show who it was, so nobody is taken off the register.
    before = set(own.registered())
    ended = own.enrol(camera, own.desk("", own.agreement()))
    assert ended.outcome is Outcome.AGAIN
    assert ended.granted.replaces == ""
    assert own.registered() == dict.fromkeys([*before, ended.granted.device], "")


def test_a_device_that_claims_to_replace_another_takes_nobody_off_the_register(own: Bench, tmp_path: Path) -> None:
    victim, rogue = Camera(tmp_path / "victim"), Camera(tmp_path / "rogue")
    lost = own.enrol(victim).granted.device
    own.enrol(rogue)

    def claims(verb: str, said: dict[str, Any]) -> None:
        if "identity" in said and verb == "enrol-offer":
            said.update(device=lost, identity=load_device_key(victim.state / "device.pub").hex())

    with pytest.raises((EnrolmentRefusedError, EnrolmentUnfinishedError)):
        own.enrol(rogue, own.desk("", own.agreement()), line=Liar(rogue, claims))
    assert own.registered()[lost] == ""


def test_a_device_that_greets_as_another_is_refused(own: Bench, tmp_path: Path) -> None:
    victim, rogue = Camera(tmp_path / "victim"), Camera(tmp_path / "rogue")
    lost = own.enrol(victim).granted.device
    own.enrol(rogue)
    line = Liar(rogue, lambda _verb, _said: None)
    honest = rogue.place.greeting()
    line.answering = Answering(lambda: {**honest, "device": lost}, line.handle)
    with pytest.raises(EnrolmentUnfinishedError, match="another identity than it greeted with"):
        own.enrol(rogue, own.desk("", own.agreement()), line=line)
    assert own.registered()[lost] == ""


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from(["state", "request", "proof", "device", "identity", "unit", "certificate", "left"]),
        st.sampled_from(["enrolled", "offered", "waiting", "", "00" * 16, "00" * 32, "é"]) | st.integers(0, 9)
        | st.dictionaries(st.sampled_from(["v", "kind"]), st.integers(0, 1)),
    )
)  # fmt: skip
def test_whatever_a_device_says_it_ends_in_one_line(own: Bench, camera: Camera, said: dict[str, Any]) -> None:
    line = Direct(Answering(lambda: {"device": ""}, lambda _asked: Reply(said)))
    with pytest.raises((EnrolmentRefusedError, EnrolmentUnfinishedError)) as refused:
        own.enrol(camera, line=line)
    assert str(refused.value).isprintable()


# The station lies to the device.


def changed_grant(own: Bench, camera: Camera, change: Callable[[Grant], Grant], *, sign: bool = True) -> str:
    """Return why a device refuses a grant."""
    calling = Calling(Direct(camera.answering()))
    nonce = bytes(32)
    said = calling.call("enrol-offer", {"nonce": nonce.hex()}).fields
    request = parse_request(said["request"])
    grant, _ = own.desk().grant(request, bytes.fromhex(said["proof"]), nonce)
    made = change(grant)
    if sign:
        made = replace(made, signature=own.office.signer.sign(made.statement))
    with pytest.raises(RefusedError) as refused:
        calling.call("enrol-grant", body=BytesBody(made.encode()))
    assert not is_enrolled(camera.state)
    assert not (camera.state / "unit.pub").exists()
    return str(refused.value)


def test_a_lying_station_is_refused_before_anything_is_written(own: Bench, camera: Camera) -> None:
    now = datetime.fromtimestamp(NOW_NS / 1e9, UTC)
    theirs = new_authority("theirs", now)
    ours = own.office.authority

    def issued(by: Any, device: bytes | None = None, key: Any = None, at: datetime = now) -> Callable[[Grant], Grant]:
        def change(grant: Grant) -> Grant:
            public = x509.load_pem_x509_certificate(grant.certificate.encode()).public_key()
            made = by.issue_device(device or grant.device, key or public, 10, at)
            return replace(grant, certificate=made.decode())

        return change

    def signed_by(unit: MemorySigner) -> Callable[[Grant], Grant]:
        text = policy_text(
            [load_recipient(own.station / "station.pub")], receipt_keys=f'["{own.office.signer.public.hex()}"]'
        )
        return lambda grant: replace(grant, policy=sign_policy(text, unit))

    for change, says in (
        (lambda grant: replace(grant, request=bytes(32)), "for another request"),
        (lambda grant: replace(grant, device=bytes(16)), "for another request"),
        (lambda grant: replace(grant, unit=MemorySigner.generate().public), "not signed by this unit"),
        (signed_by(MemorySigner.generate()), "not signed by this unit"),
        (lambda grant: replace(grant, station=MemorySigner.generate().public), "not signed by the station in it"),
        (issued(theirs), "not issued by its authority"),
        (issued(ours, device=bytes(16)), "for another device"),
        (issued(ours, key=new_key().public_key()), "for another key"),
        (issued(ours, at=now - 100 * DAY), "is good from"),
        (issued(ours, at=now + 100 * DAY), "is good from"),
        (lambda grant: replace(grant, certificate="x"), "is no certificate as this"),
        (lambda grant: replace(grant, authority=grant.certificate), "authority is none"),
        (lambda grant: replace(grant, certificate=grant.authority), "makes this device one"),
    ):
        assert says in changed_grant(own, camera, change), says
    assert own.enrol(camera).outcome is Outcome.ENROLLED


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.booleans(), st.floats(0, 1, exclude_max=True), st.integers(1, 255))
@example(False, 0.029296875, 128)  # a serial number below zero
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_a_spoilt_certificate_is_refused_by_either_end_in_one_line(
    own: Bench, camera: Camera, authority: bool, place: float, turned: int
) -> None:
    def spoilt(pem: str) -> str:
        der = bytearray(x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER))
        der[int(place * len(der))] ^= turned
        text = base64.encodebytes(bytes(der)).decode()
        return f"-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n"

    def change(grant: Grant) -> Grant:
        if authority:
            return replace(grant, authority=spoilt(grant.authority))
        return replace(grant, certificate=spoilt(grant.certificate))

    assert changed_grant(own, camera, change).isprintable()
    pem = own.office.authority.issue_device(bytes(16), new_key().public_key(), 9, datetime(2026, 1, 1, tzinfo=UTC))
    shown = Shown(bytes(16), bytes(32), UNIT.public, spoilt(pem.decode()), bytes(70))
    with pytest.raises(EnrolmentRefusedError):
        own.desk().confirm(shown, bytes(32))


def test_a_grant_by_a_station_that_the_policy_does_not_name_is_refused(own: Bench, camera: Camera) -> None:
    other = MemorySigner.generate()

    def change(grant: Grant) -> Grant:
        made = replace(grant, station=other.public)
        return replace(made, signature=other.sign(made.statement))

    assert "does not name" in changed_grant(own, camera, change, sign=False)


def test_what_is_no_grant_or_consent_is_none(own: Bench, camera: Camera) -> None:
    own.enrol(camera)
    for body in (b"", b"{}", encode({"grant": {}, "policy": "", "signature": ""})):
        with pytest.raises(MessageError):
            parse_grant(body)
    good = Consent(Kind.AGAIN, bytes(16), bytes(32), "why", bytes(64)).fields
    for change in ({"kind": "first"}, {"reason": " "}, {"kind": "x"}, {"challenge": ""}, {"v": 0}):
        with pytest.raises(MessageError):
            parse_consent(good | change)


# Foreigners, what is over, what was revoked.


def test_another_units_device_is_refused_by_name(own: Bench, camera: Camera, tmp_path: Path) -> None:
    own.enrol(camera)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    with bench(theirs) as other:
        write_new_unit_key(theirs / "their.key")
        unit = load_unit_key(theirs / "their.key")
        (other.station / "unit.pub").write_bytes(encode_device_key(unit.public))
        text = policy_text(
            [load_recipient(other.station / "station.pub")],
            receipt_keys=f'["{other.office.signer.public.hex()}"]', video_profile='"480p30"',
        )  # fmt: skip
        (other.station / "policy.toml").write_bytes(sign_policy(text, unit))
        for desk in (other.desk(), other.desk("", replace(other.agreement(), unit=unit))):
            with pytest.raises(EnrolmentRefusedError, match="belongs to another unit"):
                other.enrol(camera, desk)
        assert other.registered() == {}
        assert other.enrol(Camera(tmp_path / "fresh")).outcome is Outcome.ENROLLED
    # Its device asked for with the wrong unit's key: the device itself refuses.
    agreement = replace(own.agreement(), unit=MemorySigner.generate())
    with pytest.raises(EnrolmentRefusedError, match="not signed by this device's unit"):
        own.enrol(camera, own.desk("", agreement))


def test_a_revoked_device_comes_back_only_with_the_units_consent(own: Bench, camera: Camera) -> None:
    first = own.enrol(camera).granted
    own.office.devices.revoke("T1", first.device, "lost in the canal")
    with pytest.raises(EnrolmentRefusedError, match="is revoked: lost in the canal"):
        own.enrol(camera)
    ended = own.enrol(camera, own.desk("", own.agreement(Kind.RENEWAL)))
    assert ended.outcome is Outcome.RENEWED
    assert own.registered() == {first.device: ""}
    assert ended.granted.certificate != first.certificate
    assert (camera.base / "tls" / "device.crt").read_text() == ended.granted.certificate
    (entry,) = own.audit("consent to enrol again")
    assert (entry["purpose"], entry["object"]) == ("screen broken, new board", first.device)
    assert own.enrol(camera).outcome is Outcome.ALREADY


def test_a_certificate_that_is_over_is_renewed(own: Bench, camera: Camera) -> None:
    own.enrol(camera)
    own.now_ns += 200 * 86_400 * 10**9
    camera.clock.set_utc(own.now_ns)
    with pytest.raises(EnrolmentRefusedError, match=r"is over since .*--again --keep-identity"):
        own.enrol(camera)
    assert own.enrol(camera, own.desk("", own.agreement(Kind.RENEWAL))).outcome is Outcome.RENEWED


def test_a_device_enrolled_by_hand_gets_its_tls_identity(own: Bench, camera: Camera) -> None:
    camera.state.mkdir()
    keeper = PolicyKeeper(camera.state)
    keeper.trust(UNIT.public)
    keeper.offer((own.station / "policy.toml").read_bytes(), NOW_NS, clock_known=True)
    identity = enrol_device(camera.state, MemorySigner.generate())
    with pytest.raises(EnrolmentRefusedError, match="cannot show it"):
        own.enrol(camera)
    renewal = own.desk("", own.agreement(Kind.RENEWAL))
    with pytest.raises(EnrolmentRefusedError, match="not on this station's register"):
        own.enrol(camera, renewal)
    own.office.devices.enrol("T1", identity, "old")
    ended = own.enrol(camera, renewal)
    assert (ended.outcome, ended.granted.name) == (Outcome.RENEWED, "old")
    assert own.enrol(camera).outcome is Outcome.ALREADY


def test_consent_without_need_or_need_without_consent(own: Bench, camera: Camera) -> None:
    with pytest.raises(EnrolmentRefusedError, match="enrol it without --again"):
        own.enrol(camera, own.desk("", own.agreement()))
    own.enrol(camera)
    with pytest.raises(EnrolmentRefusedError, match="needs the unit's consent"):
        own.desk().consent(bytes(16), bytes(32))


def test_a_consent_is_good_for_one_device_and_one_session(own: Bench, camera: Camera) -> None:
    own.enrol(camera)
    calling = Calling(Direct(camera.answering()))
    greeting = calling.hello()
    nonce = {"nonce": bytes(32).hex()}
    grant, _ = own.desk().grant(*_request(own))
    with pytest.raises(RefusedError, match="asks for nothing"):
        calling.call("enrol-grant", body=BytesBody(grant.encode()))
    for device, challenge, says in (
        (bytes(16), greeting.challenge, "another device"),
        (greeting.device, bytes(32), "another session"),
    ):
        consent = own.desk("", own.agreement()).consent(device, challenge)
        with pytest.raises(RefusedError, match=says):
            calling.call("enrol-again", nonce | {"consent": consent.fields})
    other = Camera(camera.base / "other")
    fresh = Calling(Direct(other.answering()))
    consent = own.desk("", own.agreement()).consent(bytes(16), fresh.hello().challenge)
    with pytest.raises(RefusedError, match="belongs to no unit yet"):
        fresh.call("enrol-again", nonce | {"consent": consent.fields})


def _request(own: Bench) -> tuple[Any, bytes, bytes]:
    made = born_identity(MemorySigner.generate(), Board("x", "y"))
    nonce = bytes(32)
    return made.request, birth.fresh(made.tls_key, nonce, made.request.core), nonce


def test_papers_that_do_not_fit_meet_no_device(own: Bench) -> None:
    own.sign_policy(receipt_keys="[]")
    with pytest.raises(StationError, match="does not name this station"):
        own.papers()
    own.sign_policy(expires="2026-02-01T00:00:00Z")
    with pytest.raises(StationError, match="expired"):
        own.papers()
    own.sign_policy()
    (own.station / "unit.pub").write_bytes((own.station / "signing.pub").read_bytes())
    with pytest.raises(PolicyError, match="not signed by this unit"):
        own.papers()


def test_names_are_counted_kept_and_not_given_twice(own: Bench, tmp_path: Path) -> None:
    cameras = [Camera(tmp_path / f"camera{number}", serial=f"serial{number:04d}") for number in range(4)]
    desk = own.desk("camera {n}")
    assert [own.enrol(camera, desk).granted.name for camera in cameras[:2]] == ["camera 1", "camera 2"]
    with pytest.raises(EnrolmentRefusedError, match="another device is called 'camera 1'"):
        own.enrol(cameras[2], own.desk("camera 1"))
    assert own.enrol(cameras[2], desk).granted.name == "camera 3"
    assert own.enrol(cameras[3]).granted.name == "camera rial0003"
    assert own.enrol(cameras[1], own.desk("", own.agreement())).granted.name == "camera 2"


def test_damaged_records_and_staging_are_told(own: Bench, camera: Camera, tmp_path: Path) -> None:
    device = own.enrol(camera).granted.device
    record = own.station / "enrolled" / f"{device}.json"
    record.write_text("{}")
    with pytest.raises(StationError, match="is damaged"):
        own.enrol(camera)
    record.unlink()
    record.mkdir()
    with pytest.raises(StationError, match="cannot read"):
        own.enrol(camera)
    other = Camera(tmp_path / "other")
    other.answering()
    staging = other.state / "enrolling"
    staging.mkdir(parents=True)
    for name in ("request", "grant"):
        (staging / name).write_bytes(b"rotten")
    with Staging(other.state).locked(), pytest.raises(EnrolmentUnfinishedError, match="try again in a moment"):
        own.enrol(other)
    assert own.enrol(other).outcome is Outcome.ENROLLED


def granted_only(own: Bench, camera: Camera, monkeypatch: pytest.MonkeyPatch, agreed: Agreement | None = None) -> None:
    """Let power go right after the grant was kept."""
    real = settle_locked

    def dies(places: Places, staging: Staging) -> Settled:
        if staging.granted:
            raise StoreFailedError("power went") from OSError(5, "Input/output error")
        return real(places, staging)

    with monkeypatch.context() as patch:
        patch.setattr(enrolment, "settle_locked", dies)
        with pytest.raises(EnrolmentUnfinishedError, match="power went"):
            own.enrol(camera, own.desk("", agreed))
    assert Staging(camera.state).granted


def test_what_was_granted_and_means_nothing_any_more_is_dropped(
    own: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def places(camera: Camera) -> Places:
        return Places(camera.state, camera.settings.store.flash, camera.settings.tls)

    by_hand, rotten, lost = (Camera(tmp_path / name) for name in ("hand", "rotten", "lost"))
    for camera in (by_hand, rotten, lost):
        granted_only(own, camera, monkeypatch)
    identity = enrol_device(by_hand.state, MemorySigner.generate())
    assert settle(places(by_hand)) is Settled.NOTHING
    assert load_device_key(by_hand.state / "device.pub") == identity
    (rotten.state / "enrolling" / "keyring").write_bytes(b"rotten")
    assert settle(places(rotten)) is Settled.NOTHING
    (lost.state / "enrolling" / "request").unlink()
    assert settle(places(lost)) is Settled.NOTHING
    for camera in (rotten, lost):
        assert not is_enrolled(camera.state)
        assert own.enrol(camera).outcome is Outcome.ENROLLED
    granted_only(own, rotten, monkeypatch, own.agreement(Kind.RENEWAL))
    (rotten.state / "keyring").write_bytes(b"rotten")
    assert settle(places(rotten)) is Settled.NOTHING


def test_a_device_whose_keyring_is_damaged_gets_a_new_identity(own: Bench, camera: Camera) -> None:
    first = own.enrol(camera).granted.device
    certificate = (camera.base / "tls" / "device.crt").read_bytes()
    (camera.state / "keyring").write_bytes(b"rotten")
    with pytest.raises(EnrolmentRefusedError, match="own keys are damaged: give it a new identity"):
        own.enrol(camera, own.desk("", own.agreement(Kind.RENEWAL)))
    assert (camera.base / "tls" / "device.crt").read_bytes() == certificate
    ended = own.enrol(camera, own.desk("", own.agreement()))
    assert (ended.outcome, ended.granted.replaces) == (Outcome.AGAIN, first)
    assert own.enrol(camera).outcome is Outcome.ALREADY


def test_power_that_goes_after_a_new_identity_was_granted_finishes_it(
    own: Bench, camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = own.enrol(camera).granted.device
    granted_only(own, camera, monkeypatch, own.agreement())
    ended = own.enrol(camera, own.desk("", own.agreement()))
    assert (ended.outcome, ended.granted.replaces) == (Outcome.AGAIN, first)


def test_a_policy_that_was_taken_meanwhile_and_is_newer_stays(own: Bench, camera: Camera) -> None:
    own.enrol(camera)
    old = (own.station / "policy.toml").read_bytes()
    own.sign_policy(serial="7")
    newer = (own.station / "policy.toml").read_bytes()
    PolicyKeeper(camera.state).offer(newer, NOW_NS, clock_known=True)
    (own.station / "policy.toml").write_bytes(old)
    assert own.enrol(camera, own.desk("", own.agreement())).outcome is Outcome.AGAIN
    assert (camera.state / "policy.toml").read_bytes() == newer


def test_a_device_without_an_identity_forgets_the_unit_that_cut_it_off(own: Bench, camera: Camera) -> None:
    camera.state.mkdir()
    keeper = PolicyKeeper(camera.state)
    keeper.trust(MemorySigner.generate().public)
    (camera.state / "policy.serial").write_text(f"99 {bytes(32).hex()}\n")
    assert own.enrol(camera).outcome is Outcome.ENROLLED
    assert camera.place.unit() == UNIT.public


def test_a_device_revoked_before_it_took_its_grant_gets_none(own: Bench, camera: Camera) -> None:
    with pytest.raises(EnrolmentUnfinishedError):
        own.enrol(camera, line=Direct(camera.answering(), 4500))
    (device,) = own.registered()
    own.office.devices.revoke("T1", device, "wrong pile")
    with pytest.raises(EnrolmentRefusedError, match="is revoked: wrong pile"):
        own.enrol(camera)
    own.now_ns += 200 * 86_400 * 10**9  # what was issued is over, and would have to be issued anew
    with pytest.raises(EnrolmentRefusedError, match="is revoked: wrong pile"):
        own.enrol(camera)


def test_a_record_that_cannot_be_kept_grants_nothing(
    own: Bench, camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    from station.enrolment import records

    def full(*_arguments: object, **_more: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(records, "replace_file", full)
        with pytest.raises(StationError, match="No space left on device; nothing was granted"):
            own.enrol(camera)
    assert not is_enrolled(camera.state)
    assert own.registered() == {}
    assert own.enrol(camera).outcome is Outcome.ENROLLED
