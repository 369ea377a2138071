"""What people ask of their trials.

Of pause and stop the last wish counts, and resume takes back either; cancel overrules all.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db import clock, searching, transitions
from db.checkpoints import resume_points
from db.errors import NothingToKeep, NotPossible
from db.models import Experiment, Trial, User
from db.searching import lets_its_sweep_go_on
from db.states import TERMINAL, Role, TrialState, Wish
from db.submissions import refuse_when_full

# A slot may take, end or give back a trial while somebody asks something of it.
_TRIES = 3


@lets_its_sweep_go_on
def cancel_trial(session: Session, trial: Trial, by: User) -> None:
    """Transition 8. Raises NotPossible when the trial has ended; asking twice is no error."""
    actor = f"user {by.name}"
    # A slot may take or end the trial while this looks; each try then sees a later state.
    for _ in range(_TRIES):
        session.refresh(trial)
        if trial.state in TERMINAL:
            raise NotPossible(f"trial {trial.id} is already {trial.state}")
        if trial.cancel_requested and trial.state is TrialState.RUNNING:
            return
        change = (
            transitions.request_cancel
            if trial.state is TrialState.RUNNING
            else transitions.cancel_waiting
        )
        if change(session, trial, actor=actor):
            session.refresh(trial)
            return
    raise NotPossible(f"trial {trial.id} changes too quickly; try again")


@lets_its_sweep_go_on
def pause_trial(session: Session, trial: Trial, by: User) -> None:
    """A waiting trial is held back; a running one saves and gives its slot back, soon.

    It is not to be stopped any more, if it was. Asking twice is no error. Raises NotPossible.
    """
    actor = f"user {by.name}"
    for _ in range(_TRIES):
        session.refresh(trial)
        match trial.state:
            case TrialState.PAUSED if trial.held or not trial.at_rung:
                return
            case TrialState.PAUSED:
                if transitions.hold(session, trial, True, actor=actor):
                    session.refresh(trial)
                    return
            case TrialState.QUEUED:
                if _wish_nothing(session, trial, actor) and (
                    trial.held or transitions.hold(session, trial, True, actor=actor)
                ):
                    session.refresh(trial)
                    return
            case TrialState.RUNNING:
                _refuse_wish(trial, "paused")
                if trial.wish is Wish.PAUSE:
                    return
                if transitions.wish(session, trial, Wish.PAUSE, actor=actor):
                    session.refresh(trial)
                    return
            case _:
                raise NotPossible(f"trial {trial.id} is already {trial.state}")
    raise NotPossible(f"trial {trial.id} changes too quickly; try again")


@lets_its_sweep_go_on
def resume_trial(session: Session, trial: Trial, by: User) -> None:
    """Let a paused or held trial go on; one that was only asked to pause or stop goes on as it was.

    One that was held at its rung waits there for its sweep's search again. Raises NotPossible, for
    one that waits there anyway too.
    """
    actor = f"user {by.name}"
    for _ in range(_TRIES):
        session.refresh(trial)
        match trial.state:
            case TrialState.PAUSED if trial.at_rung and not trial.held:
                raise NotPossible(
                    f"trial {trial.id} waits at rung {trial.rung} until its sweep's search lets it "
                    "go on; `labpool stop --trial` keeps what there is"
                )
            case TrialState.PAUSED if trial.at_rung:
                done = transitions.hold(session, trial, False, actor=actor)
            case TrialState.PAUSED:
                done = transitions.resume(session, trial, actor=actor)
            case TrialState.QUEUED:
                done = _wish_nothing(session, trial, actor) and (
                    not trial.held or transitions.hold(session, trial, False, actor=actor)
                )
            case TrialState.RUNNING:
                _refuse_cancelled(trial)
                done = _wish_nothing(session, trial, actor)
            case _:
                raise NotPossible(f"trial {trial.id} is already {trial.state}")
        if done:
            session.refresh(trial)
            return
    raise NotPossible(f"trial {trial.id} changes too quickly; try again")


@lets_its_sweep_go_on
def stop_trial(session: Session, trial: Trial, by: User) -> None:
    """Stop a running or paused trial at the end of its epoch, and keep what there is as its result.

    Raises NotPossible, NothingToKeep for a trial that waits and has no checkpoint.
    """
    actor = f"user {by.name}"
    for _ in range(_TRIES):
        session.refresh(trial)
        match trial.state:
            case TrialState.PAUSED:
                done = transitions.resume(session, trial, actor=actor, wish=Wish.STOP)
            case TrialState.RUNNING:
                _refuse_wish(trial, "stopped")
                done = trial.wish is Wish.STOP or transitions.wish(
                    session, trial, Wish.STOP, actor=actor
                )
            case TrialState.QUEUED if trial.wish is not Wish.STOP and not resume_points(
                session, trial.id
            ):
                raise NothingToKeep(f"trial {trial.id} waits and has nothing to keep; cancel it")
            case TrialState.QUEUED:
                # It was at work already: a slot takes it up only to make the result.
                if trial.held:
                    transitions.hold(session, trial, False, actor=actor)
                done = trial.wish is Wish.STOP or transitions.wish(
                    session, trial, Wish.STOP, actor=actor
                )
            case _:
                raise NotPossible(f"trial {trial.id} is already {trial.state}")
        if done:
            session.refresh(trial)
            return
    raise NotPossible(f"trial {trial.id} changes too quickly; try again")


def _wish_nothing(session: Session, trial: Trial, actor: str) -> bool:
    """Take back what was asked of it; False when it has changed meanwhile."""
    return trial.wish is None or transitions.wish(session, trial, None, actor=actor)


def _refuse_cancelled(trial: Trial) -> None:
    if trial.cancel_requested:
        raise NotPossible(f"trial {trial.id} is being cancelled")


def _refuse_wish(trial: Trial, what: str) -> None:
    _refuse_cancelled(trial)
    if trial.kind == "benchmark":
        raise NotPossible(f"a benchmark that runs cannot be {what}; let it end, or cancel it")


def cancel_experiment(session: Session, experiment: Experiment, by: User) -> int:
    """Cancel whatever of it has not ended; how many trials that were. Its search ends too."""
    _halt_search(session, experiment, "stopped")
    return _each(session, experiment, by, cancel_trial)


def pause_experiment(session: Session, experiment: Experiment, by: User) -> int:
    """Pause whatever of it has not ended; how many trials that were. A running benchmark ends.

    Its search pauses too: it makes no trials and lets none go on.
    """
    _halt_search(session, experiment, "paused")
    return _each(session, experiment, by, pause_trial)


def resume_experiment(session: Session, experiment: Experiment, by: User) -> int:
    """Let whatever of it is paused, held, or about to pause or stop go on, and its search."""
    locked = searching.lock_sweeps(session, Trial.experiment_id == experiment.id)
    done = _each(session, experiment, by, resume_trial)
    for sweep in locked:
        if sweep.search_halt == "paused":
            sweep.search_halt = None
        searching.advance(session, sweep)
    return done


def stop_experiment(session: Session, experiment: Experiment, by: User) -> int:
    """Stop what has begun and keep what there is, cancel what never ran; benchmarks at work end.

    Its search ends too.
    """
    _halt_search(session, experiment, "stopped")
    return _each(session, experiment, by, _stop_or_cancel)


def _halt_search(session: Session, experiment: Experiment, how: str) -> None:
    """Before its trials are asked: what one of them leaves must not bring forth another."""
    for sweep in searching.lock_sweeps(session, Trial.experiment_id == experiment.id):
        if sweep.search_halt != "stopped":
            sweep.search_halt = how
    session.flush()


def _stop_or_cancel(session: Session, trial: Trial, by: User) -> None:
    try:
        stop_trial(session, trial, by)
    except NothingToKeep:
        if transitions.cancel_waiting(session, trial, actor=f"user {by.name}"):
            session.refresh(trial)
        else:  # a slot was faster, and there may be something to keep by now
            stop_trial(session, trial, by)


def _each(
    session: Session,
    experiment: Experiment,
    by: User,
    command: Callable[[Session, Trial, User], None],
) -> int:
    """Apply ``command`` to every trial that has not ended; to how many it did apply."""
    trials = session.scalars(
        select(Trial)
        .where(Trial.experiment_id == experiment.id, Trial.state.not_in(list(TERMINAL)))
        # What waits comes first: a slot that gets free meanwhile must not take it.
        .order_by(Trial.state != TrialState.QUEUED, Trial.id)
    ).all()
    done = 0
    for trial in trials:
        try:
            command(session, trial, by)
        except NotPossible:  # it ended in the meantime, or is a benchmark at work
            continue
        done += 1
    return done


def retry_trial(session: Session, trial: Trial, by: User, max_queued: int = 5000) -> int:
    """Transition 10: a new trial like an ended one, which stays as it is.

    Raises NotPossible, and QueueFull past ``max_queued`` waiting trials of its owner.
    """
    if trial.state not in TERMINAL:
        raise NotPossible(f"trial {trial.id} is {trial.state}; only an ended one can be retried")
    refuse_when_full(session, trial.owner_id, 1, max_queued)
    # Two retries at once must not get one number; the experiment's row makes them take turns.
    session.execute(
        select(Experiment.id)
        .where(Experiment.id == trial.experiment_id)
        .with_for_update(key_share=True)
    )
    last = session.scalar(
        select(func.max(Trial.number)).where(Trial.experiment_id == trial.experiment_id)
    )
    again = Trial(
        experiment_id=trial.experiment_id,
        number=(last or 0) + 1,
        owner_id=trial.owner_id,
        parent_id=trial.id,
        kind=trial.kind,
        spec=trial.spec,
        varied=trial.varied,
        device=trial.device,
        seed=trial.seed,
        code_name=trial.code_name,
        code_digest=trial.code_digest,
        data_name=trial.data_name,
        data_digest=trial.data_digest,
        configuration_digest=trial.configuration_digest,
        fuse_key=trial.fuse_key,
        trace_key=trial.trace_key,
        # High is an administrator's to give, each time.
        priority=trial.priority if by.role is Role.ADMIN else min(trial.priority, 0),
        queued_at=clock.now(session),
    )
    transitions.enqueue(session, [again], actor=f"user {by.name}")
    return again.id
