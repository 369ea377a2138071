"""Specs: their JSON Schema, and a check that stores nothing."""

from __future__ import annotations

import json

from flask import Response

from api.bodies import spec_from_body
from api.context import services
from api.openapi import ApiBlueprint, spec_body
from api.planned import planned_for_me
from api.responses import answer, conditional
from api.schemas import forecasts
from api.schemas import specs as schemas
from api.security.identity import me
from api.security.roles import allow
from api.visibility import narrowed_owner_id
from db.duplicates import duplicates_of
from db.fairness import Rules
from db.forecast import forecast
from db.users import names_of
from labpool.spec import spec_schema

routes = ApiBlueprint("specs", __name__, "What may be submitted")

_SCHEMA = {
    "description": "JSON Schema, draft 2020-12",
    "content": {"application/schema+json": {"schema": {"type": "object"}}},
}


@routes.get("/specs/schema", responses={200: _SCHEMA})
@allow("public")
def show_spec_schema() -> Response:
    """Show the JSON Schema of a spec"""
    text = json.dumps(spec_schema(), ensure_ascii=True)
    return conditional(Response(text, mimetype="application/schema+json"))


@routes.post(
    "/specs/validate", responses={200: schemas.CheckedSpec}, openapi_extensions=spec_body()
)
@allow("member", form_token=True)
def validate_spec() -> Response:
    """Check a spec

    Says what a submission would make, or every problem at once. Stores nothing.
    """
    spec, _ = spec_from_body()
    planned = planned_for_me(spec)
    with services().database.snapshot() as session:
        found = duplicates_of(session, planned, narrowed_owner_id(me()))
    return answer(schemas.checked_of(planned, found))


@routes.post("/specs/forecast", responses={200: forecasts.Forecast}, openapi_extensions=spec_body())
@allow("member")
def forecast_spec() -> Response:
    """Tell what a submission would cost

    Its trials, slot-seconds and end, and whom it would delay, as far as can be told. Stores
    nothing.
    """
    spec, _ = spec_from_body()
    planned = planned_for_me(spec)
    with services().database.snapshot() as session:
        rules = Rules.of(services().settings)
        found = forecast(session, planned, me().user_id, rules)
        names = names_of(session, {delay.owner_id for delay in found.delays})
    return answer(forecasts.forecast_of(found, names, narrowed_owner_id(me())))
