"""A trial's turn on its page: what its wait comes from, and its priority."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, redirect, request
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from api.context import services
from api.problems import ApiProblem, forbidden
from api.routes.turns import why
from api.security.identity import me
from api.security.roles import allow
from api.visibility import may_change, require_change, visible_trial
from db.errors import NotAllowed, NotPossible
from db.models import Trial, User
from db.priorities import CLASSES, set_priority
from db.reads.trials import TrialRow
from db.states import TrialState
from labpool.spec import Priority
from labpool.turns import why_lines

pages = Blueprint("turn_pages", __name__)


@dataclass(frozen=True, slots=True)
class Turn:
    """Why a trial waits, line by line, and the classes that the viewer may give it."""

    lines: list[tuple[str, str]]
    priority: Priority
    choices: list[Priority]


def turn_of(session: Session, trial: TrialRow) -> Turn | None:
    """None when the trial does not wait."""
    if trial.state != TrialState.QUEUED:
        return None
    found = why(session, trial.id)
    choices: list[Priority] = []
    if may_change(me(), trial.owner_id):
        choices = [word for word in CLASSES if word != "high" or me().is_admin]
    return Turn(why_lines(found.model_dump()), found.priority, choices)


@pages.post("/trials/<row:trial_id>/priority")
@allow("member")
def change_the_priority(trial_id: int) -> BaseResponse:
    wanted = request.form.get("priority", "")

    def work(session: Session) -> None:
        row = visible_trial(session, trial_id)
        require_change(me(), row.owner_id, "trial")
        priority = next((word for word in CLASSES if word == wanted), None)
        if priority is None:
            raise ApiProblem(422, "invalid-body", "A priority is low, normal or high.")
        by = session.get_one(User, me().user_id)
        set_priority(session, session.get_one(Trial, row.id), priority, by)

    try:
        services().database.run(work)
    except NotAllowed as error:
        raise forbidden("A high priority is for administrators to give.") from error
    except NotPossible as error:
        raise ApiProblem(409, "not-possible", str(error)) from error
    services().bell.ring()
    return redirect(f"/trials/{trial_id}", code=303)
