"""Pausing, groups that fell apart, turns by age, caps by user, draining, and quarantine."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_LONG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("trials", sa.Column("wish", sa.String(length=16), nullable=True))
    op.add_column(
        "trials", sa.Column("alone", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.add_column(
        "leases", sa.Column("by_age", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.add_column("trials", sa.Column("let_go_at", sa.Double(), nullable=True))
    op.create_index("ix_leases_slot_id", "leases", ["slot_id", "id"])
    op.create_index("ix_attempts_lease_id", "attempts", ["lease_id"])
    op.create_index(
        "ix_trials_age",
        "trials",
        ["state", "queued_at"],
        sqlite_where=sa.text("state = 'queued'"),
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.create_index(
        "ix_trials_waiting",
        "trials",
        ["owner_id", "priority", "id"],
        sqlite_where=sa.text("state = 'queued'"),
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.add_column("users", sa.Column("max_running", sa.Integer(), nullable=True))
    op.add_column("workers", sa.Column("drain_at", sa.Double(), nullable=True))
    op.create_table(
        "quarantines",
        sa.Column("id", _LONG, nullable=False),
        sa.Column("device", sa.String(length=200), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("host", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.Column("cleared_at", sa.Double(), nullable=True),
        sa.Column("cleared_by_id", _LONG, nullable=True),
        sa.ForeignKeyConstraint(
            ["cleared_by_id"], ["users.id"], name="fk_quarantines_cleared_by_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_quarantines"),
    )
    op.create_index(
        "uq_quarantines_device",
        "quarantines",
        ["device"],
        unique=True,
        sqlite_where=sa.text("cleared_at IS NULL"),
        postgresql_where=sa.text("cleared_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("uq_quarantines_device", "quarantines")
    op.drop_table("quarantines")
    op.drop_column("workers", "drain_at")
    op.drop_column("users", "max_running")
    op.drop_index("ix_trials_waiting", "trials")
    op.drop_index("ix_trials_age", "trials")
    op.drop_index("ix_attempts_lease_id", "attempts")
    op.drop_index("ix_leases_slot_id", "leases")
    op.drop_column("leases", "by_age")
    op.drop_column("trials", "let_go_at")
    op.drop_column("trials", "alone")
    op.drop_column("trials", "wish")
