"""Users, their tokens and what they have used."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Id, Instant, Reference, Short, word
from db.states import Purpose, Role


class User(Base):
    __tablename__ = "users"

    id: Mapped[Id]
    name: Mapped[Short] = mapped_column(unique=True)
    role: Mapped[Role] = mapped_column(word(Role))
    share: Mapped[float] = mapped_column(default=1.0)
    # Most slots that this user's trials may hold at once; the pool's own limit when unset.
    max_running: Mapped[int | None]
    created_at: Mapped[Instant]
    disabled_at: Mapped[Instant | None]


class Token(Base):
    """A bearer token, a one-time sign-in link or a browser session: only its hash is kept."""

    __tablename__ = "tokens"
    __table_args__ = (Index("ix_tokens_user_id", "user_id"),)

    id: Mapped[Id]
    user_id: Mapped[int] = mapped_column(Reference, ForeignKey("users.id"))
    purpose: Mapped[Purpose] = mapped_column(word(Purpose))
    label: Mapped[Short]
    secret_sha256: Mapped[bytes] = mapped_column(LargeBinary(32))
    created_at: Mapped[Instant]
    expires_at: Mapped[Instant | None]
    used_at: Mapped[Instant | None]
    revoked_at: Mapped[Instant | None]


class Usage(Base):
    """Slot-seconds of a user, decayed to ``as_of``."""

    __tablename__ = "usage"

    user_id: Mapped[int] = mapped_column(Reference, ForeignKey("users.id"), primary_key=True)
    slot_seconds: Mapped[float]
    as_of: Mapped[Instant]
