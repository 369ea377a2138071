"""Data sets that people upload."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_LONG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_LIST = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "uploads",
        sa.Column("id", _LONG, nullable=False),
        sa.Column("owner_id", _LONG, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("bytes", _LONG, nullable=False),
        sa.Column("kind", sa.String(length=200), nullable=False),
        sa.Column("shape", _LIST, nullable=False),
        sa.Column("counts", _LIST, nullable=False),
        sa.Column("class_names", _LIST, nullable=False),
        sa.Column("test", _LONG, nullable=False),
        sa.Column("public", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("deleted_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name="fk_uploads_owner_id"),
        sa.PrimaryKeyConstraint("id", name="pk_uploads"),
    )
    op.create_index("uq_uploads_key", "uploads", ["key"], unique=True)
    op.create_index(
        "uq_uploads_name",
        "uploads",
        ["owner_id", "name"],
        unique=True,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("uq_uploads_name", "uploads")
    op.drop_index("uq_uploads_key", "uploads")
    op.drop_table("uploads")
