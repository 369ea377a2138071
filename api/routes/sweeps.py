"""A sweep: rungs, best so far, importance of parameters, cost."""

from __future__ import annotations

from flask import Response

from api.context import services
from api.openapi import ApiBlueprint
from api.problems import ApiProblem
from api.responses import answer
from api.schemas import sweeps as schemas
from api.schemas.base import ExperimentPath
from api.security.roles import allow
from api.sweeps.view import view_of
from api.visibility import visible_experiment

routes = ApiBlueprint("sweeps", __name__, "A sweep at a glance")


@routes.get("/experiments/<row:experiment_id>/sweep", responses={200: schemas.Sweep})
@allow("member", session=True)
def show_sweep(path: ExperimentPath) -> Response:
    """Show a sweep

    Its trials by rung, the best value so far over time and over slot-seconds, how much each varied
    parameter matters, what it has used and will still use, and every trial with its value.
    """
    with services().database.snapshot() as session:
        row = visible_experiment(session, path.experiment_id)
        view = view_of(session, row.id)
    if view is None:
        raise ApiProblem(
            409,
            "not-possible",
            f"Experiment {path.experiment_id} is no sweep: it is a {row.kind}.",
        )
    return answer(schemas.sweep_of(row.id, view))
