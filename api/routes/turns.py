"""A trial's turn: why it waits."""

from __future__ import annotations

from dataclasses import replace

from flask import Response
from sqlalchemy.orm import Session

from api.context import services
from api.openapi import ApiBlueprint
from api.responses import answer
from api.schemas import turns as schemas
from api.schemas.base import TrialPath
from api.security.identity import me
from api.security.roles import allow
from api.visibility import narrowed_owner_id, visible_trial
from db.company import company
from db.fairness import Rules
from db.models import Trial
from db.users import names_of
from db.waiting import explain

routes = ApiBlueprint("turns", __name__, "When a trial's turn comes")


@routes.get("/trials/<row:trial_id>/why", responses={200: schemas.WhyWaiting})
@allow("member")
def show_why(path: TrialPath) -> Response:
    """Say why a trial waits

    Who is ahead, what it lacks, whose turn it is, and a guess of when with its arithmetic; in a
    sweep with `fuse` also with whom it is trained together, or why by itself.
    """
    with services().database.snapshot() as session:
        return answer(why(session, visible_trial(session, path.trial_id).id))


def why(session: Session, trial_id: int) -> schemas.WhyWaiting:
    """Why a trial that the viewer may see waits, as they may see it."""
    rules = Rules.of(services().settings)
    trial, shown = session.get_one(Trial, trial_id), visible_trial(session, trial_id)
    found = explain(session, trial, rules)
    if trial.reason and shown.reason:
        # Of what is withheld the row's own reason says less than the table's.
        found = replace(found, sentence=found.sentence.replace(trial.reason, shown.reason))
    people = {found.owner_id, *(user_id for user_id, _ in found.by_owner)}
    if found.next_owner_id is not None:
        people.add(found.next_owner_id)
    only = narrowed_owner_id(me())
    names, together = names_of(session, people), company(session, trial)
    return schemas.why_of(found, names, only, shown.pending, together)
