"""Who ran a trial again: an index to find them by the trial."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_trials_parent_id", "trials", ["parent_id", "id"])


def downgrade() -> None:
    op.drop_index("ix_trials_parent_id", "trials")
