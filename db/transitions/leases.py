"""What becomes of a trial under a lease: from its start to its end or back into the queue."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from db.attempts import close_attempt
from db.clock import db_now
from db.errors import FencedOff
from db.events import record
from db.models import Attempt, Lease, Trial
from db.states import Outcome, TrialState, Wish
from db.transitions.one_row import one_row

_OUTCOMES = {
    TrialState.SUCCEEDED: Outcome.SUCCEEDED,
    TrialState.FAILED: Outcome.FAILED,
    TrialState.CANCELLED: Outcome.CANCELLED,
    TrialState.PAUSED: Outcome.PAUSED,
    TrialState.PRUNED: Outcome.PRUNED,
    TrialState.LOST: Outcome.LOST,
}


def start(session: Session, trial: Trial, lease: Lease) -> Attempt | None:
    """Transition 2: QUEUED to RUNNING under ``lease``; None when the trial is not free any more."""
    fence = trial.fence + 1
    guard = (
        (Trial.id == trial.id)
        & (Trial.state == TrialState.QUEUED)
        & (Trial.fence == trial.fence)
        & Trial.held.is_(False)
        & (func.coalesce(Trial.not_before, 0.0) <= db_now())
    )
    values = {
        "state": TrialState.RUNNING,
        "fence": fence,
        "lease_id": lease.id,
        "started_at": func.coalesce(Trial.started_at, db_now()),
        "not_before": None,
        "reason_kind": None,
        "reason": None,
    }
    if not one_row(session, update(Trial).where(guard).values(values)):
        return None
    attempt = Attempt(
        trial_id=trial.id,
        fence=fence,
        lease_id=lease.id,
        worker_id=lease.worker_id,
        slot_id=lease.slot_id,
        started_at=lease.created_at,
        charged=True,
    )
    session.add(attempt)
    session.flush()
    record(
        session, "started", trial, actor=f"worker {lease.worker_id}", fence=fence,
        from_state=TrialState.QUEUED, to_state=TrialState.RUNNING,
        data={"slot": lease.slot_id, "lease": lease.id},
    )  # fmt: skip
    return attempt


def own(session: Session, trial_id: int, fence: int) -> Trial:
    """The trial, if ``fence`` is current and it is RUNNING, locked to the end of the transaction.

    Raises FencedOff otherwise.
    """
    statement = (
        select(Trial)
        .where(Trial.id == trial_id, Trial.fence == fence, Trial.state == TrialState.RUNNING)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    trial = session.scalars(statement).one_or_none()
    if trial is None:
        raise FencedOff(f"trial {trial_id}, fence {fence}")
    return trial


def end(
    session: Session,
    trial: Trial,
    to_state: TrialState,
    *,
    actor: str,
    reason_kind: str | None = None,
    reason: str | None = None,
    log_tail: str | None = None,
    charged: bool = True,
    **columns: Any,
) -> None:
    """Transitions 5 and 9: RUNNING under its fence to an end, or to PAUSED.

    A trial that was to be paused when it came to its rung is held there: the search does not let it
    go on before its owner does. Raises FencedOff when the fence is no longer current.
    """
    values = {
        "state": to_state,
        "lease_id": None,
        "reason_kind": reason_kind,
        "reason": reason,
        "wish": None,
        **columns,
    }
    if to_state is not TrialState.PAUSED:
        values["finished_at"] = db_now()
    _leave(session, trial, values)
    close_attempt(session, trial, _OUTCOMES[to_state], reason_kind, reason, log_tail, charged)
    kept_back = {"held": True} if columns.get("held") else {}
    _record_end(session, trial, to_state, trial.fence, actor, reason_kind, reason, kept_back)


def requeue(
    session: Session,
    trial: Trial,
    *,
    actor: str,
    outcome: Outcome,
    reason: str,
    delay_s: float = 0.0,
    lost: bool = False,
    alone: bool = False,
    reason_kind: str | None = None,
    charged: bool = False,
    log_tail: str | None = None,
) -> None:
    """Transitions 6 and 7: RUNNING under its fence back to QUEUED, one fence further.

    ``alone``: it is to run by itself from now on. A trial that was to be paused waits held, as
    that is what pausing a waiting trial means. Raises FencedOff when the fence is not current.
    """
    to_pause = trial.wish is Wish.PAUSE
    values = {
        "state": TrialState.QUEUED,
        "lease_id": None,
        "fence": Trial.fence + 1,
        "losses": Trial.losses + (1 if lost else 0),
        "not_before": db_now() + delay_s if delay_s > 0 else None,
        "reason_kind": reason_kind or outcome.value,
        "reason": reason,
        "held": trial.held or to_pause,
        "wish": None if to_pause else trial.wish,
    }
    if alone:
        values["alone"] = True
    _leave(session, trial, values)
    kind = reason_kind or outcome.value
    close_attempt(session, trial, outcome, kind, reason, log_tail, charged)
    record(
        session, "requeued", trial, actor=actor, fence=trial.fence + 1,
        from_state=TrialState.RUNNING, to_state=TrialState.QUEUED,
        data={"reason_kind": kind, "reason": reason, "lost": lost, "held": to_pause},
    )  # fmt: skip


def _leave(session: Session, trial: Trial, values: dict[str, Any]) -> None:
    statement = (
        update(Trial)
        .where(
            Trial.id == trial.id,
            Trial.fence == trial.fence,
            Trial.state == TrialState.RUNNING,
            Trial.lease_id == trial.lease_id,
        )
        .values(values)
    )
    if not one_row(session, statement):
        raise FencedOff(f"trial {trial.id}, fence {trial.fence}")


def _record_end(
    session: Session,
    trial: Trial,
    to_state: TrialState,
    fence: int,
    actor: str,
    reason_kind: str | None,
    reason: str | None,
    more: dict[str, Any],
) -> None:
    data = {"reason_kind": reason_kind, "reason": reason} if reason_kind else {}
    record(
        session, to_state.value, trial, actor=actor, fence=fence,
        from_state=TrialState.RUNNING, to_state=to_state, data={**data, **more},
    )  # fmt: skip
