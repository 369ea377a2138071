"""What the owner of a lease writes. Each raises FencedOff when the trial is no longer its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import CursorResult, func, select, update
from sqlalchemy.orm import Session

from db import clock, findings, retries, searching, transitions
from db.attempts import seconds_used, share_s
from db.clock import db_now
from db.early_ends import ENDED_EARLY, why_early
from db.models import Attempt, Lease, Result, Slot, Trial
from db.searching import moves_its_sweep
from db.states import Outcome, TrialState, Wish
from db.text import storable


@dataclass(frozen=True, slots=True)
class Beat:
    """What a heartbeat learned: trials still owned, those to cancel, and what else is wished."""

    alive: frozenset[int]
    cancel: frozenset[int]
    wishes: Mapping[int, Wish]


def heartbeat(
    session: Session,
    lease_id: int,
    fences: Mapping[int, int],
    ttl_s: float,
    progress: Mapping[int, findings.Progress] | None = None,
) -> Beat:
    """Transition 3: move the lease on. A late beat revives a lease that nobody took back.

    ``fences`` are the trials believed to be owned; ``progress`` is (done, total, unit) of some.
    """
    # Trials before their lease, as everybody locks them.
    rows = session.execute(
        select(Trial.id, Trial.fence, Trial.cancel_requested, Trial.wish)
        .where(Trial.lease_id == lease_id, Trial.state == TrialState.RUNNING)
        .order_by(Trial.id)
        .with_for_update()
    ).all()
    moved = session.execute(
        update(Lease)
        .where(Lease.id == lease_id, Lease.ended_at.is_(None))
        .values(beat_at=db_now(), expires_at=db_now() + ttl_s)
        .execution_options(synchronize_session=False)
    )
    assert isinstance(moved, CursorResult)
    if moved.rowcount != 1:
        return Beat(frozenset(), frozenset(), {})
    mine = [row for row in rows if fences.get(row.id) == row.fence]
    alive = frozenset(row.id for row in mine)
    for trial_id, (done, total, unit) in (progress or {}).items():
        if trial_id in alive:
            findings.note_progress(session, trial_id, fences[trial_id], done, total, unit)
    cancel = frozenset(row.id for row in mine if row.cancel_requested)
    wishes = {row.id: row.wish for row in mine if row.wish is not None and row.id not in cancel}
    return Beat(alive, cancel, wishes)


def note_started(
    session: Session,
    trial_id: int,
    fence: int,
    environment: Mapping[str, Any],
    progress: findings.Progress | None = None,
) -> None:
    """Keep what the attempt runs on (versions, device, threads), and how much there is to do."""
    trial = transitions.own(session, trial_id, fence)
    attempt = _attempt(session, trial)
    attempt.environment = storable(dict(environment))
    if "resumed_epoch" in environment:
        # The claim named the newest checkpoint; the slot knows which one was whole.
        attempt.resumed_epoch = environment["resumed_epoch"]
    if progress is not None:
        findings.note_progress(session, trial_id, fence, *progress)


@moves_its_sweep
def succeed(
    session: Session,
    trial_id: int,
    fence: int,
    metrics: Mapping[str, float],
    summary: Mapping[str, Any],
    ended_early: bool = False,
    chunks: Sequence[findings.Chunk] = (),
    progress: findings.Progress | None = None,
) -> None:
    """Transition 5 to SUCCEEDED, with the result and the last of the curves.

    ``progress`` is the last there was; a trial that did not end early is done with all of it.
    """
    trial = transitions.own(session, trial_id, fence)
    attempt = _attempt(session, trial)
    now = clock.now(session)
    findings.add_points(session, trial_id, fence, chunks)
    if progress is not None:
        findings.note_progress(session, trial_id, fence, *progress)
    session.add(
        Result(
            trial_id=trial_id,
            fence=fence,
            metrics=dict(metrics),
            summary=storable(dict(summary)),
            device=session.get_one(Slot, attempt.slot_id).device,
            seconds=seconds_used(session, trial_id) + share_s(session, attempt, now),
            created_at=now,
        )
    )
    whole = func.coalesce(Trial.progress_total, Trial.progress_done)
    why = why_early(session, trial) if ended_early else None
    transitions.end(
        session, trial, TrialState.SUCCEEDED, actor=_actor(attempt), ended_early=ended_early,
        progress_done=Trial.progress_done if ended_early else whole,
        reason_kind=None if why is None else ENDED_EARLY, reason=why,
    )  # fmt: skip


@moves_its_sweep
def fail(
    session: Session,
    trial_id: int,
    fence: int,
    reason_kind: str,
    reason: str,
    log_tail: str | None = None,
    chunks: Sequence[findings.Chunk] = (),
) -> None:
    """Transition 5 to FAILED, with the reason and the tail of the log.

    What may go better another time (see `db.retries`) is queued again instead, by transition 6.
    """
    trial = transitions.own(session, trial_id, fence)
    findings.add_points(session, trial_id, fence, chunks)
    verdict = retries.after_failure(session, trial, reason_kind, storable(reason))
    _conclude(
        session, trial, reason_kind, verdict, None if log_tail is None else storable(log_tail)
    )


@moves_its_sweep
def cancel(
    session: Session, trial_id: int, fence: int, reason: str, chunks: Sequence[findings.Chunk] = ()
) -> None:
    """Transition 9 by the owner."""
    trial = transitions.own(session, trial_id, fence)
    findings.add_points(session, trial_id, fence, chunks)
    transitions.end(
        session, trial, TrialState.CANCELLED, actor=_actor(_attempt(session, trial)),
        reason_kind="cancelled", reason=storable(reason),
    )  # fmt: skip


@moves_its_sweep
def pause(
    session: Session,
    trial_id: int,
    fence: int,
    chunks: Sequence[findings.Chunk] = (),
    progress: findings.Progress | None = None,
    epoch: int | None = None,
) -> None:
    """Transition 5 to PAUSED: its slot is free for others; it goes on from its newest checkpoint.

    ``epoch`` is where it stopped; at that of its rung it waits there for its sweep's search. One
    that is to be cancelled or pruned meanwhile is that instead; one that nobody wants paused any
    more is queued again, as the runner may have stopped before it could hear of that.
    """
    trial = transitions.own(session, trial_id, fence)
    if trial.cancel_requested:
        cancel(session, trial_id, fence, "Cancelled while it was being paused.", chunks)
        return
    findings.add_points(session, trial_id, fence, chunks)
    if progress is not None:
        findings.note_progress(session, trial_id, fence, *progress)
    actor = _actor(_attempt(session, trial))
    arrived = trial.halts_at is not None and epoch is not None and epoch >= trial.halts_at
    if trial.wish is Wish.PRUNE:
        _prune(session, trial, actor)
    elif trial.wish is Wish.PAUSE:
        transitions.end(
            session, trial, TrialState.PAUSED, actor=actor, reason_kind="paused",
            reason="It is paused; its checkpoint is kept.",
            at_rung=arrived, held=arrived,
        )  # fmt: skip
    elif arrived and trial.wish is None:
        transitions.end(
            session, trial, TrialState.PAUSED, actor=actor, reason_kind="rung",
            reason=f"It waits at rung {trial.rung}, after epoch {epoch}; its checkpoint is kept.",
            at_rung=True,
        )  # fmt: skip
    else:
        transitions.requeue(
            session, trial, actor=actor, outcome=Outcome.PAUSED,
            reason="It was asked to go on just after it had paused.", charged=True,
        )  # fmt: skip
    if arrived and epoch is not None:
        searching.add_missing(session, trial, epoch)


@moves_its_sweep
def prune(
    session: Session, trial_id: int, fence: int, chunks: Sequence[findings.Chunk] = ()
) -> None:
    """Transition 5 to PRUNED, as its sweep's search asked.

    One that is to be cancelled meanwhile is that instead; one that is not to be pruned any more is
    queued again.
    """
    trial = transitions.own(session, trial_id, fence)
    if trial.cancel_requested:
        cancel(session, trial_id, fence, "Cancelled while it was being pruned.", chunks)
        return
    findings.add_points(session, trial_id, fence, chunks)
    actor = _actor(_attempt(session, trial))
    if trial.wish is Wish.PRUNE:
        _prune(session, trial, actor)
    else:
        transitions.requeue(
            session, trial, actor=actor, outcome=Outcome.RELEASED,
            reason="It was asked to go on just after it had stopped.", charged=True,
        )  # fmt: skip


@moves_its_sweep
def release(
    session: Session,
    trial_id: int,
    fence: int,
    reason: str,
    delay_s: float = 0.0,
    chunks: Sequence[findings.Chunk] = (),
    alone: bool = False,
    reason_kind: str | None = None,
) -> None:
    """Transition 6: give the trial back, uncharged. A flagged one is cancelled instead.

    ``alone``: the group that it was trained with crashed; it is not to be trained with others.
    With a ``reason_kind`` of `retries.UNABLE` the delay grows each time, and one that is given back
    again and again fails.
    """
    trial = transitions.own(session, trial_id, fence)
    findings.add_points(session, trial_id, fence, chunks)
    if reason_kind in retries.UNABLE:
        verdict = replace(retries.when_unable(session, trial, storable(reason)), alone=alone)
    else:
        verdict = retries.Verdict(storable(reason), delay_s, alone, charged=False)
    _conclude(session, trial, reason_kind, verdict)


def end_lease(session: Session, lease_id: int) -> None:
    """End a lease that holds nothing any more; one that does stays for the sweeper."""
    held = select(Trial.id).where(Trial.lease_id == lease_id)
    session.execute(
        update(Lease)
        .where(Lease.id == lease_id, Lease.ended_at.is_(None), ~held.exists())
        .values(ended_at=db_now())
        .execution_options(synchronize_session=False)
    )


def _prune(session: Session, trial: Trial, actor: str) -> None:
    transitions.end(
        session, trial, TrialState.PRUNED, actor=actor, reason_kind="pruned",
        reason=searching.told(trial),
    )  # fmt: skip


def _conclude(
    session: Session,
    trial: Trial,
    reason_kind: str | None,
    verdict: retries.Verdict,
    log_tail: str | None = None,
) -> None:
    actor = _actor(_attempt(session, trial))
    if verdict.delay_s is None:
        transitions.end(
            session, trial, TrialState.FAILED, actor=actor, reason_kind=reason_kind,
            reason=verdict.reason, log_tail=log_tail, charged=verdict.charged,
        )  # fmt: skip
    elif trial.cancel_requested:
        transitions.end(
            session, trial, TrialState.CANCELLED, actor=actor, reason_kind="cancelled",
            reason=f"Cancelled while its slot gave it back: {verdict.reason}", log_tail=log_tail,
            charged=verdict.charged,
        )  # fmt: skip
    else:
        transitions.requeue(
            session, trial, actor=actor, outcome=Outcome.RELEASED, reason=verdict.reason,
            delay_s=verdict.delay_s, alone=verdict.alone, reason_kind=reason_kind,
            log_tail=log_tail,
        )  # fmt: skip


def _attempt(session: Session, trial: Trial) -> Attempt:
    statement = select(Attempt).where(Attempt.trial_id == trial.id, Attempt.fence == trial.fence)
    return session.scalars(statement).one()


def _actor(attempt: Attempt) -> str:
    return f"worker {attempt.worker_id}"
