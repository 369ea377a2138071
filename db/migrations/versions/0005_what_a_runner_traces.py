"""What a runner traces for a trial, so that a slot which has traced it can take the next."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("trials", sa.Column("trace_key", sa.String(length=64), nullable=True))


def downgrade() -> None:
    op.drop_column("trials", "trace_key")
