"""What came back. Every row carries the fence under which it was written (invariant I5)."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Digest, Document, Id, Instant, Reference, Sequence, Short


class MetricChunk(Base):
    """Some points of one curve: ``steps``, ``epochs``, ``times_s`` and ``values`` go together.

    A value that is not finite is null; times are seconds since the attempt began.
    """

    __tablename__ = "metric_chunks"
    __table_args__ = (Index("ix_metric_chunks_trial_id", "trial_id", "fence", "id"),)

    id: Mapped[Id]
    trial_id: Mapped[int] = mapped_column(Reference, ForeignKey("trials.id"))
    fence: Mapped[int]
    name: Mapped[Short]
    steps: Mapped[Sequence]
    epochs: Mapped[Sequence]
    times_s: Mapped[Sequence]
    values: Mapped[Sequence]


class Checkpoint(Base):
    """A durable state to resume from or to predict with. ``key`` names it in the artifact store."""

    __tablename__ = "checkpoints"
    __table_args__ = (
        UniqueConstraint("trial_id", "fence", "epoch"),
        Index("ix_checkpoints_trial_id", "trial_id", "epoch"),
    )

    id: Mapped[Id]
    trial_id: Mapped[int] = mapped_column(Reference, ForeignKey("trials.id"))
    fence: Mapped[int]
    epoch: Mapped[int]
    key: Mapped[Short]
    sha256: Mapped[Digest]
    bytes: Mapped[int] = mapped_column(Reference)
    value: Mapped[float | None]
    best: Mapped[bool]
    created_at: Mapped[Instant]
    # Older ones leave the store; their rows stay.
    deleted_at: Mapped[Instant | None]


class Artifact(Base):
    """A file that a trial made: a picture, a table, a confusion matrix."""

    __tablename__ = "artifacts"
    __table_args__ = (UniqueConstraint("trial_id", "fence", "name"),)

    id: Mapped[Id]
    trial_id: Mapped[int] = mapped_column(Reference, ForeignKey("trials.id"))
    fence: Mapped[int]
    name: Mapped[Short]
    key: Mapped[Short]
    media_type: Mapped[Short]
    sha256: Mapped[Digest]
    bytes: Mapped[int] = mapped_column(Reference)
    created_at: Mapped[Instant]


class Result(Base):
    """What a trial came to: one row, written with the move to SUCCEEDED (invariant I6)."""

    __tablename__ = "results"
    __table_args__ = (Index("ix_results_seconds", "seconds", "trial_id"),)

    trial_id: Mapped[int] = mapped_column(Reference, ForeignKey("trials.id"), primary_key=True)
    fence: Mapped[int]
    metrics: Mapped[Document]
    summary: Mapped[Document]
    # What it ran on (cpu or gpu), where the spec may have said "any".
    device: Mapped[Short]
    seconds: Mapped[float]
    created_at: Mapped[Instant]
