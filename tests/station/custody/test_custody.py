"""Taking in, deciding, destroying: what is kept, what is not, and what is on record."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest
from argon2 import PasswordHasher
from moto import mock_aws
from sqlalchemy.exc import IntegrityError

from station.audit.log import Act, AuditError, AuditLog, Entry, verify_log
from station.custody.bodies import BodyError, FolderBodies, open_bodies
from station.custody.counting import figure_rows
from station.custody.database import Database, DatabaseError
from station.custody.devices import Devices
from station.custody.intake import DAY_NS, AlarmError, Intake, IntakeError
from station.custody.proof import parse_proof
from station.custody.purposes import purposes_in, reader_with
from station.custody.review import Review, Rules
from station.custody.tables import ProofRow, RecordingRow, SegmentRow
from station.errors import RefusedError, StationError
from station.keys import StationKey
from station.opener import FileKeyOpener
from station.people.accounts import Accounts
from station.people.roles import PERMISSIONS, Person, Role, Subject, role_for
from storage.events import Event, encode_events
from storage.inventory import segment_name
from storage.receipt import parse_receipt
from storage.signer import MemorySigner
from tests.dock.kit import NOW_NS, Docked, Pki, Station
from tests.storage.kit import EPOCH_NS, Device

OFFICER = Person("P1", "Agent", frozenset({Role.OFFICER}))
OTHER = Person("P2", "Agent", frozenset({Role.OFFICER}))
REVIEWER = Person("R1", "Reviewer", frozenset({Role.REVIEWER}))
MANAGER = Person("E1", "Manager", frozenset({Role.EVIDENCE_MANAGER}))
SECOND = Person("E2", "Manager", frozenset({Role.EVIDENCE_MANAGER}))
PRIVACY = Person("F1", "Privacy", frozenset({Role.PRIVACY_OFFICER}))
TECHNICIAN = Person("T1", "Technician", frozenset({Role.TECHNICIAN}))
RECORDING = (b"R" * 16).hex()


class Bench:
    """A station that holds one device's shift: a journal, a recording of two parts, a journal."""

    def __init__(self, base: Path, **more: object) -> None:
        self.base = base
        self.station = Station(base / "station", Pki(base / "pki"), **more)  # type: ignore[arg-type]
        self.docked = Docked(base / "device", self.station.pki)
        self.station.enrol(self.docked)
        self.device: Device = self.docked.device
        self.id = self.docked.id
        self.devices = Devices(self.station.database, self.station.audit, lambda: EPOCH_NS)
        self.devices.assign("T1", self.id.hex(), "P1")

    def take(self, *numbers: int) -> list[bytes]:
        return [self.station.intake.take(self.id, number, self.copy(number)) for number in numbers]

    def copy(self, number: int) -> Path:
        source = self.device.flash / "segments" / segment_name(number)
        target = self.base / f"incoming-{number}"
        target.write_bytes(source.read_bytes())
        return target

    def ingest(self) -> None:
        self.device.shift(parts=2, chunks=4)
        self.take(1, 2, 3, 4)

    def acts(self) -> list[tuple[str, str, str]]:
        lines = [json.loads(line) for line in self.station.lines().splitlines()]
        return [(line["who"], line["act"], line["outcome"]) for line in lines]

    def bodies(self) -> int:
        return len(list((self.station.base / "bodies").rglob("*.seg")))

    @property
    def review(self) -> Review:
        return self.station.review


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    made.ingest()
    yield made
    made.station.close()


def test_taking_in_twice_makes_one_and_confirms_the_same(bench: Bench) -> None:
    first = parse_receipt(bench.take(2)[0], {bench.station.signer.public})
    bench.station.now_ns += DAY_NS
    assert parse_receipt(bench.take(2)[0], {bench.station.signer.public}) == first
    assert bench.bodies() == 4
    other = Intake(
        Database(f"sqlite:///{bench.station.base / 'custody.db'}"), bench.station.store, bench.station.audit,
        bench.station.signer, lambda: NOW_NS,
    )  # fmt: skip
    assert parse_receipt(other.take(bench.id, 2, bench.copy(2)), {bench.station.signer.public}) == first


