"""What people ask: new trials, and changes of what waits, is paused or runs."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import func, true, update
from sqlalchemy.orm import Session

from db.clock import db_now
from db.events import record
from db.models import Trial
from db.states import TrialState, Wish
from db.transitions.one_row import one_row


def enqueue(session: Session, trials: Collection[Trial], actor: str) -> None:
    """Transition 1: new trials, QUEUED."""
    for trial in trials:
        trial.state = TrialState.QUEUED
        trial.fence = 0
        session.add(trial)
    session.flush()
    for trial in trials:
        record(session, "queued", trial, actor=actor, to_state=TrialState.QUEUED, fence=0)


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
            at_rung=False,
            reason_kind="cancelled",
            reason=f"Cancelled by {actor} {_when_not_running(trial)}.",
        )
    )  # fmt: skip
    if not one_row(session, statement):
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
    if not one_row(session, statement):
        return False
    record(session, "cancel_requested", trial, actor=actor, fence=trial.fence)
    return True


def resume(session: Session, trial: Trial, *, actor: str, wish: Wish | None = None) -> bool:
    """Transition 11: PAUSED to QUEUED, to go on from its checkpoint; False when it is not paused.

    With ``wish`` it is stopped as soon as a slot has it, and what there is is kept; without, one
    at its rung does not go on, as that is for the search to decide.
    """
    statement = (
        update(Trial)
        .where(
            Trial.id == trial.id, Trial.state == TrialState.PAUSED, Trial.fence == trial.fence,
            Trial.at_rung.is_(False) if wish is None else true(),
        )
        .values(
            state=TrialState.QUEUED, wish=wish, reason_kind=None, reason=None, not_before=None,
            let_go_at=db_now(), at_rung=False, held=False,
        )
    )  # fmt: skip
    if not one_row(session, statement):
        return False
    record(
        session, "resumed", trial, actor=actor, fence=trial.fence,
        from_state=TrialState.PAUSED, to_state=TrialState.QUEUED, data={"wish": wish},
    )  # fmt: skip
    return True


def hold(session: Session, trial: Trial, held: bool, *, actor: str) -> bool:
    """Keep a QUEUED trial from running, or let it go; False when there is nothing to change.

    Likewise one that is PAUSED at its rung from being promoted or pruned.
    """
    statement = (
        update(Trial)
        .where(
            Trial.id == trial.id,
            (Trial.state == TrialState.QUEUED) | Trial.at_rung.is_(True),
            Trial.fence == trial.fence,
            Trial.held.is_(not held),
        )
        .values(held=held, let_go_at=Trial.let_go_at if held else db_now())
    )
    if not one_row(session, statement):
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
    if not one_row(session, statement):
        return False
    record(session, "wished", trial, actor=actor, fence=trial.fence, data={"wish": wish})
    return True
