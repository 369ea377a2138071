"""Without the queue's first index: the claims and lists have had others since."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_trials_queue", "trials")


def downgrade() -> None:
    op.create_index(
        "ix_trials_queue",
        "trials",
        ["priority", "id"],
        sqlite_where=sa.text("state = 'queued'"),
        postgresql_where=sa.text("state = 'queued'"),
    )
