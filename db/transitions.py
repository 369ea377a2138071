"""Every change of a trial's state, fence or lease is written here and nowhere else.

Each is one UPDATE whose WHERE clause holds the guard; it must report one row, else somebody else
was first and nothing happened. Each appends its event in the same transaction.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import CursorResult, Update, func, select, update
from sqlalchemy.orm import Session

from db.attempts import close_attempt
from db.clock import db_now
from db.errors import FencedOff
from db.events import record
from db.models import Attempt, Lease, Trial
from db.states import Outcome, TrialState, Wish

_OUTCOMES = {
    TrialState.SUCCEEDED: Outcome.SUCCEEDED,
    TrialState.FAILED: Outcome.FAILED,
    TrialState.CANCELLED: Outcome.CANCELLED,
    TrialState.PAUSED: Outcome.PAUSED,
    TrialState.PRUNED: Outcome.PRUNED,
    TrialState.LOST: Outcome.LOST,
}


def _one(session: Session, statement: Update) -> bool:
    result = session.execute(statement.execution_options(synchronize_session=False))
    assert isinstance(result, CursorResult)
    return result.rowcount == 1


def enqueue(session: Session, trials: Collection[Trial], actor: str) -> None:
    """Transition 1: new trials, QUEUED."""
    for trial in trials:
        trial.state = TrialState.QUEUED
        trial.fence = 0
        session.add(trial)
    session.flush()
    for trial in trials:
        record(session, "queued", trial, actor=actor, to_state=TrialState.QUEUED, fence=0)


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
    if not _one(session, update(Trial).where(guard).values(values)):
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

    Raises FencedOff when the fence is no longer current.
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
    _record_end(session, trial, to_state, trial.fence, actor, reason_kind, reason)


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


def cancel_waiting(session: Session, trial: Trial, *, actor: str) -> bool:
    """Transition 8: QUEUED or PAUSED to CANCELLED; False when a slot was faster."""
    if trial.state not in (TrialState.QUEUED, TrialState.PAUSED):
        return False
    statement = (
        update(Trial)
        # Its event says where it came from, so it must still be there.
        .where(Trial.id == trial.id, Trial.state == trial.state, Trial.fence == trial.fence)
        .values(
            state=TrialState.CANCELLED, finished_at=db_now(), cancel_requested=True, wish=None,
            reason_kind="cancelled",
            reason=f"Cancelled by {actor} {_when_not_running(trial)}.",
        )
    )  # fmt: skip
    if not _one(session, statement):
        return False
    record(
        session, "cancelled", trial, actor=actor, fence=trial.fence,
        from_state=trial.state, to_state=TrialState.CANCELLED, data={"before_it_ran": True},
    )  # fmt: skip
    return True


def _when_not_running(trial: Trial) -> str:
    if trial.state is TrialState.PAUSED:
        return "while it was paused"
    return "before it ran" if trial.started_at is None else "while it waited to go on"


def request_cancel(session: Session, trial: Trial, *, actor: str) -> bool:
    """Transition 8 for a RUNNING trial: raise the flag that its slot's next heartbeat brings."""
    statement = (
        update(Trial)
        .where(
            Trial.id == trial.id,
            Trial.state == TrialState.RUNNING,
            Trial.fence == trial.fence,
            Trial.cancel_requested.is_(False),
        )
        .values(cancel_requested=True)
    )
    if not _one(session, statement):
        return False
    record(session, "cancel_requested", trial, actor=actor, fence=trial.fence)
    return True


def resume(session: Session, trial: Trial, *, actor: str, wish: Wish | None = None) -> bool:
    """Transition 11: PAUSED to QUEUED, to go on from its checkpoint; False when it is not paused.

    With ``wish`` it is stopped as soon as a slot has it, and what there is is kept.
    """
    statement = (
        update(Trial)
        .where(
            Trial.id == trial.id, Trial.state == TrialState.PAUSED, Trial.fence == trial.fence
        )
        .values(
            state=TrialState.QUEUED, wish=wish, reason_kind=None, reason=None, not_before=None,
            let_go_at=db_now(),
        )
    )  # fmt: skip
    if not _one(session, statement):
        return False
    record(
        session, "resumed", trial, actor=actor, fence=trial.fence,
        from_state=TrialState.PAUSED, to_state=TrialState.QUEUED, data={"wish": wish},
    )  # fmt: skip
    return True


def hold(session: Session, trial: Trial, held: bool, *, actor: str) -> bool:
    """Keep a QUEUED trial from running, or let it go; False when there is nothing to change."""
    statement = (
        update(Trial)
        .where(
            Trial.id == trial.id,
            Trial.state == TrialState.QUEUED,
            Trial.fence == trial.fence,
            Trial.held.is_(not held),
        )
        .values(held=held, let_go_at=Trial.let_go_at if held else db_now())
    )
    if not _one(session, statement):
        return False
    record(session, "held" if held else "let_go", trial, actor=actor, fence=trial.fence)
    return True


def wish(session: Session, trial: Trial, wish: Wish | None, *, actor: str) -> bool:
    """Ask the owner of a RUNNING trial to pause or to stop it, or take that back with None.

    A QUEUED one may be asked to stop, which the slot that takes it hears at once; to pause it is to
    hold it. Who wants a trial cancelled wants nothing else of it any more; False then, and when it
    is in another state.
    """
    states = [TrialState.RUNNING, *([] if wish is Wish.PAUSE else [TrialState.QUEUED])]
    statement = (
        update(Trial)
        .where(
            Trial.id == trial.id,
            Trial.state.in_(states),
            Trial.fence == trial.fence,
            Trial.cancel_requested.is_(False),
            func.coalesce(Trial.wish, "") != (wish or ""),
        )
        .values(wish=wish)
    )
    if not _one(session, statement):
        return False
    record(session, "wished", trial, actor=actor, fence=trial.fence, data={"wish": wish})
    return True


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
    if not _one(session, statement):
        raise FencedOff(f"trial {trial.id}, fence {trial.fence}")


def _record_end(
    session: Session,
    trial: Trial,
    to_state: TrialState,
    fence: int,
    actor: str,
    reason_kind: str | None,
    reason: str | None,
) -> None:
    data = {"reason_kind": reason_kind, "reason": reason} if reason_kind else {}
    record(
        session, to_state.value, trial, actor=actor, fence=fence,
        from_state=TrialState.RUNNING, to_state=to_state, data=data,
    )  # fmt: skip
