"""Who may run kernels of their own, and the sources that they brought."""

from __future__ import annotations

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Digest, Instant, Long, Reference, Short


class Grant(Base):
    """A capability that an administrator gave to a user. ``granted_by`` is for people to read."""

    __tablename__ = "grants"

    user_id: Mapped[int] = mapped_column(Reference, ForeignKey("users.id"), primary_key=True)
    capability: Mapped[Short] = mapped_column(primary_key=True)
    granted_by: Mapped[Short]
    granted_at: Mapped[Instant]


class KernelSource(Base):
    """CUDA source of a user's own; specs name it by its digest. Two who bring one have a row each,
    so that to know a digest is not to have the text."""

    __tablename__ = "kernel_sources"

    owner_id: Mapped[int] = mapped_column(Reference, ForeignKey("users.id"), primary_key=True)
    sha256: Mapped[Digest] = mapped_column(primary_key=True)
    text: Mapped[Long] = mapped_column(deferred=True)
    created_at: Mapped[Instant]
