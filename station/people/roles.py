"""Roles, and what each may do. A table and a rule; no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from station.audit.log import Act


class Role(Enum):
    """What a person is to the station. One may have several."""

    OFFICER = "officer"
    """Sees the own recordings of the shift under review, and decides about them."""
    REVIEWER = "reviewer"
    EVIDENCE_MANAGER = "evidence-manager"
    PRIVACY_OFFICER = "privacy-officer"
    """Reads the audit log, and no footage."""
    TECHNICIAN = "technician"
    """Devices alone, never footage."""


PERMISSIONS: dict[Role, frozenset[Act]] = {
    Role.OFFICER: frozenset({Act.LIST, Act.VIEW, Act.KEEP, Act.NOT_NEEDED}),
    Role.REVIEWER: frozenset({Act.LIST, Act.VIEW, Act.KEEP, Act.NOT_NEEDED}),
    Role.EVIDENCE_MANAGER: frozenset(
        {Act.LIST, Act.VIEW, Act.DISCLOSE, Act.KEEP, Act.NOT_NEEDED, Act.EXTEND, Act.DESTROY, Act.REQUEST, Act.APPROVE,
         Act.FIGURES}
    ),
    Role.PRIVACY_OFFICER: frozenset({Act.AUDIT, Act.FIGURES}),
    Role.TECHNICIAN: frozenset({Act.DEVICE}),
}  # fmt: skip
"""What each role may do at all."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who has proved to be who they are."""

    number: str
    """Personnel number."""
    name: str
    roles: frozenset[Role]


@dataclass(frozen=True, slots=True)
class Subject:
    """What an act is about, as far as rules need it."""

    officer: str = ""
    """Personnel number of who recorded it; empty where nobody knows."""
    undecided: bool = True


def role_for(person: Person, act: Act, subject: Subject | None = None) -> Role | None:
    """Return the role in which a person may do this, or None.

    An officer may act on own recordings alone, and only while they are under review: until somebody has decided.
    """
    for role in Role:
        if role not in person.roles or act not in PERMISSIONS[role]:
            continue
        if role is Role.OFFICER and subject is not None:
            own = bool(subject.officer) and subject.officer == person.number
            if not own or not subject.undecided:
                continue
        return role
    return None
