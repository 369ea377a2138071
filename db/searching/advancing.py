"""A searched sweep's next step, in the transaction of what led to it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import clock, transitions
from db.models import Experiment, Trial
from db.origins import pinned_later
from db.searching.rows import rows_of, sweep_spec
from db.states import TrialState
from db.trial_rows import trial_row
from labpool import search
from labpool.making import made
from labpool.planning import Plan
from labpool.spec import SPEC, SweepSpec

# Each step leaves nothing to do, as the search says of itself; this is for one that errs.
MOST_STEPS = 4


def begin(plan: Plan, trials: Sequence[Trial]) -> None:
    """Send the trials of a new submission towards their first rung, where a search goes on."""
    spec = SPEC.validate_python(dict(plan.spec))
    if isinstance(spec, SweepSpec) and goes_on(spec, len(trials)):
        for trial in trials:
            trial.rung, trial.halts_at = 0, _halt(spec, 0)


def goes_on(spec: SweepSpec, made_at_once: int) -> bool:
    """Whether the search has anything to say once the sweep has begun."""
    strategy = spec.strategy
    return (
        strategy.pruner is not None
        or spec.budget_slot_seconds is not None
        or search.count(spec) > made_at_once
    )


def advance(session: Session, experiment: Experiment) -> int:
    """Do what the search wants done; how much that was. The caller holds the sweep's lock.

    Nothing while its owner has it paused or stopped. What cannot be done any more, or not while the
    trial's owner wants something else, is left out: the search sees the rows as they are at the
    next step.
    """
    if experiment.search_halt is not None:
        return 0
    session.flush()
    spec = sweep_spec(experiment)
    done = 0
    for _ in range(MOST_STEPS):
        actions = search.advance(spec, rows_of(session, experiment, spec))
        changed = _apply(session, experiment, spec, actions)
        done += changed
        if not changed:
            break
    return done


def _apply(
    session: Session, experiment: Experiment, spec: SweepSpec, actions: Sequence[search.Action]
) -> int:
    creates = [action for action in actions if isinstance(action, search.Create)]
    moves = [action for action in actions if not isinstance(action, search.Create)]
    trials = session.scalars(
        select(Trial).where(Trial.id.in_([move.trial_id for move in moves])).order_by(Trial.id)
    ).all()
    known = {trial.id: trial for trial in trials if trial.experiment_id == experiment.id}
    done = 0
    for move in sorted(moves, key=lambda move: move.trial_id):
        trial = known[move.trial_id]
        if isinstance(move, search.Promote):
            moved = transitions.promote(session, trial, move.rung, _halt(spec, move.rung))
        elif trial.state is TrialState.RUNNING:
            moved = transitions.request_prune(session, trial)
        else:
            moved = transitions.prune_waiting(session, trial, reason=told(trial))
        if moved:
            session.refresh(trial)
            done += 1
    return done + _create(session, experiment, spec, creates)


def _create(
    session: Session, experiment: Experiment, spec: SweepSpec, creates: Sequence[search.Create]
) -> int:
    if not creates or experiment.made_from is None:
        return 0
    mine = Trial.experiment_id == experiment.id
    taken = set(session.scalars(select(Trial.number).where(mine)))
    goes_on_from_here = goes_on(spec, len(taken) + len(creates)) or _is_searched(
        session, experiment
    )
    now = clock.now(session)
    trials = []
    for create in creates:
        planned = pinned_later(session, made(spec, create, experiment.made_from))
        trial = trial_row(planned, experiment.id, experiment.owner_id, now)
        # A trial that somebody ran again may have taken the number.
        trial.number = create.number if create.number not in taken else max(taken) + 1
        taken.add(trial.number)
        if goes_on_from_here:
            trial.rung, trial.halts_at = create.rung, _halt(spec, create.rung)
        trials.append(trial)
    transitions.enqueue(session, trials, actor=transitions.SEARCH)
    return len(trials)


def _is_searched(session: Session, experiment: Experiment) -> bool:
    query = select(Trial.id).where(Trial.experiment_id == experiment.id, Trial.rung.is_not(None))
    return session.scalar(query.limit(1)) is not None


def told(trial: Trial) -> str:
    """Why the search ended a trial, for people."""
    done = f" after epoch {int(trial.progress_done)}" if trial.progress_unit == "epoch" else ""
    if trial.at_rung:
        return f"Its sweep's search let others go on from rung {trial.rung}{done}."
    if trial.started_at is None:
        return "Its sweep's search ended it before it ran: the budget is used."
    return f"Its sweep's search ended it{done}: others did better as early."


def _halt(spec: SweepSpec, rung: int) -> int | None:
    return search.epochs(spec, rung)