def test_two_stations_at_once_lose_and_double_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.device.shift(parts=8, chunks=3)
    url = f"sqlite:///{bench.station.base / 'custody.db'}"
    receipts: list[bytes] = []
    failures: list[Exception] = []

    def work(which: int) -> None:
        intake = Intake(Database(url), bench.station.store, bench.station.audit, bench.station.signer, lambda: NOW_NS)
        for number in range(1, 11):
            target = tmp_path / f"in-{which}-{number}"
            target.write_bytes((bench.device.flash / "segments" / segment_name(number)).read_bytes())
            try:
                receipts.append(intake.take(bench.id, number, target))
            except StationError as error:
                failures.append(error)

    threads = [threading.Thread(target=work, args=(which,), name=f"station-{which}") for which in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert len({parse_receipt(data, {bench.station.signer.public}).segment for data in receipts}) == 10
    assert bench.bodies() == 10
    with bench.station.database.session() as session:
        assert session.query(SegmentRow).count() == 10
        assert session.query(RecordingRow).count() == 1
    bench.station.close()


def test_a_station_that_is_overtaken_by_another_confirms_what_that_one_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path)
    bench.device.shift()
    real = Intake._record
    slow = Intake(
        bench.station.database, bench.station.store, bench.station.audit, bench.station.signer, lambda: NOW_NS + 5
    )

    def overtaken(self: Intake, *arguments: object) -> None:
        if self is slow:
            monkeypatch.undo()
            raise IntegrityError("INSERT", None, ValueError("duplicate key"))
        real(self, *arguments)  # type: ignore[arg-type]

    copy = bench.copy(1)
    first = bench.take(1)[0]
    copy.write_bytes((bench.device.flash / "segments" / segment_name(1)).read_bytes())
    monkeypatch.setattr(Intake, "_record", overtaken)
    monkeypatch.setattr(Intake, "held", held_later(Intake.held))
    assert slow.take(bench.id, 1, copy) == first
    bench.station.close()


def held_later(real: Callable[..., bytes | None]) -> Callable[..., bytes | None]:
    """Answer as if it were not here yet, once."""
    calls: list[int] = []

    def held(self: Intake, device: bytes, number: int, digest: bytes) -> bytes | None:
        calls.append(number)
        return None if len(calls) == 1 else real(self, device, number, digest)

    return held


def test_what_is_broken_foreign_or_misplaced_is_not_taken(bench: Bench, tmp_path: Path) -> None:
    broken = bench.copy(2)
    data = bytearray(broken.read_bytes())
    data[3000] ^= 1
    broken.write_bytes(data)
    with pytest.raises(IntakeError, match="segment 2 is not taken"):
        bench.station.intake.take(bench.id, 2, broken)
    with pytest.raises(IntakeError, match="says that it is segment 2"):
        bench.station.intake.take(bench.id, 3, bench.copy(2))
    torn = bench.copy(2)
    torn.write_bytes(torn.read_bytes()[:-100])
    with pytest.raises(IntakeError, match="segment 2 is not taken"):
        bench.station.intake.take(bench.id, 2, torn)
    stranger = Docked(tmp_path / "stranger", bench.station.pki)
    stranger.device.shift()
    with pytest.raises(IntakeError, match="not enrolled"):
        bench.station.intake.take(stranger.id, 1, tmp_path / "x")
    with pytest.raises(IntakeError, match="not enrolled"):
        bench.station.intake.check_shown(stranger.id, None)  # type: ignore[arg-type]


