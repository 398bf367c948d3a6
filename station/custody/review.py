"""Deciding about recordings: keep, not needed, extend; and destroying what is due, with a proof (docs/CUSTODY.md).

Every act is on the audit log before it is done, with who and why; a refusal is there too. Who may do what is in
`station.people.roles`.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from station.audit.log import Act, AuditLog, Entry
from station.custody.bodies import BodyStore
from station.custody.database import Database
from station.custody.intake import DAY_NS
from station.custody.proof import DestructionProof
from station.custody.tables import ProofRow, RecordingRow, RequestRow, SegmentRow
from station.errors import RefusedError
from station.people.roles import Person, Subject, role_for
from storage.signer import Signer

PURPOSES = frozenset("abcde")
_MAX_EXTENSION_DAYS = 3650
_STATION = "station"


@dataclass(frozen=True, slots=True)
class Recording:
    """What is known about a recording."""

    id: str
    device: str
    officer: str
    begun_utc_ns: int
    duration_ns: int
    size_bytes: int
    segments: int
    decision: str
    purpose: str
    ground: str
    due_utc_ns: int
    destroyed: bool


@dataclass(frozen=True, slots=True)
class Rules:
    """The unit's choices about custody."""

    dual_control: frozenset[Act] = frozenset()
    """Acts on a single recording that need two persons: `Act.EXTEND`, `Act.DISCLOSE`, or both."""
    keep_days: int = 28


