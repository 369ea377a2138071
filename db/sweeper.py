"""Trials whose slot fell silent are taken back. Any worker may do it, at any time."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from db import retries, searching, transitions
from db.clock import db_now
from db.errors import FencedOff
from db.models import Attempt, Lease, Trial, Worker
from db.states import Outcome, TrialState

# After an outage of the database everybody looks dead; most of them will beat again in a moment.
_LEAST_PER_PASS = 2
_SHARE_PER_PASS = 0.25


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the sweeper saw; it acts only if that still holds."""

    trial_id: int
    fence: int
    lease_id: int


@dataclass(frozen=True, slots=True)
class Sweeper:
    """A worker that sweeps, and for how long it may have been silent itself.

    A host that slept finds every lease past, its own worker's last heartbeat too. The clock may
    have moved on since that worker last looked at it, so the statement that finds the leases asks.
    """

    worker_id: str
    silence_limit_s: float


def sweep_expired(
    session: Session, max_losses: int = 3, sweeper: Sweeper | None = None
) -> list[int]:
    """Transition 7 (and 9, where cancelling was asked for) for leases that are past.

    Returns the trials taken back: none when ``sweeper`` was silent itself. A pass takes at most
    max(2, a quarter of what runs).
    """
    expired = Lease.expires_at < db_now()
    reason = "Its worker fell silent: the lease ran out without a heartbeat."
    return _take_back_all(session, _expired(session, sweeper), expired, reason, max_losses)


def take_back_from_dead(
    session: Session, worker_ids: Collection[str], max_losses: int = 3
) -> list[int]:
    """Transition 7 for leases of workers that are known to be dead: nobody waits for their end.

    Returns the trials taken back. To be called by who knows: a worker that was started on the same
    host and found their processes gone.
    """
    dead = Lease.worker_id.in_(worker_ids)
    rows = session.execute(_held(dead))
    reason = "Its worker died, and another was started on its host."
    return _take_back_all(session, [_Seen(*row) for row in rows], dead, reason, max_losses)


def _take_back_all(
    session: Session,
    found: Collection[_Seen],
    still: ColumnElement[bool],
    reason: str,
    max_losses: int,
) -> list[int]:
    taken = []
    with searching.sweep_lock(session, [seen.trial_id for seen in found]):
        for seen in found:
            trial = _still(session, seen, still)
            if trial is None:
                continue
            try:
                _take_back(session, trial, reason, max_losses)
            except FencedOff:  # its owner ended it first
                continue
            taken.append(trial.id)
    return taken


def _expired(session: Session, sweeper: Sweeper | None) -> list[_Seen]:
    running = session.scalar(
        select(func.count()).select_from(Trial).where(Trial.state == TrialState.RUNNING)
    )
    limit = max(_LEAST_PER_PASS, int((running or 0) * _SHARE_PER_PASS))
    statement = _held(Lease.expires_at < db_now())
    if sweeper is not None:
        awake = select(Worker.id).where(
            Worker.id == sweeper.worker_id, Worker.seen_at >= db_now() - sweeper.silence_limit_s
        )
        statement = statement.where(awake.exists())
    rows = session.execute(statement.limit(limit))
    return [_Seen(*row) for row in rows]


def _held(condition: ColumnElement[bool]) -> Select[int, int, int]:
    """What runs under such leases: trial, fence, lease; the longest past first."""
    return (
        select(Trial.id, Trial.fence, Lease.id)
        .join(Lease, Lease.id == Trial.lease_id)
        .where(Trial.state == TrialState.RUNNING, Lease.ended_at.is_(None), condition)
        .order_by(Lease.expires_at, Trial.id)
    )


def _still(session: Session, seen: _Seen, still: ColumnElement[bool]) -> Trial | None:
    """The trial, locked with its lease, if nothing has changed since it was seen.

    The trial first, as its owner does at its end: in two orders they would wait for each other.
    """
    trial = session.scalars(
        select(Trial)
        .where(
            Trial.id == seen.trial_id,
            Trial.fence == seen.fence,
            Trial.lease_id == seen.lease_id,
            Trial.state == TrialState.RUNNING,
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()
    if trial is None:
        return None
    lease = session.scalars(
        select(Lease)
        .where(Lease.id == seen.lease_id, Lease.ended_at.is_(None), still)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()
    return None if lease is None else trial


def _take_back(session: Session, trial: Trial, reason: str, max_losses: int) -> None:
    verdict = retries.after_loss(session, trial, max_losses, reason)
    if trial.cancel_requested:
        transitions.end(
            session, trial, TrialState.CANCELLED, actor="pool", reason_kind="cancelled",
            reason=f"Cancelled. {reason}", charged=False,
        )  # fmt: skip
    elif verdict.delay_s is None:
        transitions.end(
            session, trial, TrialState.LOST, actor="pool", reason_kind="lost",
            reason=verdict.reason, charged=False, losses=trial.losses + 1,
        )  # fmt: skip
    else:
        transitions.requeue(
            session, trial, actor="pool", outcome=Outcome.LOST, reason=verdict.reason,
            delay_s=verdict.delay_s, lost=True, alone=_was_together(session, trial),
        )  # fmt: skip


def _was_together(session: Session, trial: Trial) -> bool:
    """Whether its lease held others too: any of them may have brought the worker down."""
    members = select(func.count()).select_from(Attempt).where(Attempt.lease_id == trial.lease_id)
    return (session.scalar(members) or 0) > 1