def test_another_segment_of_the_same_number_is_an_alarm(tmp_path: Path, bench: Bench) -> None:
    """The device was copied before its shift, and both copies went on: its chain forked."""
    with bench.station.database.session() as session:
        session.get_one(SegmentRow, (bench.id.hex(), 2)).digest = b"x" * 32
    with pytest.raises(AlarmError, match="another than the one that is here"):
        bench.take(2)
    with bench.station.database.session() as session:
        session.delete(session.get_one(SegmentRow, (bench.id.hex(), 2)))
        session.get_one(SegmentRow, (bench.id.hex(), 1)).chain = b"x" * 32
    with pytest.raises(AlarmError, match="does not follow on the segment 1"):
        bench.take(2)
    with bench.station.database.session() as session:
        session.delete(session.get_one(SegmentRow, (bench.id.hex(), 1)))
        session.get_one(SegmentRow, (bench.id.hex(), 3)).previous_chain = b"x" * 32
    with pytest.raises(AlarmError, match="does not follow on its segment 2"):
        bench.take(2)
    assert [act for _, act, _ in bench.acts()].count("alarm") == 3


def test_holes_are_what_nobody_explains(bench: Bench) -> None:
    assert bench.station.intake.holes(bench.id) == []
    with bench.station.database.session() as session:
        for number in (1, 3, 4):
            session.delete(session.get_one(SegmentRow, (bench.id.hex(), number)))
    assert bench.station.intake.report_holes(bench.id) == [(1, 1), (3, 4)]
    assert bench.acts()[-1] == ("station", "alarm", "done")


def test_each_sees_what_is_theirs_to_see(bench: Bench) -> None:
    for person, count in ((OFFICER, 1), (OTHER, 0), (REVIEWER, 1), (MANAGER, 1)):
        assert len(bench.review.recordings(person)) == count
    for person in (PRIVACY, TECHNICIAN):
        with pytest.raises(RefusedError, match="sees no footage"):
            bench.review.recordings(person)
        with pytest.raises(RefusedError):
            bench.review.find(person, Act.VIEW, RECORDING, purpose="curious")
    with pytest.raises(RefusedError, match="not theirs"):
        bench.review.find(OTHER, Act.VIEW, RECORDING, purpose="curious")
    bench.review.find(OFFICER, Act.VIEW, RECORDING, purpose="my report")
    assert [outcome.split(":")[0] for who, _, outcome in bench.acts() if who in ("P2", "F1", "T1")].count(
        "refused"
    ) == 5


def test_viewing_and_disclosing_need_a_reason_and_a_recipient(bench: Bench) -> None:
    with pytest.raises(AuditError, match="say why"):
        bench.review.find(MANAGER, Act.VIEW, RECORDING, purpose=" ")
    with pytest.raises(AuditError, match="say to whom"):
        bench.review.find(MANAGER, Act.DISCLOSE, RECORDING, purpose="court")
    bench.review.find(MANAGER, Act.DISCLOSE, RECORDING, purpose="court", recipient="mr. X")
    with pytest.raises(RefusedError, match="no such recording"):
        bench.review.find(MANAGER, Act.VIEW, "00" * 16, purpose="x")


def test_not_needed_is_destroyed_at_once_with_a_proof_and_its_hashes_stay(bench: Bench) -> None:
    with bench.station.database.session() as session:
        rows = {row.number: row for row in session.query(SegmentRow).all()}
    assert bench.review.not_needed(OFFICER, RECORDING, "nothing happened") == 2
    assert bench.bodies() == 2
    with bench.station.database.session() as session:
        proofs = [parse_proof(row.proof, bench.station.signer.public) for row in session.query(ProofRow).all()]
        assert session.get_one(RecordingRow, RECORDING).destroyed_utc_ns is not None
    assert [(proof.segment, proof.digest, proof.chain, proof.by, proof.why) for proof in proofs] == [
        (number, rows[number].digest, rows[number].chain, "P1", "nothing happened") for number in (2, 3)
    ]
    changed = bytearray(proofs[0].sign(bench.station.signer))
    changed[5] ^= 1
    with pytest.raises(StationError, match="not good"):
        parse_proof(bytes(changed), bench.station.signer.public)
    with pytest.raises(RefusedError, match="it was destroyed"):
        bench.review.find(MANAGER, Act.VIEW, RECORDING, purpose="court")
    # What is destroyed here is still confirmed to a device that lost the receipt.
    assert bench.take(2)
    assert bench.bodies() == 2