class Review:
    """Decides, and destroys. Thread-safe."""

    def __init__(
        self,
        database: Database,
        bodies: BodyStore,
        audit: AuditLog,
        signer: Signer,
        utc_ns: Callable[[], int],
        rules: Rules = Rules(),
    ) -> None:
        self._database = database
        self._bodies = bodies
        self._audit = audit
        self._signer = signer
        self._utc_ns = utc_ns
        self._rules = rules

    def recordings(self, person: Person) -> list[Recording]:
        """Return the recordings that a person may see, the oldest first. That, too, is on record.

        Raises:
            RefusedError: the person may see none.
        """
        with self._database.session() as session:
            rows = session.scalars(select(RecordingRow).order_by(RecordingRow.begun_utc_ns)).all()
            found = [_described(session, row) for row in rows if role_for(person, Act.LIST, _subject(row)) is not None]
        role = role_for(person, Act.LIST)
        self._write(person, Act.LIST, "recordings", role is not None, "this role sees no footage")
        return found

    def find(self, person: Person, act: Act, recording: str, *, purpose: str, recipient: str = "") -> Recording:
        """Return a recording, if the person may do this with it; the act is on record from now on.

        Raises:
            RefusedError: no such recording, destroyed, or not this person's to do; that is on record, too.
            AuditError: the reason, or the recipient, is missing.
        """
        with self._database.session() as session:
            row = session.get(RecordingRow, recording)
            found = _described(session, row) if row is not None else None
            subject = _subject(row) if row is not None else None
        if row is None or found is None:
            self._refuse(person, act, recording, "there is no such recording")
        if found.destroyed:
            self._refuse(person, act, recording, "it was destroyed")
        self._write(
            person, act, recording, role_for(person, act, subject) is not None,
            "not in any of this person's roles, or not theirs to see", purpose=purpose, recipient=recipient,
        )  # fmt: skip
        return found

    def keep(self, person: Person, recording: str, purpose: str, ground: str) -> None:
        """Decide that a recording is needed for one of the five tasks (a to e), on a ground.

        Raises:
            RefusedError: not this person's to decide, or no purpose.
            AuditError: no ground.
        """
        if purpose not in PURPOSES:
            self._refuse(person, Act.KEEP, recording, f"a purpose is one of a to e, not {purpose!r}")
        self.find(person, Act.KEEP, recording, purpose=ground)
        with self._database.session() as session:
            row = session.get_one(RecordingRow, recording)
            row.decision, row.purpose, row.ground = "kept", purpose, ground
            row.decided_by, row.decided_utc_ns = person.number, self._utc_ns()

    def not_needed(self, person: Person, recording: str, ground: str = "not needed") -> int:
        """Decide that a recording is not needed, and destroy it at once; return how many segments went.

        Raises:
            RefusedError: not this person's to decide.
            StationError: it is decided, and destroying goes on at the next `destroy_due`.
        """
        self.find(person, Act.NOT_NEEDED, recording, purpose=ground)
        with self._database.session() as session:
            row = session.get_one(RecordingRow, recording)
            row.decision, row.ground, row.due_utc_ns = "not-needed", ground, self._utc_ns()
            row.decided_by, row.decided_utc_ns = person.number, self._utc_ns()
        return self._destroy_recording(recording, person.number, ground)

    def extend(self, person: Person, recording: str, days: int, ground: str) -> int:
        """Keep a recording for `days` from now, on a legal ground; return when it is due (ns since 1970).

        Raises:
            RefusedError: not this person's to decide, not kept, or a second person has not agreed.
            AuditError: no ground.
        """
        if not 1 <= days <= _MAX_EXTENSION_DAYS:
            self._refuse(person, Act.EXTEND, recording, f"{days} days: from 1 to {_MAX_EXTENSION_DAYS}")
        self._second_person(person, Act.EXTEND, [recording])
        found = self.find(person, Act.EXTEND, recording, purpose=ground)
        if found.decision != "kept":
            self._refuse(person, Act.EXTEND, recording, "decide to keep it first, with its purpose")
        due_ns = self._utc_ns() + days * DAY_NS
        with self._database.session() as session:
            row = session.get_one(RecordingRow, recording)
            row.due_utc_ns, row.ground = due_ns, ground
        return due_ns

    def request(self, person: Person, act: Act, recordings: Sequence[str], ground: str) -> str:
        """Ask a second person for an act that needs two; return the request's number.

        Raises:
            RefusedError: not this person's to ask.
        """
        allowed = role_for(person, Act.REQUEST) is not None and act in (Act.DESTROY, Act.EXTEND, Act.DISCLOSE)
        objects = json.dumps(sorted(set(recordings)))
        self._write(person, Act.REQUEST, f"{act.value} {objects}", allowed, "not this person's to ask", purpose=ground)
        number = secrets.token_hex(8)
        with self._database.session() as session:
            session.add(
                RequestRow(
                    id=number, act=act.value, objects=objects, ground=ground, asked_by=person.number,
                    asked_utc_ns=self._utc_ns(),
                )
            )  # fmt: skip
        return number

    def approve(self, person: Person, number: str) -> None:
        """Agree, as the second person.

        Raises:
            RefusedError: no such request, one's own, or not this person's to approve.
        """
        with self._database.session() as session:
            row = session.get(RequestRow, number)
        if row is None:
            self._refuse(person, Act.APPROVE, number, "there is no such request")
        if row.asked_by == person.number:
            self._refuse(person, Act.APPROVE, number, "nobody approves their own request")
        allowed = role_for(person, Act.APPROVE) is not None
        self._write(person, Act.APPROVE, number, allowed, "not this person's to approve", purpose=row.ground)
        with self._database.session() as session:
            session.get_one(RequestRow, number).approved_by = person.number

    def dry_run(self, recordings: Sequence[str]) -> list[Recording]:
        """Return what a mass destruction would destroy; nothing is changed."""
        with self._database.session() as session:
            rows = [session.get(RecordingRow, recording) for recording in dict.fromkeys(recordings)]
            return [_described(session, row) for row in rows if row is not None and row.destroyed_utc_ns is None]

    def destroy_approved(self, person: Person, number: str) -> int:
        """Destroy what an approved request names, and nothing else; return how many recordings went.

        Raises:
            RefusedError: nobody else has approved it, it was used, or not this person's to do.
        """
        with self._database.session() as session:
            row = session.get(RequestRow, number, with_for_update=True)
            trouble = _unusable(row, Act.DESTROY)
        if row is None or trouble:
            self._refuse(person, Act.DESTROY, number, trouble)
        allowed = role_for(person, Act.DESTROY) is not None
        objects = json.loads(row.objects)
        self._write(
            person, Act.DESTROY, f"{number}: {len(objects)} recordings", allowed, "not this person's to destroy",
            purpose=row.ground,
        )  # fmt: skip
        with self._database.session() as session:
            session.get_one(RequestRow, number).used_utc_ns = self._utc_ns()
            for recording in objects:
                found = session.get(RecordingRow, recording)
                if found is not None and found.destroyed_utc_ns is None:
                    found.decision, found.due_utc_ns, found.ground = "not-needed", self._utc_ns(), row.ground
        by = f"{row.asked_by}, {row.approved_by}"
        return sum(self._destroy_recording(recording, by, row.ground) > 0 for recording in objects)

    def may_disclose(self, person: Person, recording: str) -> None:
        """Check that a second person has agreed to a disclosure, where the unit wants that; uses the agreement up.

        Raises:
            RefusedError: not yet.
        """
        self._second_person(person, Act.DISCLOSE, [recording])

    def count(self, person: Person) -> None:
        """Put on record that somebody takes the trial's figures.

        Raises:
            RefusedError: not this person's to take.
        """
        allowed = role_for(person, Act.FIGURES) is not None
        self._write(person, Act.FIGURES, "figures", allowed, "not this person's to take")

    def due(self) -> list[Recording]:
        """Return the recordings whose time is up."""
        with self._database.session() as session:
            rows = session.scalars(
                select(RecordingRow).where(
                    RecordingRow.destroyed_utc_ns.is_(None), RecordingRow.due_utc_ns <= self._utc_ns()
                )
            ).all()
            return [_described(session, row) for row in rows]

    def destroy_due(self) -> int:
        """Destroy every recording and journal whose time is up; return how many segments went.

        Raises:
            StationError: a body may still be there; the next call goes on.
        """
        count = sum(
            self._destroy_recording(item.id, _STATION, item.ground or "the time it may be kept is over")
            for item in self.due()
        )
        with self._database.session() as session:
            left = session.scalars(
                select(SegmentRow)
                .outerjoin(RecordingRow, RecordingRow.id == SegmentRow.recording)
                .where(
                    SegmentRow.destroyed_utc_ns.is_(None),
                    or_(
                        # A journal of that age; or what came late of a recording that was destroyed.
                        (SegmentRow.recording == "") & (SegmentRow.due_utc_ns <= self._utc_ns()),
                        RecordingRow.destroyed_utc_ns.is_not(None),
                    ),
                )
            ).all()
        for row in left:
            self._destroy_segment(row, _STATION, "the time it may be kept is over")
        return count + len(left)

    def _destroy_recording(self, recording: str, by: str, why: str) -> int:
        with self._database.session() as session:
            rows = session.scalars(
                select(SegmentRow).where(SegmentRow.recording == recording, SegmentRow.destroyed_utc_ns.is_(None))
            ).all()
        for row in rows:
            self._destroy_segment(row, by, why)
        with self._database.session() as session:
            found = session.get(RecordingRow, recording)
            if found is not None and found.destroyed_utc_ns is None:
                found.destroyed_utc_ns = self._utc_ns()
        return len(rows)

    def _destroy_segment(self, row: SegmentRow, by: str, why: str) -> None:
        """First on record, then the bytes, then the proof: a crash between leaves what the next call finishes."""
        now_ns = self._utc_ns()
        proof = DestructionProof(
            bytes.fromhex(row.device), row.number, bytes.fromhex(row.recording or "00" * 16), row.size_bytes,
            row.digest, row.chunks, row.chain, why[:500], by[:200], now_ns,
        )  # fmt: skip
        self._audit.write(
            Entry(
                by, "", Act.DESTROY, f"{row.device}/{row.number}", purpose=why,
                details={"digest": row.digest.hex(), "recording": row.recording},
            )
        )  # fmt: skip
        self._bodies.destroy(row.body)
        with self._database.session() as session:
            session.merge(ProofRow(device=row.device, number=row.number, proof=proof.sign(self._signer)))
            session.get_one(SegmentRow, (row.device, row.number)).destroyed_utc_ns = now_ns

    def _second_person(self, person: Person, act: Act, recordings: list[str]) -> None:
        if act not in self._rules.dual_control:
            return
        objects = json.dumps(sorted(set(recordings)))
        with self._database.session() as session:
            row = session.scalars(
                select(RequestRow).where(
                    RequestRow.act == act.value, RequestRow.objects == objects, RequestRow.approved_by != "",
                    RequestRow.used_utc_ns.is_(None),
                )
            ).first()  # fmt: skip
            if row is not None:
                row.used_utc_ns = self._utc_ns()
        if row is None:
            self._refuse(person, act, objects, "this unit wants two persons for it: ask, and have somebody approve")

    def _write(
        self, person: Person, act: Act, what: str, allowed: bool, why: str, *, purpose: str = "", recipient: str = ""
    ) -> None:
        if not allowed:
            self._refuse(person, act, what, why)
        role = role_for(person, act)
        self._audit.write(
            Entry(person.number, role.value if role else "", act, what, purpose=purpose, recipient=recipient)
        )

    def _refuse(self, person: Person, act: Act, what: str, why: str) -> NoReturn:
        roles = ", ".join(sorted(role.value for role in person.roles))
        self._audit.write(Entry(person.number, roles, act, what, outcome=f"refused: {why}"))
        raise RefusedError(f"{act.value} {what}: refused: {why}")


def _subject(row: RecordingRow) -> Subject:
    return Subject(row.officer, row.decision == "undecided")


def _unusable(row: RequestRow | None, act: Act) -> str:
    if row is None or row.act != act.value:
        return "there is no such request"
    if not row.approved_by:
        return "nobody else has approved it"
    return "it was used already" if row.used_utc_ns is not None else ""


def _described(session: Session, row: RecordingRow) -> Recording:
    parts = session.scalars(select(SegmentRow).where(SegmentRow.recording == row.id)).all()
    return Recording(
        row.id, row.device, row.officer, row.begun_utc_ns, sum(part.duration_ns for part in parts),
        sum(part.size_bytes for part in parts), len(parts), row.decision, row.purpose, row.ground, row.due_utc_ns,
        row.destroyed_utc_ns is not None,
    )  # fmt: skip
