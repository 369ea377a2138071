"""Where the tables and the event log of a pool differ from its model."""

from __future__ import annotations

import math
from collections.abc import Iterator

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import models, replay
from tests.faults.expected import ENDED, Pool, Trial

# The database's clock is set anew for each transaction and moves on within it.
_TOLERANCE_S = 2.0


def differences(session: Session, pool: Pool) -> Iterator[str]:
    """Every difference, a sentence each."""
    yield from replay.differences(session)
    rows = {row.id: row for row in session.scalars(select(models.Trial))}
    if not pool.sums_up(rows):
        yield f"the trials are {sorted(rows)}, they must be {sorted(pool.trials)}"
        return
    for trial in pool.trials.values():
        shown, wanted = _shown(rows[trial.id]), _wanted(trial)
        if shown != wanted:
            yield f"trial {trial.id} is {shown}, it must be {wanted}"
    yield from _leases(session, pool)
    yield from _attempts(session, pool)
    yield from _found(session, pool)
    yield from _log(session)
    yield from _use(session, pool)


def _shown(row: models.Trial) -> tuple[object, ...]:
    return (
        str(row.state), row.fence, row.losses, row.held, row.wish and str(row.wish),
        row.cancel_requested, row.lease_id, row.alone, row.ended_early,
        row.finished_at is not None,
    )  # fmt: skip


def _wanted(trial: Trial) -> tuple[object, ...]:
    return (
        trial.state, trial.fence, trial.losses, trial.held, trial.wish,
        trial.cancel, trial.lease, trial.alone, trial.ended_early,
        trial.state in ENDED,
    )  # fmt: skip


def _leases(session: Session, pool: Pool) -> Iterator[str]:
    live = set(session.scalars(select(models.Lease.id).where(models.Lease.ended_at.is_(None))))
    wanted = {number for number, lease in pool.leases.items() if lease.live}
    if live != wanted:
        yield f"the live leases are {live}, they must be {wanted}"


def _attempts(session: Session, pool: Pool) -> Iterator[str]:
    rows = {(row.trial_id, row.fence): row for row in session.scalars(select(models.Attempt))}
    wanted = {
        (trial.id, fence): attempt
        for trial in pool.trials.values()
        for fence, attempt in trial.attempts.items()
    }
    if set(rows) != set(wanted):
        yield f"the attempts are {sorted(rows)}, they must be {sorted(wanted)}"
        return
    for key, attempt in wanted.items():
        row = rows[key]
        outcome = row.outcome and str(row.outcome)
        if (outcome, row.charged, row.lease_id) != (
            attempt.outcome, attempt.charged, attempt.lease,
        ):  # fmt: skip
            yield f"attempt {key} is {outcome}, charged {row.charged}; it must be {attempt}"
        spent = row.slot_seconds or 0.0
        if not math.isclose(spent, attempt.slot_seconds, abs_tol=_TOLERANCE_S):
            yield f"attempt {key} cost {spent:.1f} s, it must be {attempt.slot_seconds:.1f} s"


def _found(session: Session, pool: Pool) -> Iterator[str]:
    results = {row.trial_id: row.fence for row in session.scalars(select(models.Result))}
    wanted = {t.id: t.result for t in pool.trials.values() if t.result is not None}
    if results != wanted:
        yield f"the results are {results}, they must be {wanted}"
    points = {
        (row.trial_id, row.epoch, row.fence, row.deleted_at is None)
        for row in session.scalars(select(models.Checkpoint))
    }
    kept = {
        (trial.id, point.epoch, point.fence, point.kept)
        for trial in pool.trials.values()
        for point in trial.points
    }
    if points != kept:
        yield f"checkpoints differ by {sorted(points ^ kept)}"


def _log(session: Session) -> Iterator[str]:
    """Every change of state begins where the one before it ended, and nothing leaves an end."""
    state: dict[int, str | None] = {}
    fences: dict[int, int] = {}
    for event in session.scalars(select(models.Event).order_by(models.Event.id)):
        if event.trial_id is None:
            continue
        if event.to_state is not None:
            before = state.get(event.trial_id)
            if event.from_state != before or before in ENDED:
                yield f"event {event.id} goes from {event.from_state}, the trial was {before}"
            state[event.trial_id] = str(event.to_state)
        if event.fence is not None:
            if event.fence < fences.get(event.trial_id, 0):
                yield f"event {event.id} has fence {event.fence}, an earlier one had more"
            fences[event.trial_id] = event.fence


def _use(session: Session, pool: Pool) -> Iterator[str]:
    rows = {row.user_id: row.slot_seconds for row in session.scalars(select(models.Usage))}
    if set(rows) != set(pool.use):
        yield f"use is known of {set(rows)}, it must be of {set(pool.use)}"
        return
    for user, (seconds, _) in pool.use.items():
        if not math.isclose(rows[user], seconds, rel_tol=1e-3, abs_tol=10 * _TOLERANCE_S):
            yield f"user {user} used {rows[user]:.1f} s, it must be {seconds:.1f} s"
