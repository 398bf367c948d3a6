"""Accounts: personnel number, roles, and a password hashed with Argon2id (RFC 9106)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from station.audit.log import Act, AuditLog, Entry
from station.custody.database import Database
from station.custody.tables import PersonRow
from station.errors import RefusedError, StationError
from station.people.roles import Person, Role

_NUMBER = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{1,39}")
_SHORTEST = 10
_LONGEST = 200
_FREE_FAILURES = 4
_FIRST_LOCK_NS = 30 * 1_000_000_000
_LONGEST_LOCK_NS = 3600 * 1_000_000_000
_WRONG = "the personnel number or the password is wrong, or the account is locked for a while"


class Accounts:
    """Who is who. Thread-safe."""

    def __init__(
        self, database: Database, audit: AuditLog, utc_ns: Callable[[], int], hasher: PasswordHasher | None = None
    ) -> None:
        self._database = database
        self._audit = audit
        self._utc_ns = utc_ns
        self._hasher = hasher or PasswordHasher()

    def add(self, by: str, number: str, name: str, roles: Iterable[Role], password: str) -> None:
        """Make an account, or give one a new name, new roles and a new password.

        Raises:
            StationError: a number, name or password that will not do.
        """
        wanted = sorted({role.value for role in roles})
        if not _NUMBER.fullmatch(number) or number == "station":
            raise StationError(f"{number!r} is no personnel number: letters, digits, '.' and '-', 2 to 40")
        if not name.strip() or not name.isprintable() or len(name) > 80 or not wanted:
            raise StationError("an account has a name of up to 80 characters, and at least one role")
        if not _SHORTEST <= len(password) <= _LONGEST:
            raise StationError(f"a password has {_SHORTEST} to {_LONGEST} characters")
        self._audit.write(Entry(by, "", Act.PERSON, number, details={"name": name, "roles": ", ".join(wanted)}))
        hashed = self._hasher.hash(password)
        with self._database.session() as session:
            session.merge(
                PersonRow(
                    number=number, name=name, roles=",".join(wanted), password=hashed, failures=0, locked_until_ns=0
                )
            )

    def remove(self, by: str, number: str) -> None:
        """Take an account away; what its person did stays on record.

        Raises:
            StationError: there is none.
        """
        with self._database.session() as session:
            row = session.get(PersonRow, number)
            if row is None:
                raise StationError(f"there is no account {number!r}")
            self._audit.write(Entry(by, "", Act.PERSON, number, details={"removed": True}))
            session.delete(row)

    def log_in(self, number: str, password: str) -> Person:
        """Return who this is. Failures are on record; after some of them the account is locked for ever longer.

        Raises:
            RefusedError: not somebody who is known by that password; it does not say which of the two is wrong.
        """
        with self._database.session() as session:
            row = session.get(PersonRow, number)
        good = self._matches(row, password[:_LONGEST])
        now_ns = self._utc_ns()
        if row is None or not good or row.locked_until_ns > now_ns:
            self._failed(number, counts=row is not None and not good)
            raise RefusedError(_WRONG)
        with self._database.session() as session:
            session.get_one(PersonRow, number).failures = 0
        roles = frozenset(Role(item) for item in row.roles.split(","))
        self._audit.write(Entry(number, ", ".join(sorted(role.value for role in roles)), Act.LOGIN, "station"))
        return Person(number, row.name, roles)

    def _failed(self, number: str, *, counts: bool) -> None:
        if counts:
            with self._database.session() as session:
                row = session.get_one(PersonRow, number)
                row.failures += 1
                over = row.failures - _FREE_FAILURES
                if over > 0:
                    lock_ns = min(_FIRST_LOCK_NS << min(over - 1, 20), _LONGEST_LOCK_NS)
                    row.locked_until_ns = self._utc_ns() + lock_ns
        self._audit.write(Entry(number, "", Act.LOGIN, "station", outcome="refused: wrong, unknown or locked"))

    def _matches(self, row: PersonRow | None, password: str) -> bool:
        if row is None:
            # Somebody who does not exist takes as long to refuse as somebody who does.
            self._hasher.hash(password)
            return False
        try:
            return self._hasher.verify(row.password, password)
        except (VerificationError, InvalidHashError):
            return False
