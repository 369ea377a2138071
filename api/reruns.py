"""Running a trial again to see whether it comes to the same: what the API and the pages share."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from api.context import services
from api.planned import with_own_source
from api.problems import ApiProblem
from api.security.identity import me
from api.uploading import catalog_for
from api.visibility import open_trial
from db.errors import QueueFull
from db.models import Trial, User
from db.reruns import rerun
from db.states import TrialState
from labpool.rerunning import changed_entries, rerun_plan


@dataclass(frozen=True, slots=True)
class Made:
    """The new trial, and what of the catalog has changed since the first one."""

    trial_id: int
    experiment_id: int
    changed: list[str]


def run_again(trial_id: int, with_todays_code: bool) -> Made:
    """Submit it for the viewer. Raises ApiProblem 404, 409 and 429, SpecError."""
    parts = services()
    with parts.database.snapshot() as session:
        row = open_trial(session, trial_id)
    if row.state != TrialState.SUCCEEDED:
        message = f"Trial {trial_id} is {row.state}; only what succeeded can be run again like this"
        raise ApiProblem(409, "not-possible", f"{message}. To try once more, retry it.")
    catalog = catalog_for(row.spec)
    changed = changed_entries(row.spec, row.code_digest, row.data_digest, catalog)
    gone = any("no longer" in part for part in changed)
    if changed and (gone or not with_todays_code):
        raise _refusal(trial_id, changed, gone)
    planned = with_own_source(rerun_plan(trial_id, row.spec, changed, catalog))

    def work(session: Session) -> tuple[int, int]:
        first = session.get_one(Trial, trial_id)
        by = session.get_one(User, me().user_id)
        again = rerun(session, first, planned, by, parts.settings.max_queued_per_user)
        return again.id, again.experiment_id

    try:
        made_id, experiment_id = parts.database.run(work)
    except QueueFull as error:
        raise ApiProblem(429, "queue-full", str(error), headers={"Retry-After": "60"}) from error
    parts.bell.ring()
    return Made(made_id, experiment_id, changed)


def _refusal(trial_id: int, changed: list[str], gone: bool) -> ApiProblem:
    what = " and ".join(changed)
    message = f"{what[0].upper()}{what[1:]} since trial {trial_id} ran."
    if not gone:
        message += (
            f" Put the old files back, or run it with today's code: labpool rerun {trial_id} "
            "--with-todays-code"
        )
    return ApiProblem(409, "code-changed", message)
