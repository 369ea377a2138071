"""Without the queue's first index, which nothing uses; what waits is found by its device too."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_trials_queue", "trials")
    op.drop_index("ix_trials_waiting", "trials")
    _of_what_waits("ix_trials_waiting", ["owner_id", "priority", "device", "id"])


def downgrade() -> None:
    op.drop_index("ix_trials_waiting", "trials")
    _of_what_waits("ix_trials_waiting", ["owner_id", "priority", "id"])
    _of_what_waits("ix_trials_queue", ["priority", "id"])


def _of_what_waits(name: str, columns: list[str]) -> None:
    op.create_index(
        name,
        "trials",
        columns,
        sqlite_where=sa.text("state = 'queued'"),
        postgresql_where=sa.text("state = 'queued'"),
    )
