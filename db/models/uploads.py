"""Data sets that people brought."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Digest, Id, Instant, Reference, Sequence, Short


class Upload(Base):
    """Somebody's examples. ``key`` names the file in the artifact store; one that is deleted
    keeps its row, for the trials that ran on it."""

    __tablename__ = "uploads"
    __table_args__ = (
        Index(
            "uq_uploads_name",
            "owner_id",
            "name",
            unique=True,
            sqlite_where=text("deleted_at IS NULL"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index("uq_uploads_key", "key", unique=True),
    )

    id: Mapped[Id]
    owner_id: Mapped[int] = mapped_column(Reference, ForeignKey("users.id"))
    name: Mapped[Short]
    key: Mapped[Short]
    sha256: Mapped[Digest]
    bytes: Mapped[int] = mapped_column(Reference)
    kind: Mapped[Short]
    shape: Mapped[Sequence]
    counts: Mapped[Sequence]
    class_names: Mapped[Sequence]
    test: Mapped[int] = mapped_column(Reference)
    public: Mapped[bool]
    created_at: Mapped[Instant]
    deleted_at: Mapped[Instant | None]
