"""Sweeps that decide as they go: rungs, what trials report, and what new ones are made from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_LONG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.add_column("experiments", sa.Column("made_from", _DOCUMENT, nullable=True))
    op.add_column("experiments", sa.Column("search_halt", sa.String(length=200), nullable=True))
    for name in ("point", "rung", "halts_at"):
        op.add_column("trials", sa.Column(name, sa.Integer(), nullable=True))
    op.add_column(
        "trials", sa.Column("at_rung", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.execute("UPDATE trials SET point = number WHERE parent_id IS NULL")
    op.create_index("uq_trials_point", "trials", ["experiment_id", "point"], unique=True)
    op.create_table(
        "sweep_reports",
        sa.Column("trial_id", _LONG, nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["trial_id"], ["trials.id"], name="fk_sweep_reports_trial_id"),
        sa.PrimaryKeyConstraint("trial_id", "epoch", name="pk_sweep_reports"),
    )
    # Nothing was ever written there: the trials and their reports say it all.
    op.drop_table("sweep_rung_entries")
    op.drop_table("sweep_rungs")


def downgrade() -> None:
    op.create_table(
        "sweep_rungs",
        sa.Column("experiment_id", _LONG, nullable=False),
        sa.Column("rung", sa.Integer(), nullable=False),
        sa.Column("epochs", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["experiment_id"], ["experiments.id"], name="fk_sweep_rungs_experiment_id"
        ),
        sa.PrimaryKeyConstraint("experiment_id", "rung", name="pk_sweep_rungs"),
    )
    op.create_table(
        "sweep_rung_entries",
        sa.Column("trial_id", _LONG, nullable=False),
        sa.Column("rung", sa.Integer(), nullable=False),
        sa.Column("experiment_id", _LONG, nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("reached_at", sa.Double(), nullable=False),
        sa.Column("promoted_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["experiment_id", "rung"],
            ["sweep_rungs.experiment_id", "sweep_rungs.rung"],
            name="fk_sweep_rung_entries_experiment_id_rung",
        ),
        sa.ForeignKeyConstraint(["trial_id"], ["trials.id"], name="fk_sweep_rung_entries_trial_id"),
        sa.PrimaryKeyConstraint("trial_id", "rung", name="pk_sweep_rung_entries"),
    )
    op.drop_table("sweep_reports")
    op.drop_index("uq_trials_point", "trials")
    for name in ("at_rung", "halts_at", "rung", "point"):
        op.drop_column("trials", name)
    for name in ("search_halt", "made_from"):
        op.drop_column("experiments", name)
