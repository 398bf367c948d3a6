"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "devices",
        sa.Column("id", sa.String(32), primary_key=True, nullable=False),
        sa.Column("identity", sa.LargeBinary(32), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("revoked", sa.String(200), nullable=False),
        sa.Column("seen_segment", sa.BigInteger(), nullable=False),
        sa.Column("seen_chain", sa.LargeBinary(32), nullable=False),
    )
    op.create_table(
        "people",
        sa.Column("number", sa.String(40), primary_key=True, nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("roles", sa.String(200), nullable=False),
        sa.Column("password", sa.String(200), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("locked_until_ns", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "proofs",
        sa.Column("device", sa.String(32), primary_key=True, nullable=False),
        sa.Column("number", sa.BigInteger(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("proof", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "requests",
        sa.Column("id", sa.String(32), primary_key=True, nullable=False),
        sa.Column("act", sa.String(20), nullable=False),
        sa.Column("objects", sa.String(), nullable=False),
        sa.Column("ground", sa.String(500), nullable=False),
        sa.Column("asked_by", sa.String(40), nullable=False),
        sa.Column("asked_utc_ns", sa.BigInteger(), nullable=False),
        sa.Column("approved_by", sa.String(40), nullable=False),
        sa.Column("used_utc_ns", sa.BigInteger(), nullable=True),
    )
    op.create_table(
        "assignments",
        sa.Column("device", sa.String(32), sa.ForeignKey("devices.id"), primary_key=True, nullable=False),
        sa.Column("from_utc_ns", sa.BigInteger(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("officer", sa.String(40), nullable=False),
    )
    op.create_table(
        "recordings",
        sa.Column("id", sa.String(32), primary_key=True, nullable=False),
        sa.Column("device", sa.String(32), sa.ForeignKey("devices.id"), nullable=False),
        sa.Column("begun_utc_ns", sa.BigInteger(), nullable=False),
        sa.Column("officer", sa.String(40), nullable=False),
        sa.Column("decision", sa.String(20), nullable=False),
        sa.Column("purpose", sa.String(1), nullable=False),
        sa.Column("ground", sa.String(500), nullable=False),
        sa.Column("decided_by", sa.String(40), nullable=False),
        sa.Column("decided_utc_ns", sa.BigInteger(), nullable=True),
        sa.Column("due_utc_ns", sa.BigInteger(), nullable=False),
        sa.Column("destroyed_utc_ns", sa.BigInteger(), nullable=True),
    )
    op.create_table(
        "segments",
        sa.Column("device", sa.String(32), sa.ForeignKey("devices.id"), primary_key=True, nullable=False),
        sa.Column("number", sa.BigInteger(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("recording", sa.String(32), nullable=False),
        sa.Column("part", sa.BigInteger(), nullable=False),
        sa.Column("begun_utc_ns", sa.BigInteger(), nullable=False),
        sa.Column("ended_utc_ns", sa.BigInteger(), nullable=False),
        sa.Column("duration_ns", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("previous_chain", sa.LargeBinary(32), nullable=False),
        sa.Column("chunks", sa.BigInteger(), nullable=False),
        sa.Column("chain", sa.LargeBinary(32), nullable=False),
        sa.Column("signature", sa.LargeBinary(64), nullable=False),
        sa.Column("closed", sa.String(20), nullable=False),
        sa.Column("body", sa.String(300), nullable=False),
        sa.Column("received_utc_ns", sa.BigInteger(), nullable=False),
        sa.Column("due_utc_ns", sa.BigInteger(), nullable=False),
        sa.Column("destroyed_utc_ns", sa.BigInteger(), nullable=True),
    )
    op.create_index("segments_of_recording", "segments", ["recording"])
    op.create_table(
        "stated",
        sa.Column("device", sa.String(32), sa.ForeignKey("devices.id"), primary_key=True, nullable=False),
        sa.Column("number", sa.BigInteger(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("reason", sa.String(20), nullable=False),
        sa.Column("stated_in", sa.BigInteger(), nullable=False),
    )


def downgrade() -> None:
    """Refuse: custody is not taken apart."""
    raise NotImplementedError("the custody tables are not removed by a program")
