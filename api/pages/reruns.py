"""A trial run again: the button's action, and how both are compared on the second one's page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flask import Blueprint, redirect, request
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from api.reruns import run_again
from api.security.identity import me
from api.security.roles import allow
from api.visibility import narrowed_owner_id
from db.reads.trials import TrialRow
from db.reruns import Rerun, reproduction_of, reruns_of
from labpool.reproduction import Reproduction
from labpool.reproduction_text import summary_of

pages = Blueprint("rerun_pages", __name__)


@dataclass(frozen=True, slots=True)
class RerunPanel:
    """``found`` compares the trial with the one that it ran again; ``later`` ran it again."""

    found: Reproduction | None
    text: str
    later: Sequence[Rerun]


@pages.post("/trials/<row:trial_id>/rerun")
@allow("member")
def rerun_the_trial(trial_id: int) -> BaseResponse:
    made = run_again(trial_id, request.form.get("code") == "today")
    return redirect(f"/trials/{made.trial_id}", code=303)


def rerun_panel(session: Session, trial: TrialRow) -> RerunPanel | None:
    """None where nothing was run again."""
    only = narrowed_owner_id(me())
    found = reproduction_of(session, trial.id, only)
    later = reruns_of(session, trial.id, only)
    if found is None and not later:
        return None
    text = summary_of(found, trial.parent_id or 0) if found else ""
    return RerunPanel(found, text, later)
