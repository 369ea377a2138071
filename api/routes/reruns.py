"""Run a trial again, to see whether it comes to the same."""

from __future__ import annotations

from flask import Response

from api.bodies import require_no_body
from api.openapi import ApiBlueprint
from api.reruns import run_again
from api.responses import answer
from api.schemas import trials as schemas
from api.schemas.base import TrialPath
from api.security.roles import allow

routes = ApiBlueprint("reruns", __name__, "Runs that repeat another one")


@routes.post("/trials/<row:trial_id>/rerun", responses={201: schemas.Rerun})
@allow("member")
def rerun_a_trial(path: TrialPath, query: schemas.RerunQuery) -> Response:
    """Run a trial again and compare

    Its resolved spec with its seed, as your own experiment; the new trial says under
    `reproduction` how it compares. Refused when the catalog's code has changed, unless `code` is
    `today`.
    """
    require_no_body()
    made = run_again(path.trial_id, query.code == "today")
    urls = schemas.trial_urls(made.trial_id)
    model = schemas.Rerun(
        trial_id=made.trial_id,
        rerun_of=path.trial_id,
        experiment_id=made.experiment_id,
        changed=made.changed,
        **urls,
    )
    response = answer(model, 201)
    response.headers["Location"] = urls["url"]
    return response