def test_a_decision_is_on_record_and_an_officers_own_ends_the_review(bench: Bench) -> None:
    bench.review.keep(OFFICER, RECORDING, "b", "a report was made")
    found = bench.review.recordings(REVIEWER)[0]
    assert (found.decision, found.purpose, found.ground, found.officer) == ("kept", "b", "a report was made", "P1")
    assert bench.review.recordings(OFFICER) == []
    with pytest.raises(RefusedError, match="a purpose is one of a to e"):
        bench.review.keep(REVIEWER, RECORDING, "f", "x")
    with pytest.raises(AuditError, match="say why"):
        bench.review.keep(REVIEWER, RECORDING, "a", "")


def test_what_nobody_decides_falls_after_28_days_from_the_recording_and_journals_too(bench: Bench) -> None:
    begun = bench.review.recordings(MANAGER)[0].begun_utc_ns
    bench.station.now_ns = begun + 28 * DAY_NS - 1
    assert [item for item in bench.review.due() if item.id == RECORDING] == []
    bench.station.now_ns = begun + 28 * DAY_NS
    assert [item.id for item in bench.review.due()] == [RECORDING]
    bench.station.now_ns += DAY_NS
    assert bench.review.destroy_due() == 4
    assert bench.bodies() == 0
    assert bench.review.destroy_due() == 0


def test_an_extension_needs_a_decision_a_ground_and_the_right_role(bench: Bench) -> None:
    with pytest.raises(RefusedError, match="decide to keep it first"):
        bench.review.extend(MANAGER, RECORDING, 90, "case 12")
    bench.review.keep(REVIEWER, RECORDING, "b", "case 12")
    with pytest.raises(RefusedError, match="not in any of"):
        bench.review.extend(REVIEWER, RECORDING, 90, "case 12")
    with pytest.raises(AuditError):
        bench.review.extend(MANAGER, RECORDING, 90, "")
    with pytest.raises(RefusedError, match="from 1 to"):
        bench.review.extend(MANAGER, RECORDING, 0, "case 12")
    bench.review.extend(MANAGER, RECORDING, 90, "case 12")
    bench.station.now_ns += 60 * DAY_NS
    assert bench.review.destroy_due() == 2, "the journals"
    bench.station.now_ns += 31 * DAY_NS
    assert bench.review.destroy_due() == 2


