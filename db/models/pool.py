"""Workers, their slots and leases, the event log, and what the pool as a whole remembers."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Document, Id, Instant, Long, Reference, Sequence, Short, word
from db.states import SlotState, TrialState


class Worker(Base):
    """One start of a worker process. ``id`` is random, so a restarted host is another owner."""

    __tablename__ = "workers"

    id: Mapped[Short] = mapped_column(primary_key=True)
    host: Mapped[Short]
    pid: Mapped[int]
    version: Mapped[Short]
    code_digests: Mapped[Sequence]
    data_digests: Mapped[Sequence]
    # Silent for longer than this, it counts as gone.
    silence_limit_s: Mapped[float]
    started_at: Mapped[Instant]
    seen_at: Mapped[Instant]
    stopped_at: Mapped[Instant | None]
    # Asked to finish what it holds and to claim nothing more.
    drain_at: Mapped[Instant | None]


class Slot(Base):
    """One GPU, or a share of one or of the CPU, of one worker."""

    __tablename__ = "slots"
    __table_args__ = (
        UniqueConstraint("worker_id", "index"),
        CheckConstraint("device IN ('cpu', 'gpu')", name="device"),
    )

    id: Mapped[Id]
    worker_id: Mapped[Short] = mapped_column(ForeignKey("workers.id"))
    index: Mapped[int]
    device: Mapped[Short]
    name: Mapped[Short]
    gpu_uuid: Mapped[Short | None]
    memory_mb: Mapped[int | None]
    kinds: Mapped[Sequence]
    state: Mapped[SlotState] = mapped_column(word(SlotState))
    reason: Mapped[Long | None]


class Lease(Base):
    """A slot's allocation of one or more trials of one experiment. Live until ``ended_at``."""

    __tablename__ = "leases"
    __table_args__ = (
        # Invariant I4: one live lease a slot.
        Index(
            "uq_leases_live_slot", "slot_id", unique=True,
            sqlite_where=text("ended_at IS NULL"), postgresql_where=text("ended_at IS NULL"),
        ),
        Index("ix_leases_slot_id", "slot_id", "id"),
    )  # fmt: skip

    id: Mapped[Id]
    slot_id: Mapped[int] = mapped_column(Reference, ForeignKey("slots.id"))
    worker_id: Mapped[Short] = mapped_column(ForeignKey("workers.id"))
    experiment_id: Mapped[int] = mapped_column(Reference, ForeignKey("experiments.id"))
    created_at: Mapped[Instant]
    beat_at: Mapped[Instant]
    expires_at: Mapped[Instant]
    # Its trial was taken for its age, out of the order of fair shares.
    by_age: Mapped[bool] = mapped_column(default=False, server_default=false())
    ended_at: Mapped[Instant | None]


class Quarantine(Base):
    """A GPU that failed its probe, on whichever worker. Closed by an administrator alone."""

    __tablename__ = "quarantines"
    __table_args__ = (
        Index(
            "uq_quarantines_device", "device", unique=True,
            sqlite_where=text("cleared_at IS NULL"), postgresql_where=text("cleared_at IS NULL"),
        ),
    )  # fmt: skip

    id: Mapped[Id]
    device: Mapped[Short]
    name: Mapped[Short]
    host: Mapped[Short]
    reason: Mapped[Long]
    since: Mapped[Instant]
    cleared_at: Mapped[Instant | None]
    cleared_by_id: Mapped[int | None] = mapped_column(Reference, ForeignKey("users.id"))


class Event(Base):
    """What happened, in order. Rows are only added; replaying them gives every trial's state."""

    __tablename__ = "events"
    __table_args__ = (Index("ix_events_trial_id", "trial_id", "id"),)

    id: Mapped[Id]
    at: Mapped[Instant]
    kind: Mapped[Short]
    experiment_id: Mapped[int | None] = mapped_column(Reference, ForeignKey("experiments.id"))
    trial_id: Mapped[int | None] = mapped_column(Reference, ForeignKey("trials.id"))
    fence: Mapped[int | None]
    from_state: Mapped[TrialState | None] = mapped_column(word(TrialState, "from_state"))
    to_state: Mapped[TrialState | None] = mapped_column(word(TrialState, "to_state"))
    actor: Mapped[Short]
    data: Mapped[Document]


class PoolSetting(Base):
    """What the pool remembers of itself, such as the id of its artifact store."""

    __tablename__ = "pool_settings"

    name: Mapped[Short] = mapped_column(primary_key=True)
    value: Mapped[Long]
