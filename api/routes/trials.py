"""Trials: list, look at, cancel, run again, and their events."""

from __future__ import annotations

from flask import Response
from sqlalchemy.orm import Session

from api.bodies import require_no_body, small_body
from api.context import services
from api.openapi import ApiBlueprint, json_body
from api.paging import decode_cursor, encode_cursor, link_next, next_url
from api.problems import ApiProblem, forbidden
from api.responses import answer
from api.routes.turns import why
from api.schemas import trials as schemas
from api.schemas import turns
from api.schemas.base import TrialPath
from api.security.identity import me
from api.security.roles import allow
from api.visibility import (
    narrowed_owner_id,
    require_change,
    shown_attempts,
    shown_events,
    shown_trials,
    visible_experiment,
    visible_trial,
)
from db.commands import cancel_trial, retry_trial
from db.errors import NotAllowed, NotPossible, QueueFull
from db.fairness import Rules
from db.models import Trial as TrialModel
from db.models import User
from db.priorities import set_priority
from db.reads.events import events_of_trial
from db.reads.listing import Wanted
from db.reads.trials import TrialRow, trials_of_experiment, trials_page
from db.reruns import reproduction_of
from db.states import TrialState
from db.waiting import why_waiting

routes = ApiBlueprint("trials", __name__, "Runs: one configuration each")


@routes.get("/trials", responses={200: schemas.TrialPage})
@allow("member")
def list_trials(query: schemas.TrialQuery) -> Response:
    """List trials

    Newest first; within one experiment by number.
    """
    cursor = decode_cursor(query.cursor, (int,))
    place = int(cursor[0] or 0) if cursor else None
    with services().database.snapshot() as session:
        rows = _page(session, query, place)
    following = None
    if len(rows) > query.limit:
        last = rows[query.limit - 1]
        following = encode_cursor([last.number if _by_number(query) else last.id])
    page = schemas.TrialPage(
        trials=[schemas.summary_of(row) for row in rows[: query.limit]],
        next=next_url(following) if following else None,
    )
    return link_next(answer(page), following)


def _by_number(query: schemas.TrialQuery) -> bool:
    return query.experiment is not None


def _page(session: Session, query: schemas.TrialQuery, place: int | None) -> list[TrialRow]:
    wanted = Wanted(
        experiment_id=query.experiment,
        owner_id=narrowed_owner_id(me()),
        owner=query.owner,
        kind=query.kind,
        state=query.state,
        model=query.model,
        dataset=query.dataset,
    )
    if query.experiment is not None:
        visible_experiment(session, query.experiment)
        found = trials_of_experiment(session, wanted, place, query.limit + 1)
    else:
        found = trials_page(session, wanted, place, query.limit + 1)
    return shown_trials(session, found)


@routes.get("/trials/<row:trial_id>", responses={200: schemas.Trial})
@allow("member")
def show_trial(path: TrialPath) -> Response:
    """Show a trial

    With its attempts, and why it waits while it does.
    """
    return shown(path.trial_id)


def shown(trial_id: int) -> Response:
    """The trial as it is. After a commit: why one waits is too long a look for a transaction."""
    with services().database.snapshot() as session:
        return answer(_detail(session, visible_trial(session, trial_id)))


def _detail(session: Session, row: TrialRow) -> schemas.Trial:
    waiting = None
    if row.state == TrialState.QUEUED:
        rules = Rules.of(services().settings)
        waiting = why_waiting(session, session.get_one(TrialModel, row.id), rules)
    found = reproduction_of(session, row.id, narrowed_owner_id(me()))
    return schemas.detail_of(row, shown_attempts(session, row), waiting, found)


@routes.patch(
    "/trials/<row:trial_id>",
    responses={200: turns.WhyWaiting},
    openapi_extensions=json_body(turns.TrialChangeBody),
)
@allow("member")
def change_trial(path: TrialPath) -> Response:
    """Change a waiting trial's priority

    By its owner; high by administrators alone.
    """
    body = small_body(turns.TrialChangeBody)

    def work(session: Session) -> None:
        row = visible_trial(session, path.trial_id)
        require_change(me(), row.owner_id, "trial")
        by = session.get_one(User, me().user_id)
        set_priority(session, session.get_one(TrialModel, row.id), body.priority, by)

    try:
        services().database.run(work)
    except NotAllowed as error:
        raise forbidden("A high priority is for administrators to give.") from error
    except NotPossible as error:
        raise ApiProblem(409, "not-possible", str(error)) from error
    services().bell.ring()
    with services().database.snapshot() as session:
        return answer(why(session, path.trial_id))


@routes.get("/trials/<row:trial_id>/events", responses={200: schemas.EventPage})
@allow("member", session=True)
def list_trial_events(path: TrialPath, query: schemas.EventQuery) -> Response:
    """List a trial's events

    Everything that happened to it, oldest first.
    """
    after = int(query.since) if query.since else 0
    with services().database.snapshot() as session:
        trial = visible_trial(session, path.trial_id)
        found = events_of_trial(session, path.trial_id, after, query.limit)
        rows = shown_events(trial, found)
    cursor = str(rows[-1].id if rows else after)
    return answer(schemas.EventPage(events=[schemas.event_of(row) for row in rows], cursor=cursor))


@routes.post("/trials/<row:trial_id>/cancel", responses={200: schemas.Trial})
@allow("member")
def cancel_a_trial(path: TrialPath) -> Response:
    """Cancel a trial

    A waiting trial never runs; a running one is told to stop. A finished one cannot be cancelled.
    """
    require_no_body()

    def work(session: Session) -> None:
        row = visible_trial(session, path.trial_id)
        require_change(me(), row.owner_id, "trial")
        trial = session.get_one(TrialModel, row.id)
        cancel_trial(session, trial, session.get_one(User, me().user_id))

    try:
        services().database.run(work)
    except NotPossible as error:
        raise ApiProblem(409, "not-possible", str(error)) from error
    services().bell.ring()
    return shown(path.trial_id)


@routes.post("/trials/<row:trial_id>/retry", responses={201: schemas.Retried})
@allow("member")
def retry_a_trial(path: TrialPath) -> Response:
    """Run a finished trial again

    As a new trial of the same experiment; the old one stays as it is.
    """
    require_no_body()

    def work(session: Session) -> int:
        row = visible_trial(session, path.trial_id)
        require_change(me(), row.owner_id, "trial")
        trial = session.get_one(TrialModel, row.id)
        limit = services().settings.max_queued_per_user
        return retry_trial(session, trial, session.get_one(User, me().user_id), limit)

    try:
        new_id = services().database.run(work)
    except NotPossible as error:
        raise ApiProblem(409, "not-possible", str(error)) from error
    except QueueFull as error:
        raise ApiProblem(429, "queue-full", str(error), headers={"Retry-After": "60"}) from error
    services().bell.ring()
    urls = schemas.trial_urls(new_id)
    response = answer(schemas.Retried(trial_id=new_id, retry_of=path.trial_id, **urls), 201)
    response.headers["Location"] = urls["url"]
    return response
