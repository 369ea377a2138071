"""What people submitted."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, Index
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
    # Of a sweep: the catalog's entries that its trials are made from, now and later.
    made_from: Mapped[Document | None]
    # "paused" or "stopped" by its owner: its search does nothing more, until it is resumed.
    search_halt: Mapped[Short | None]


class IdempotencyKey(Base):
    """A request that was answered: the same key brings the same answer."""

    __tablename__ = "idempotency_keys"

    user_id: Mapped[int] = mapped_column(Reference, ForeignKey("users.id"), primary_key=True)
    key: Mapped[Short] = mapped_column(primary_key=True)
    body_sha256: Mapped[Digest]
    # Set in the transaction that makes the row, so nobody else ever sees it empty.
    experiment_id: Mapped[int | None] = mapped_column(Reference, ForeignKey("experiments.id"))
    created_at: Mapped[Instant]


class SweepReport(Base):
    """What a trial had come to after an epoch, by its sweep's objective.

    With the trials' rows this is all that a search goes by: its rungs are a function of both. What
    was reported first stays, as something may have been decided by it.
    """

    __tablename__ = "sweep_reports"

    trial_id: Mapped[int] = mapped_column(Reference, ForeignKey("trials.id"), primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True)
    # None where it was not finite.
    value: Mapped[float | None]
