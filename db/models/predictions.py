"""What trained models were asked."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import (
    Base,
    Digest,
    Document,
    Id,
    Instant,
    Long,
    Reference,
    Sequence,
    Short,
    word,
)
from db.states import PredictionState


class Prediction(Base):
    """One question to a trial's best checkpoint, and its answer. No trial, and no slot's work.

    ``fence`` counts the tries: only who holds the newest one may answer. ``input`` is what was
    sent, in the form ``form``, and is emptied once it is answered. ``outputs`` are float32 in
    little-endian order, one array after the other as ``arrays`` tells their names and shapes.
    """

    __tablename__ = "predictions"
    __table_args__ = (
        Index(
            "ix_predictions_open", "id",
            sqlite_where=text("state IN ('waiting', 'running')"),
            postgresql_where=text("state IN ('waiting', 'running')"),
        ),
        Index("ix_predictions_asked_by_id", "asked_by_id", "id"),
        Index("ix_predictions_trial_id", "trial_id", "id"),
        Index("ix_predictions_created_at", "created_at"),
    )  # fmt: skip

    id: Mapped[Id]
    trial_id: Mapped[int] = mapped_column(Reference, ForeignKey("trials.id"))
    asked_by_id: Mapped[int] = mapped_column(Reference, ForeignKey("users.id"))
    state: Mapped[PredictionState] = mapped_column(word(PredictionState))
    form: Mapped[Short]
    input: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    options: Mapped[Document]
    created_at: Mapped[Instant]
    # Answered by then, or ended with the reason.
    deadline_at: Mapped[Instant]
    fence: Mapped[int] = mapped_column(default=0)
    worker_id: Mapped[Short | None] = mapped_column(ForeignKey("workers.id"))
    lease_expires_at: Mapped[Instant | None]
    started_at: Mapped[Instant | None]
    finished_at: Mapped[Instant | None]
    epoch: Mapped[int | None]
    checkpoint_sha256: Mapped[Digest | None]
    reason_kind: Mapped[Short | None]
    reason: Mapped[Long | None]
    arrays: Mapped[Sequence | None]
    outputs: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    about: Mapped[Document]
