"""More trials for a sweep."""

from __future__ import annotations

from flask import Response
from sqlalchemy.orm import Session

from api.context import services
from api.openapi import ApiBlueprint
from api.problems import ApiProblem
from api.responses import answer
from api.schemas import experiments as schemas
from api.schemas.base import ExperimentPath
from api.security.identity import me
from api.security.roles import allow
from api.visibility import require_change, visible_experiment
from db.errors import NotPossible
from db.lengthening import add_trials
from db.models import Experiment

routes = ApiBlueprint("lengthening", __name__, "More trials for a sweep")


@routes.post("/experiments/<row:experiment_id>/trials", responses={200: schemas.ChangedExperiment})
@allow("member")
def add_trials_to_a_sweep(path: ExperimentPath, body: schemas.MoreTrialsBody) -> Response:
    """Add trials to a sweep

    Also to one that has ended or was stopped: its search goes on as if it had been asked for so
    many at first. They are made from the catalog's entries as they were at the submission.
    """
    settings = services().settings

    def work(session: Session) -> schemas.ChangedExperiment:
        row = visible_experiment(session, path.experiment_id)
        require_change(me(), row.owner_id, "experiment")
        added = add_trials(
            session,
            session.get_one(Experiment, row.id),
            body.trials,
            settings.max_trials_per_sweep,
            settings.max_queued_per_user,
        )
        session.flush()
        return schemas.changed_of(visible_experiment(session, path.experiment_id), added)

    try:
        model = services().database.run(work)
    except NotPossible as error:
        raise ApiProblem(409, "not-possible", str(error)) from error
    services().bell.ring()
    return answer(model)
