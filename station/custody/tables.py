"""What the station knows, as tables (SQLAlchemy; SQLite, or PostgreSQL by URL). Times are ns since 1970, UTC."""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The tables; `migrations/` holds how they came to be."""


class DeviceRow(Base):
    """A device of the unit."""

    __tablename__ = "devices"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    """Device id in hex."""
    identity: Mapped[bytes] = mapped_column(LargeBinary(33))
    """Raw public key: 32 bytes of Ed25519, or 33 of P-256. Neither SQLite nor PostgreSQL bounds the column."""
    name: Mapped[str] = mapped_column(String(80), default="")
    revoked: Mapped[str] = mapped_column(String(200), default="")
    """Why nothing is taken from it any more; empty where it is enrolled."""
    seen_segment: Mapped[int] = mapped_column(BigInteger, default=0)
    """The highest closed segment that it ever showed."""
    seen_chain: Mapped[bytes] = mapped_column(LargeBinary(32), default=b"")
    """That segment's last chain value."""


class SegmentRow(Base):
    """A segment that is, or was, here."""

    __tablename__ = "segments"
    __table_args__ = (Index("segments_of_recording", "recording"),)

    device: Mapped[str] = mapped_column(ForeignKey("devices.id"), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    recording: Mapped[str] = mapped_column(String(32), default="")
    """Its recording's id in hex; empty for a journal."""
    part: Mapped[int] = mapped_column(BigInteger)
    begun_utc_ns: Mapped[int] = mapped_column(BigInteger)
    ended_utc_ns: Mapped[int] = mapped_column(BigInteger)
    duration_ns: Mapped[int] = mapped_column(BigInteger)
    """Of its media."""
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    previous_chain: Mapped[bytes] = mapped_column(LargeBinary(32))
    chunks: Mapped[int] = mapped_column(BigInteger)
    chain: Mapped[bytes] = mapped_column(LargeBinary(32))
    signature: Mapped[bytes] = mapped_column(LargeBinary(64))
    closed: Mapped[str] = mapped_column(String(20), default="")
    """Why it was closed; empty where it was cut."""
    body: Mapped[str] = mapped_column(String(300))
    """Where its bytes are, for the body store."""
    received_utc_ns: Mapped[int] = mapped_column(BigInteger)
    due_utc_ns: Mapped[int] = mapped_column(BigInteger)
    """When a journal is destroyed; a recording's segments follow the recording."""
    destroyed_utc_ns: Mapped[int | None] = mapped_column(BigInteger, default=None)


class StatedRow(Base):
    """A device's own signed word that it destroyed a segment."""

    __tablename__ = "stated"

    device: Mapped[str] = mapped_column(ForeignKey("devices.id"), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    reason: Mapped[str] = mapped_column(String(20))
    stated_in: Mapped[int] = mapped_column(BigInteger)


class RecordingRow(Base):
    """A recording, and what was decided about it."""

    __tablename__ = "recordings"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    device: Mapped[str] = mapped_column(ForeignKey("devices.id"))
    begun_utc_ns: Mapped[int] = mapped_column(BigInteger)
    officer: Mapped[str] = mapped_column(String(40), default="")
    """Personnel number of whoever the device was assigned to; empty where nobody knows."""
    decision: Mapped[str] = mapped_column(String(20), default="undecided")
    """``undecided``, ``kept``, ``not-needed``."""
    purpose: Mapped[str] = mapped_column(String(1), default="")
    """``a`` to ``e``; empty is unclassified."""
    ground: Mapped[str] = mapped_column(String(500), default="")
    decided_by: Mapped[str] = mapped_column(String(40), default="")
    decided_utc_ns: Mapped[int | None] = mapped_column(BigInteger, default=None)
    due_utc_ns: Mapped[int] = mapped_column(BigInteger)
    """When it is destroyed, if nobody extends that."""
    destroyed_utc_ns: Mapped[int | None] = mapped_column(BigInteger, default=None)


class ProofRow(Base):
    """The station's signed word that it destroyed a segment: the hashes stay."""

    __tablename__ = "proofs"

    device: Mapped[str] = mapped_column(String(32), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    proof: Mapped[bytes] = mapped_column(LargeBinary)
    """CBOR and 64 bytes of signature (docs/CUSTODY.md)."""


class AssignmentRow(Base):
    """Who carried a device from when on."""

    __tablename__ = "assignments"

    device: Mapped[str] = mapped_column(ForeignKey("devices.id"), primary_key=True)
    from_utc_ns: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    officer: Mapped[str] = mapped_column(String(40))


class RequestRow(Base):
    """An act that needs a second person."""

    __tablename__ = "requests"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    act: Mapped[str] = mapped_column(String(20))
    """``destroy``, ``extend`` or ``disclose``."""
    objects: Mapped[str] = mapped_column(String)
    """Recording ids, as a JSON list."""
    ground: Mapped[str] = mapped_column(String(500))
    asked_by: Mapped[str] = mapped_column(String(40))
    asked_utc_ns: Mapped[int] = mapped_column(BigInteger)
    approved_by: Mapped[str] = mapped_column(String(40), default="")
    used_utc_ns: Mapped[int | None] = mapped_column(BigInteger, default=None)


class PersonRow(Base):
    """An account."""

    __tablename__ = "people"

    number: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    roles: Mapped[str] = mapped_column(String(200))
    """Comma-separated."""
    password: Mapped[str] = mapped_column(String(200))
    """Argon2id (RFC 9106), encoded."""
    failures: Mapped[int] = mapped_column(BigInteger, default=0)
    locked_until_ns: Mapped[int] = mapped_column(BigInteger, default=0)
