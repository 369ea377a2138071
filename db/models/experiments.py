"""What people submitted."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Digest, Document, Id, Instant, Long, Reference, Sequence, Short


class Experiment(Base):
    """One submission: a training run, a sweep or a benchmark."""

    __tablename__ = "experiments"
    __table_args__ = (
        Index("ix_experiments_owner_id", "owner_id", "id"),
        Index("ix_experiments_name", "name", "id"),
        CheckConstraint("kind IN ('train', 'sweep', 'benchmark')", name="kind"),
    )

    id: Mapped[Id]
    owner_id: Mapped[int] = mapped_column(Reference, ForeignKey("users.id"))
    kind: Mapped[Short]
    name: Mapped[Short | None]
    notes: Mapped[Long]
    tags: Mapped[Sequence]
    spec: Mapped[Document]
    created_at: Mapped[Instant]
    archived_at: Mapped[Instant | None]


class IdempotencyKey(Base):
    """A request that was answered: the same key brings the same answer."""

    __tablename__ = "idempotency_keys"

    user_id: Mapped[int] = mapped_column(Reference, ForeignKey("users.id"), primary_key=True)
    key: Mapped[Short] = mapped_column(primary_key=True)
    body_sha256: Mapped[Digest]
    # Set in the transaction that makes the row, so nobody else ever sees it empty.
    experiment_id: Mapped[int | None] = mapped_column(Reference, ForeignKey("experiments.id"))
    created_at: Mapped[Instant]


class SweepRung(Base):
    """A height at which a sweep compares its trials."""

    __tablename__ = "sweep_rungs"

    experiment_id: Mapped[int] = mapped_column(
        Reference, ForeignKey("experiments.id"), primary_key=True
    )
    rung: Mapped[int] = mapped_column(primary_key=True)
    epochs: Mapped[int]


class SweepRungEntry(Base):
    """A trial that reached a rung, once."""

    __tablename__ = "sweep_rung_entries"
    __table_args__ = (
        ForeignKeyConstraint(
            ["experiment_id", "rung"], ["sweep_rungs.experiment_id", "sweep_rungs.rung"]
        ),
    )

    trial_id: Mapped[int] = mapped_column(Reference, ForeignKey("trials.id"), primary_key=True)
    rung: Mapped[int] = mapped_column(primary_key=True)
    experiment_id: Mapped[int] = mapped_column(Reference)
    value: Mapped[float | None]
    reached_at: Mapped[Instant]
    promoted_at: Mapped[Instant | None]
