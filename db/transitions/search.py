"""What a sweep's search does with trials that are on no slot."""

from __future__ import annotations

from sqlalchemy import func, update
from sqlalchemy.orm import Session

from db.clock import db_now
from db.events import record
from db.models import Trial
from db.states import TrialState, Wish
from db.transitions.one_row import one_row

SEARCH = "pool"


def promote(session: Session, trial: Trial, rung: int, halts_at: int | None) -> bool:
    """Transition 12: PAUSED at its rung to QUEUED, to go on to ``rung``; False when it cannot.

    What its owner keeps back stays. ``halts_at``: the epoch of that rung, None if it is the top.
    """
    statement = (
        update(Trial)
        .where(
            Trial.id == trial.id, Trial.state == TrialState.PAUSED, Trial.fence == trial.fence,
            Trial.at_rung.is_(True), Trial.held.is_(False), Trial.rung < rung,
        )
        .values(
            state=TrialState.QUEUED, at_rung=False, rung=rung, halts_at=halts_at,
            reason_kind=None, reason=None, not_before=None, let_go_at=db_now(),
        )
    )  # fmt: skip
    if not one_row(session, statement):
        return False
    record(
        session, "promoted", trial, actor=SEARCH, fence=trial.fence,
        from_state=TrialState.PAUSED, to_state=TrialState.QUEUED, data={"rung": rung},
    )  # fmt: skip
    return True


def prune_waiting(session: Session, trial: Trial, *, reason: str) -> bool:
    """Transition 13: QUEUED, or PAUSED at its rung, to PRUNED; False when a slot was faster.

    What its owner keeps back, or wants stopped and kept, is left alone.
    """
    if trial.state not in (TrialState.QUEUED, TrialState.PAUSED):
        return False
    statement = (
        update(Trial)
        .where(
            Trial.id == trial.id, Trial.state == trial.state, Trial.fence == trial.fence,
            Trial.held.is_(False), func.coalesce(Trial.wish, Wish.PRUNE) == Wish.PRUNE,
            (Trial.state == TrialState.QUEUED) | Trial.at_rung.is_(True),
        )
        .values(
            state=TrialState.PRUNED, at_rung=False, finished_at=db_now(), wish=None,
            reason_kind="pruned", reason=reason,
        )
    )  # fmt: skip
    if not one_row(session, statement):
        return False
    record(
        session, "pruned", trial, actor=SEARCH, fence=trial.fence,
        from_state=trial.state, to_state=TrialState.PRUNED,
        data={"reason_kind": "pruned", "reason": reason},
    )  # fmt: skip
    return True


def request_prune(session: Session, trial: Trial) -> bool:
    """Ask the owner of a RUNNING trial to end it; False when its user wants something else of it.

    Its slot hears of it with the next heartbeat.
    """
    statement = (
        update(Trial)
        .where(
            Trial.id == trial.id, Trial.state == TrialState.RUNNING, Trial.fence == trial.fence,
            Trial.cancel_requested.is_(False), Trial.wish.is_(None),
        )
        .values(wish=Wish.PRUNE)
    )  # fmt: skip
    if not one_row(session, statement):
        return False
    record(
        session, "wished", trial, actor=SEARCH, fence=trial.fence, data={"wish": Wish.PRUNE}
    )  # fmt: skip
    return True
