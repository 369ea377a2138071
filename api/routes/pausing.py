"""Pause, resume, and stop with what there is: one trial or a whole experiment."""

from __future__ import annotations

from collections.abc import Callable

from flask import Response
from sqlalchemy.orm import Session

from api.bodies import require_no_body
from api.context import services
from api.openapi import ApiBlueprint
from api.problems import ApiProblem
from api.responses import answer
from api.routes.trials import shown
from api.schemas import experiments, trials
from api.schemas.base import ExperimentPath, TrialPath
from api.security.identity import me
from api.security.roles import allow
from api.visibility import require_change, visible_experiment, visible_trial
from db import commands
from db.errors import NotPossible
from db.models import Experiment, Trial, User

routes = ApiBlueprint("pausing", __name__, "Pause, resume, and stop with what there is")

OfTrial = Callable[[Session, Trial, User], None]
OfExperiment = Callable[[Session, Experiment, User], int]


@routes.post("/trials/<row:trial_id>/pause", responses={200: trials.Trial})
@allow("member")
def pause_a_trial(path: TrialPath) -> Response:
    """Pause a trial

    A waiting trial is held back. A running one saves its state at the end of its epoch and gives
    its slot back; a running benchmark cannot. Of pause and stop the last counts.
    """
    return _of_trial(path.trial_id, commands.pause_trial)


@routes.post("/trials/<row:trial_id>/resume", responses={200: trials.Trial})
@allow("member")
def resume_a_trial(path: TrialPath) -> Response:
    """Resume a trial

    It goes on from its newest checkpoint once a slot is free, and ends with the same weights as if
    it had never been paused. One that was only asked to pause or to stop goes on as it was.
    """
    return _of_trial(path.trial_id, commands.resume_trial)


@routes.post("/trials/<row:trial_id>/stop", responses={200: trials.Trial})
@allow("member")
def stop_a_trial(path: TrialPath) -> Response:
    """Stop a trial and keep what there is

    At the end of its epoch it saves its state, looks at the test split and succeeds, marked
    `ended_early`. One that never ran has nothing to keep.
    """
    return _of_trial(path.trial_id, commands.stop_trial)


@routes.post(
    "/experiments/<row:experiment_id>/pause", responses={200: experiments.ChangedExperiment}
)
@allow("member")
def pause_an_experiment(path: ExperimentPath) -> Response:
    """Pause an experiment

    Each of its trials that has not ended. Benchmarks that run come to their end.
    """
    return _of_experiment(path.experiment_id, commands.pause_experiment)


@routes.post(
    "/experiments/<row:experiment_id>/resume", responses={200: experiments.ChangedExperiment}
)
@allow("member")
def resume_an_experiment(path: ExperimentPath) -> Response:
    """Resume an experiment

    Each of its trials that is paused, held back, or asked to pause or to stop.
    """
    return _of_experiment(path.experiment_id, commands.resume_experiment)


@routes.post(
    "/experiments/<row:experiment_id>/stop", responses={200: experiments.ChangedExperiment}
)
@allow("member")
def stop_an_experiment(path: ExperimentPath) -> Response:
    """Stop an experiment and keep what there is

    Trials that have begun are stopped at the end of their epoch and keep their results; those that
    never ran are cancelled. Benchmarks that run come to their end.
    """
    return _of_experiment(path.experiment_id, commands.stop_experiment)


def _of_trial(trial_id: int, command: OfTrial) -> Response:
    require_no_body()

    def work(session: Session) -> None:
        row = visible_trial(session, trial_id)
        require_change(me(), row.owner_id, "trial")
        command(session, session.get_one(Trial, row.id), session.get_one(User, me().user_id))

    try:
        services().database.run(work)
    except NotPossible as error:
        raise ApiProblem(409, "not-possible", str(error)) from error
    services().bell.ring()
    return shown(trial_id)


def _of_experiment(experiment_id: int, command: OfExperiment) -> Response:
    require_no_body()

    def work(session: Session) -> experiments.ChangedExperiment:
        row = visible_experiment(session, experiment_id)
        require_change(me(), row.owner_id, "experiment")
        by = session.get_one(User, me().user_id)
        changed = command(session, session.get_one(Experiment, row.id), by)
        session.flush()
        return experiments.changed_of(visible_experiment(session, experiment_id), changed)

    model = services().database.run(work)
    services().bell.ring()
    return answer(model)
