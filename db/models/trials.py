"""Trials and the attempts at them."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Enum, ForeignKey, Index, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Digest, Document, Id, Instant, Long, Reference, Short, word
from db.states import Outcome, TrialState, Wish


class Trial(Base):
    """One run of one configuration. ``state``, ``fence`` and ``lease_id`` are written by
    ``db.transitions`` alone."""

    __tablename__ = "trials"
    __table_args__ = (
        UniqueConstraint("experiment_id", "number"),
        # Whatever happens to who creates it, a planned trial is made once.
        Index("uq_trials_point", "experiment_id", "point", unique=True),
        Index(
            "ix_trials_waiting", "owner_id", "priority", "device", "id",
            sqlite_where=text("state = 'queued'"), postgresql_where=text("state = 'queued'"),
        ),
        Index(
            "ix_trials_age", "state", "queued_at",
            sqlite_where=text("state = 'queued'"), postgresql_where=text("state = 'queued'"),
        ),
        Index("ix_trials_owner_state", "owner_id", "state"),
        Index("ix_trials_lease_id", "lease_id"),
        Index("ix_trials_configuration", "configuration_digest"),
        # The lists: what they are narrowed to or sorted by, then the id that pages them.
        Index("ix_trials_owner_id", "owner_id", "id"),
        Index("ix_trials_state", "state", "id"),
        Index("ix_trials_code_name", "code_name", "id"),
        Index("ix_trials_data_name", "data_name", "id"),
        Index("ix_trials_finished_at", "finished_at", "id"),
        Index("ix_trials_parent_id", "parent_id", "id"),
        Index("ix_trials_experiment_state", "experiment_id", "state"),
        CheckConstraint("device IN ('any', 'cpu', 'gpu')", name="device"),
        CheckConstraint("kind IN ('train', 'benchmark')", name="kind"),
        # Invariant I3: running means to refer to a lease, and nothing else does.
        CheckConstraint("(state = 'running') = (lease_id IS NOT NULL)", name="lease"),
    )  # fmt: skip

    id: Mapped[Id]
    experiment_id: Mapped[int] = mapped_column(Reference, ForeignKey("experiments.id"))
    number: Mapped[int]
    owner_id: Mapped[int] = mapped_column(Reference, ForeignKey("users.id"))
    parent_id: Mapped[int | None] = mapped_column(Reference, ForeignKey("trials.id"))
    kind: Mapped[Short]

    spec: Mapped[Document]
    varied: Mapped[Document]
    device: Mapped[Short]
    seed: Mapped[int]
    code_name: Mapped[Short]
    code_digest: Mapped[Digest]
    data_name: Mapped[Short | None]
    data_digest: Mapped[Digest | None]
    configuration_digest: Mapped[Digest]
    fuse_key: Mapped[Digest | None]
    # What a runner traces for it: equal for trials that one trace serves.
    trace_key: Mapped[Digest | None]

    # Which of its sweep's planned trials it is; None for one that runs another again.
    point: Mapped[int | None]
    # What its sweep's search trains it towards; None where no search goes on after the start.
    rung: Mapped[int | None]
    # The epoch after which it halts at its rung; None when it runs to its end.
    halts_at: Mapped[int | None]
    # PAUSED for the search to decide; with ``held`` its owner keeps it there besides.
    at_rung: Mapped[bool] = mapped_column(default=False, server_default=false())

    state: Mapped[TrialState] = mapped_column(word(TrialState))
    fence: Mapped[int] = mapped_column(default=0)
    lease_id: Mapped[int | None] = mapped_column(Reference, ForeignKey("leases.id"))
    losses: Mapped[int] = mapped_column(default=0)
    priority: Mapped[int] = mapped_column(default=0)
    held: Mapped[bool] = mapped_column(default=False)
    not_before: Mapped[Instant | None]
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    # Pause, or stop and keep what there is: heeded at the end of the epoch. Or prune: at once.
    wish: Mapped[Wish | None] = mapped_column(
        Enum(
            Wish, native_enum=False, length=16, create_constraint=False,
            values_callable=lambda members: [member.value for member in members],
        )
    )  # fmt: skip
    # It was trained together with others when their runner crashed: from now on by itself.
    alone: Mapped[bool] = mapped_column(default=False, server_default=false())
    ended_early: Mapped[bool] = mapped_column(default=False)

    queued_at: Mapped[Instant]
    # When its owner last let it go on: the time that they held it back makes it no older.
    let_go_at: Mapped[Instant | None]
    started_at: Mapped[Instant | None]
    finished_at: Mapped[Instant | None]
    reason_kind: Mapped[Short | None]
    reason: Mapped[Long | None]
    progress_done: Mapped[float] = mapped_column(default=0.0)
    progress_total: Mapped[float | None]
    progress_unit: Mapped[Short | None]
    progress_at: Mapped[Instant | None]


class Attempt(Base):
    """One claim of a trial, numbered by its fence. Rows are added and closed, never reused."""

    __tablename__ = "attempts"
    __table_args__ = (
        UniqueConstraint("trial_id", "fence"),
        Index("ix_attempts_lease_id", "lease_id"),
    )

    id: Mapped[Id]
    trial_id: Mapped[int] = mapped_column(Reference, ForeignKey("trials.id"))
    fence: Mapped[int]
    lease_id: Mapped[int] = mapped_column(Reference, ForeignKey("leases.id"))
    worker_id: Mapped[Short] = mapped_column(ForeignKey("workers.id"))
    slot_id: Mapped[int] = mapped_column(Reference, ForeignKey("slots.id"))
    started_at: Mapped[Instant]
    ended_at: Mapped[Instant | None]
    outcome: Mapped[Outcome | None] = mapped_column(word(Outcome))
    reason_kind: Mapped[Short | None]
    reason: Mapped[Long | None]
    log_tail: Mapped[Long | None]
    log_key: Mapped[Short | None]
    log_bytes: Mapped[int | None] = mapped_column(Reference)
    charged: Mapped[bool] = mapped_column(default=True)
    slot_seconds: Mapped[float | None]
    resumed_epoch: Mapped[int | None]
    environment: Mapped[Document | None]
