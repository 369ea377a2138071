"""What trained models are asked, and what they answer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_LONG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
_OPEN = sa.text("state IN ('waiting', 'running')")


def upgrade() -> None:
    op.create_table(
        "predictions",
        sa.Column("id", _LONG, nullable=False),
        sa.Column("trial_id", _LONG, nullable=False),
        sa.Column("asked_by_id", _LONG, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("form", sa.String(length=200), nullable=False),
        sa.Column("input", sa.LargeBinary(), nullable=False),
        sa.Column("options", _JSON, nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("deadline_at", sa.Double(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("worker_id", sa.String(length=200), nullable=True),
        sa.Column("lease_expires_at", sa.Double(), nullable=True),
        sa.Column("started_at", sa.Double(), nullable=True),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=True),
        sa.Column("checkpoint_sha256", sa.String(length=64), nullable=True),
        sa.Column("reason_kind", sa.String(length=200), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("arrays", _JSON, nullable=True),
        sa.Column("outputs", sa.LargeBinary(), nullable=True),
        sa.Column("about", _JSON, nullable=False),
        sa.CheckConstraint(
            "state IN ('waiting', 'running', 'done', 'failed')",
            name="ck_predictions_predictionstate",
        ),
        sa.ForeignKeyConstraint(["trial_id"], ["trials.id"], name="fk_predictions_trial_id"),
        sa.ForeignKeyConstraint(["asked_by_id"], ["users.id"], name="fk_predictions_asked_by_id"),
        sa.ForeignKeyConstraint(["worker_id"], ["workers.id"], name="fk_predictions_worker_id"),
        sa.PrimaryKeyConstraint("id", name="pk_predictions"),
    )
    op.create_index(
        "ix_predictions_open", "predictions", ["id"], sqlite_where=_OPEN, postgresql_where=_OPEN
    )
    op.create_index("ix_predictions_asked_by_id", "predictions", ["asked_by_id", "id"])
    op.create_index("ix_predictions_trial_id", "predictions", ["trial_id", "id"])
    op.create_index("ix_predictions_created_at", "predictions", ["created_at"])


def downgrade() -> None:
    op.drop_table("predictions")
