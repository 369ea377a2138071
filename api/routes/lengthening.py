"""More trials for a sweep."""

from __future__ import annotations

from flask import Response
from sqlalchemy.orm import Session

from api.bodies import digest_of, idempotency_key
from api.context import services
from api.openapi import ApiBlueprint
from api.problems import ApiProblem
from api.responses import answer
from api.schemas import experiments as schemas
from api.schemas.base import ExperimentPath
from api.security.identity import me
from api.security.roles import allow
from api.visibility import require_change, visible_experiment
from db.errors import IdempotencyConflict, NotPossible
from db.lengthening import add_trials
from db.models import Experiment
from db.submissions import is_new

routes = ApiBlueprint("lengthening", __name__, "More trials for a sweep")


@routes.post("/experiments/<row:experiment_id>/trials", responses={200: schemas.ChangedExperiment})
@allow("member")
def add_trials_to_a_sweep(path: ExperimentPath, body: schemas.MoreTrialsBody) -> Response:
    """Add trials to a sweep

    Also to one that has ended or was stopped: its search goes on as if it had been asked for so
    many at first. They are made from the catalog's entries as they were at the submission. With an
    Idempotency-Key header, asking the same again under the same key adds nothing more.
    """
    settings, key = services().settings, idempotency_key()
    digest = digest_of({"experiment": path.experiment_id, "trials": body.trials})

    def work(session: Session) -> tuple[schemas.ChangedExperiment, bool]:
        row = visible_experiment(session, path.experiment_id)
        require_change(me(), row.owner_id, "experiment")
        fresh = key is None or is_new(session, me().user_id, key, digest, row.id)
        added = 0
        if fresh:
            added = add_trials(
                session,
                session.get_one(Experiment, row.id),
                body.trials,
                settings.max_trials_per_sweep,
                settings.max_queued_per_user,
            )
            session.flush()
        return schemas.changed_of(visible_experiment(session, path.experiment_id), added), fresh

    try:
        model, fresh = services().database.run(work)
    except IdempotencyConflict as error:
        raise ApiProblem(422, "idempotency-conflict", str(error)) from error
    except NotPossible as error:
        raise ApiProblem(409, "not-possible", str(error)) from error
    services().bell.ring()
    response = answer(model)
    if not fresh:
        response.headers["Idempotency-Replayed"] = "true"
    return response