def test_a_late_part_of_a_destroyed_recording_is_destroyed_too(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.device.shift(parts=2, chunks=4)
    bench.take(1, 2)
    bench.review.not_needed(OFFICER, RECORDING)
    bench.take(3)
    assert bench.bodies() == 2
    assert bench.review.destroy_due() == 1
    assert bench.bodies() == 1
    bench.station.close()


def test_mass_destruction_is_shown_first_and_needs_two_persons(bench: Bench) -> None:
    number = bench.review.request(MANAGER, Act.DESTROY, [RECORDING], "wrong camera")
    assert [item.id for item in bench.review.dry_run([RECORDING, "00" * 16])] == [RECORDING]
    assert bench.bodies() == 4
    with pytest.raises(RefusedError, match="nobody else"):
        bench.review.destroy_approved(MANAGER, number)
    with pytest.raises(RefusedError, match="their own request"):
        bench.review.approve(MANAGER, number)
    with pytest.raises(RefusedError, match="not this person's"):
        bench.review.approve(REVIEWER, number)
    with pytest.raises(RefusedError, match="no such request"):
        bench.review.approve(SECOND, "nothing")
    with pytest.raises(RefusedError, match="not this person's"):
        bench.review.request(OFFICER, Act.DESTROY, [RECORDING], "x")
    bench.review.approve(SECOND, number)
    with pytest.raises(RefusedError, match="not this person's"):
        bench.review.destroy_approved(REVIEWER, number)
    assert bench.review.destroy_approved(MANAGER, number) == 1
    assert bench.bodies() == 2
    with pytest.raises(RefusedError, match="used already"):
        bench.review.destroy_approved(MANAGER, number)
    with pytest.raises(RefusedError, match="no such request"):
        bench.review.destroy_approved(MANAGER, "nothing")


def test_where_the_unit_wants_it_extension_and_disclosure_need_two_persons(tmp_path: Path) -> None:
    bench = Bench(tmp_path, rules=Rules(frozenset({Act.EXTEND, Act.DISCLOSE})))
    bench.ingest()
    bench.review.keep(REVIEWER, RECORDING, "b", "case")
    with pytest.raises(RefusedError, match="two persons"):
        bench.review.extend(MANAGER, RECORDING, 10, "case")
    bench.review.approve(SECOND, bench.review.request(MANAGER, Act.EXTEND, [RECORDING], "case"))
    bench.review.extend(MANAGER, RECORDING, 10, "case")
    with pytest.raises(RefusedError, match="two persons"):
        bench.review.extend(MANAGER, RECORDING, 10, "case")
    with pytest.raises(RefusedError, match="two persons"):
        bench.review.may_disclose(MANAGER, RECORDING)
    bench.station.close()


def test_the_table_of_permissions_keeps_footage_from_those_who_need_none() -> None:
    footage = {Act.VIEW, Act.DISCLOSE, Act.LIST, Act.KEEP, Act.NOT_NEEDED, Act.EXTEND, Act.DESTROY}
    for role in (Role.TECHNICIAN, Role.PRIVACY_OFFICER):
        assert not PERMISSIONS[role] & footage
    assert Act.DISCLOSE not in PERMISSIONS[Role.OFFICER] | PERMISSIONS[Role.REVIEWER]
    both = Person("X", "X", frozenset({Role.OFFICER, Role.REVIEWER}))
    assert role_for(both, Act.VIEW, Subject("P1")) is Role.REVIEWER
    assert role_for(both, Act.VIEW, Subject("X")) is Role.OFFICER
    assert role_for(OFFICER, Act.VIEW, Subject("")) is None


def test_the_figures_count_and_name_nobody(bench: Bench) -> None:
    rows = figure_rows(bench.station.database)
    assert [(row.purpose, row.decision, row.destroyed, row.faulty) for row in rows] == [("", "undecided", False, False)]
    assert rows[0].offload_delay_ns > 0
    bench.review.count(PRIVACY)
    with pytest.raises(RefusedError):
        bench.review.count(OFFICER)


def test_devices_are_enrolled_revoked_and_assigned_on_record(bench: Bench) -> None:
    known = bench.devices.all()
    assert [item.id for item in known] == [bench.id.hex()]
    assert bench.devices.carrier(bench.id) == "P1"
    assert bench.devices.carrier(bytes(16)) == ""
    with pytest.raises(StationError, match="say why"):
        bench.devices.revoke("T1", bench.id.hex(), " ")
    with pytest.raises(StationError, match="not known"):
        bench.devices.revoke("T1", "00", "lost")
    with pytest.raises(StationError, match="not known"):
        bench.devices.assign("T1", "00", "P1")
    bench.devices.revoke("T1", bench.id.hex(), "lost")
    with pytest.raises(IntakeError, match="revoked: lost"):
        bench.take(1)
    assert bench.devices.enrol("T1", bench.device.identity, "camera 7") == bench.id.hex()
    assert (bench.devices.all()[0].name, bench.devices.all()[0].revoked) == ("camera 7", "")
    with pytest.raises(StationError, match="printable"):
        bench.devices.enrol("T1", bench.device.identity, "a\nb")


def test_the_purpose_that_was_counted_on_the_button_arrives_and_yields_to_a_decision(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    station, device = bench.station, bench.device
    opener = FileKeyOpener(device.station)
    station.intake = Intake(
        station.database, station.store, station.audit, station.signer, lambda: station.now_ns,
        purposes=reader_with(opener),
    )  # fmt: skip

    def journal(*purposes: str | None) -> None:
        with device.open() as store:
            segment = store.begin(device.clock.stamp())
            for purpose in purposes:
                event = Event(1, "purpose", {"recording": RECORDING, "purpose": purpose})
                noise = Event(1, "purpose", {"recording": "ff" * 16, "purpose": "z"})
                segment.events(
                    device.clock.stamp(), encode_events([Event(1, "button", {"pressed": True}), event, noise])
                )
            segment.close("power-off", device.clock.stamp())

    def purpose() -> str:
        return bench.review.recordings(MANAGER)[0].purpose

    device.shift(parts=1)
    bench.take(1, 2, 3)
    assert purpose() == ""
    journal("a", "c")
    bench.take(4)
    assert purpose() == "c"
    journal("b", None)
    bench.take(5)
    assert purpose() == "", "taken back"
    bench.review.keep(REVIEWER, RECORDING, "e", "case")
    journal("a")
    bench.take(6)
    assert purpose() == "e"
    # Sealed to another unit's key, or not there: it says nothing, or is told.
    assert purposes_in(device.flash / "segments" / "0000000004.seg", FileKeyOpener(StationKey.generate())) == {}
    station.close()


class TestAudit:
    def log(self, base: Path) -> tuple[AuditLog, MemorySigner]:
        signer = MemorySigner.generate()
        return AuditLog(base, signer), signer

    def test_every_change_is_found(self, tmp_path: Path) -> None:
        log, signer = self.log(tmp_path)
        for number in range(6):
            log.write(Entry("E1", "reviewer", Act.VIEW, f"recording {number}", purpose="case\n12"))
        path = tmp_path / "audit.log"
        good = path.read_bytes()
        assert verify_log(path, signer.public).entries == 6
        assert b"case\xef\xbf\xbd12" in good
        lines = good.splitlines(keepends=True)
        for broken, says in (
            (b"".join(lines[:2] + lines[3:]), "taken out"),
            (b"".join([lines[1], lines[0], *lines[2:]]), "does not follow"),
            (b"".join([*lines[:3], lines[2], *lines[3:]]), "does not follow"),
            (good.replace(b"recording 3", b"recording 9"), "line 4: its signature"),
            (b"".join(lines[:5]), "the end is missing"),
            (good[:-1], "torn"),
            (good.replace(b'"who":"E1"', b'"who": "E1"', 1), "not written as"),
            (b"garbage\n" + good, "not an entry"),
        ):
            path.write_bytes(broken)
            assert says in verify_log(path, signer.public).trouble, says
        path.write_bytes(good)
        assert (
            "signature" in verify_log(path, MemorySigner.generate().public).trouble
            or "follow" in verify_log(path, MemorySigner.generate().public).trouble
        )
        (tmp_path / "audit.head").write_text("6 00\n")
        assert "do not agree" in verify_log(path, signer.public).trouble
        (tmp_path / "audit.head").write_text("x\n")
        assert "damaged" in verify_log(path, signer.public).trouble
        with pytest.raises(AuditError, match="cannot read"):
            verify_log(tmp_path / "none", signer.public)

    def test_a_torn_line_is_set_aside_and_the_log_goes_on(self, tmp_path: Path) -> None:
        log, signer = self.log(tmp_path)
        log.write(Entry("E1", "", Act.LIST, "x"))
        with (tmp_path / "audit.log").open("ab") as file:
            file.write(b'{"torn":')
        log.write(Entry("E1", "", Act.LIST, "y"))
        found = verify_log(tmp_path / "audit.log", signer.public)
        assert (found.entries, found.trouble) == (2, "")
        assert [path.read_bytes() for path in tmp_path.glob("audit.torn-*")] == [b'{"torn":']

    def test_a_log_of_another_station_is_not_gone_on_with(self, tmp_path: Path) -> None:
        log, _ = self.log(tmp_path)
        log.write(Entry("E1", "", Act.LIST, "x"))
        other, _ = self.log(tmp_path)
        with pytest.raises(AuditError, match="not this station's"):
            other.write(Entry("E1", "", Act.LIST, "x"))

    def test_what_cannot_be_written_is_not_done(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        log = AuditLog(tmp_path / "file", MemorySigner.generate())
        with pytest.raises(AuditError, match="nothing is done"):
            log.write(Entry("E1", "", Act.LIST, "x"))


class TestAccounts:
    @pytest.fixture
    def accounts(self, tmp_path: Path) -> Iterator[tuple[Accounts, list[int], AuditLog, Path]]:
        database = Database(f"sqlite:///{tmp_path / 'db'}")
        audit = AuditLog(tmp_path / "audit", MemorySigner.generate())
        now = [NOW_NS]
        quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        yield Accounts(database, audit, lambda: now[0], quick), now, audit, tmp_path
        database.close()

    def test_the_right_password_opens_and_failures_lock(
        self, accounts: tuple[Accounts, list[int], AuditLog, Path]
    ) -> None:
        made, now, _, base = accounts
        made.add("admin", "P1", "Agent", [Role.OFFICER, Role.REVIEWER], "a good password")
        person = made.log_in("P1", "a good password")
        assert (person.number, person.roles) == ("P1", frozenset({Role.OFFICER, Role.REVIEWER}))
        for number in ("P1", "P9"):
            with pytest.raises(RefusedError, match="the personnel number or the password"):
                made.log_in(number, "wrong")
        for _ in range(4):
            with pytest.raises(RefusedError):
                made.log_in("P1", "wrong")
        with pytest.raises(RefusedError):
            made.log_in("P1", "a good password")
        now[0] += 31 * 1_000_000_000
        assert made.log_in("P1", "a good password").number == "P1"
        text = (base / "audit" / "audit.log").read_text()
        assert text.count("refused: wrong") == 7
        assert "password" not in text
        made.remove("admin", "P1")
        with pytest.raises(RefusedError):
            made.log_in("P1", "a good password")
        with pytest.raises(StationError, match="no account"):
            made.remove("admin", "P1")

    @pytest.mark.parametrize(
        ("number", "name", "roles", "password"),
        [
            ("station", "x", [Role.OFFICER], "a good password"), ("", "x", [Role.OFFICER], "a good password"),
            ("P 1", "x", [Role.OFFICER], "a good password"), ("P1", "", [Role.OFFICER], "a good password"),
            ("P1", "x", [], "a good password"), ("P1", "x", [Role.OFFICER], "short"),
        ],
    )  # fmt: skip
    def test_what_will_not_do(
        self, accounts: tuple[Accounts, list[int], AuditLog, Path], number: str, name: str, roles: list[Role],
        password: str,
    ) -> None:  # fmt: skip
        with pytest.raises(StationError):
            accounts[0].add("admin", number, name, roles, password)


class TestBodies:
    def test_the_envelope_goes_first_and_a_crash_between_is_finished(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        device = Device(tmp_path / "device")
        device.shift()
        source = tmp_path / "source"
        source.write_bytes((device.flash / "segments" / "0000000002.seg").read_bytes())
        size = source.stat().st_size
        bodies = FolderBodies(tmp_path / "bodies")
        bodies.put("d/1.seg", source, datetime.now(UTC))
        with monkeypatch.context() as patch:
            patch.setattr("station.custody.bodies.shred", lambda _path: (_ for _ in ()).throw(OSError(5, "broken")))
            with pytest.raises(BodyError, match="cannot destroy"):
                bodies.destroy("d/1.seg")
        (left,) = (tmp_path / "bodies" / "d").iterdir()
        data = left.read_bytes()
        assert len(data) == size
        assert data[:1500] == bytes(1500), "the opening, with every envelope, is gone already"
        with pytest.raises(BodyError, match="is not there"), bodies.local("d/1.seg"):
            pass
        bodies.destroy("d/1.seg")
        bodies.destroy("d/1.seg")
        assert list((tmp_path / "bodies" / "d").iterdir()) == []

    def test_a_place_that_is_none_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        for url in ("ftp://x/y", str(tmp_path / "file" / "x")):
            with pytest.raises(BodyError):
                open_bodies(url)
        with pytest.raises(BodyError, match="cannot keep"):
            open_bodies(str(tmp_path / "b")).put("d/1.seg", tmp_path / "nothing", None)  # type: ignore[arg-type]

    @pytest.mark.parametrize("locked", [False, True])
    def test_a_bucket_keeps_what_a_folder_keeps(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locked: bool
    ) -> None:
        for name, value in (
            ("AWS_ACCESS_KEY_ID", "x"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
            ("AWS_DEFAULT_REGION", "eu-west-1"),
        ):
            monkeypatch.setenv(name, value)
        with mock_aws():
            s3 = boto3.client("s3")
            s3.create_bucket(
                Bucket="unit", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"},
                ObjectLockEnabledForBucket=locked,
            )  # fmt: skip
            with pytest.raises(BodyError, match="cannot use"):
                open_bodies("s3://another/prefix")
            bench = Bench(tmp_path, bodies=open_bodies("s3://unit/a/b"))
            bench.ingest()
            names = {item["Key"] for item in s3.list_objects_v2(Bucket="unit")["Contents"]}
            assert len(names) == 8
            assert all(name.startswith(f"a/b/{bench.id.hex()}/") for name in names)
            if locked:
                found = s3.head_object(Bucket="unit", Key=min(names))
                assert found["ObjectLockMode"] == "GOVERNANCE"
            with bench.station.database.session() as session:
                body = session.get_one(SegmentRow, (bench.id.hex(), 2)).body
            with bench.station.store.local(body) as path:
                assert path.read_bytes() == (bench.device.flash / "segments" / "0000000002.seg").read_bytes()
            assert bench.review.not_needed(OFFICER, RECORDING) == 2
            versions = s3.list_object_versions(Bucket="unit").get("Versions", [])
            assert len({item["Key"] for item in versions}) == 4
            with pytest.raises(BodyError, match="cannot read"), bench.station.store.local(body):
                pass
            with pytest.raises(BodyError, match="cannot keep"):
                bench.station.store.put("x", tmp_path / "nothing", datetime.now(UTC))
            bench.station.close()


class TestDatabase:
    def test_a_database_that_is_locked_gone_or_no_database_is_told_in_one_line(self, tmp_path: Path) -> None:
        for url in ("nonsense", "nothing://x", f"sqlite:///{tmp_path}/no/such/folder/db"):
            with pytest.raises(DatabaseError):
                Database(url)
        (tmp_path / "junk").write_bytes(b"this is no database at all" * 100)
        with pytest.raises(DatabaseError, match="not a database"):
            Database(f"sqlite:///{tmp_path / 'junk'}")
        newer = Database(f"sqlite:///{tmp_path / 'db'}")
        with sqlite3.connect(tmp_path / "db") as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        newer.close()
        with pytest.raises(DatabaseError, match="not this program's"):
            Database(f"sqlite:///{tmp_path / 'db'}")

    def test_a_lock_that_stays_changes_nothing_and_passes(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("station.custody.database._BUSY_MS", 50)
        bench.station.database.engine.dispose()
        other = sqlite3.connect(bench.station.base / "custody.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseError, match="nothing was changed"):
            bench.review.keep(REVIEWER, RECORDING, "a", "x")
        other.execute("ROLLBACK")
        other.close()
        bench.review.keep(REVIEWER, RECORDING, "a", "x")

    def test_the_migrations_make_the_tables_that_the_program_has(self, tmp_path: Path) -> None:
        from alembic.autogenerate import compare_metadata
        from alembic.migration import MigrationContext

        from station.custody.tables import Base

        database = Database(f"sqlite:///{tmp_path / 'db'}")
        with database.engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
        database.close()
