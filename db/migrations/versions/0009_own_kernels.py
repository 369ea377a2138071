"""Users' own kernels: who was granted them, and their source."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_LONG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "grants",
        sa.Column("user_id", _LONG, nullable=False),
        sa.Column("capability", sa.String(length=200), nullable=False),
        sa.Column("granted_by", sa.String(length=200), nullable=False),
        sa.Column("granted_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_grants_user_id"),
        sa.PrimaryKeyConstraint("user_id", "capability", name="pk_grants"),
    )
    op.create_table(
        "kernel_sources",
        sa.Column("owner_id", _LONG, nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name="fk_kernel_sources_owner_id"),
        sa.PrimaryKeyConstraint("owner_id", "sha256", name="pk_kernel_sources"),
    )


def downgrade() -> None:
    op.drop_table("kernel_sources")
    op.drop_table("grants")
