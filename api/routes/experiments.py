"""Experiments: submit, list, look at, cancel."""

from __future__ import annotations

from flask import Response
from sqlalchemy.orm import Session

from api.bodies import idempotency_key, require_no_body, spec_from_body
from api.context import services
from api.openapi import ApiBlueprint, spec_body
from api.paging import decode_cursor, encode_cursor, link_next, next_url
from api.planned import planned_for_me
from api.problems import ApiProblem
from api.responses import answer
from api.schemas import experiments as schemas
from api.schemas.base import ExperimentPath
from api.schemas.duplicates import SubmitQuery, shown_of
from api.schemas.trials import trial_urls
from api.security.identity import me
from api.security.roles import allow
from api.speed_ups import speed_ups_of
from api.visibility import (
    narrowed_owner_id,
    require_change,
    shown_trials,
    visible_experiment,
)
from db.commands import cancel_experiment
from db.duplicates import Duplicate, duplicates_of
from db.errors import IdempotencyConflict, NotPossible, QueueFull
from db.models import Experiment as ExperimentModel
from db.models import User
from db.reads.experiments import experiment_row, experiments_page
from db.reads.listing import Wanted
from db.reads.points import runs_of
from db.reads.trials import trials_of_experiment
from db.submissions import Submitted, replayed, submit
from labpool.points import points_of, repeats_seeds

routes = ApiBlueprint("experiments", __name__, "Submissions: a run, a sweep or a benchmark")


@routes.post(
    "/experiments",
    responses={201: schemas.Submitted, 200: schemas.Submitted},
    openapi_extensions=spec_body(),
)
@allow("member")
def submit_experiment(query: SubmitQuery) -> Response:
    """Submit a spec

    The body is a spec as JSON or YAML. With an Idempotency-Key header, sending the same spec again
    under the same key gives the first answer again and makes nothing new. What has a result
    already, in whoever's experiment you may see, is named under `duplicates` and runs all the same
    unless `if_duplicate` is `return`.
    """
    key = idempotency_key()
    spec, digest = spec_from_body()
    parts = services()

    def earlier(session: Session) -> Submitted | None:
        owner = session.get_one(User, me().user_id)
        return None if key is None else replayed(session, owner, key, digest)

    def work(session: Session) -> tuple[Submitted, schemas.Submitted]:
        owner = session.get_one(User, me().user_id)
        limit = parts.settings.max_queued_per_user
        done = known or submit(session, owner, planned, key, digest, limit)
        return done, _submitted(session, done, duplicates)

    duplicates: list[Duplicate] = []
    try:
        # What was acknowledged stays so, even if the catalog or a limit has changed since.
        with parts.database.snapshot() as session:
            known = earlier(session)
        if known is None:
            planned = planned_for_me(spec)
            with parts.database.snapshot() as session:
                duplicates = duplicates_of(session, planned, narrowed_owner_id(me()))
                if query.if_duplicate == "return" and len(duplicates) == len(planned.trials):
                    return answer(_reused(session, duplicates))
        done, model = parts.database.run(work)
    except IdempotencyConflict as error:
        raise ApiProblem(422, "idempotency-conflict", str(error)) from error
    except NotPossible as error:
        raise ApiProblem(409, "not-possible", str(error)) from error
    except QueueFull as error:
        raise ApiProblem(429, "queue-full", str(error), headers={"Retry-After": "60"}) from error
    parts.bell.ring()
    response = answer(model, 200 if done.replayed else 201)
    response.headers["Location"] = model.experiment.url
    if done.replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return response


def _reused(session: Session, duplicates: list[Duplicate]) -> schemas.Submitted:
    """The trials that have the results, in place of new ones."""
    row = experiment_row(session, duplicates[0].experiment_id)
    assert row is not None, "experiments are never deleted"
    return schemas.Submitted(
        experiment=schemas.detail_of(row),
        trials=[
            schemas.SubmittedTrial(id=one.trial_id, number=one.number, **trial_urls(one.trial_id))
            for one in duplicates
        ],
        duplicates=shown_of(duplicates),
        duplicate_count=len(duplicates),
        reused=True,
    )


def _submitted(
    session: Session, done: Submitted, duplicates: list[Duplicate]
) -> schemas.Submitted:  # fmt: skip
    row = experiment_row(session, done.experiment_id)
    assert row is not None, "a submission's experiment exists in its own transaction"
    return schemas.Submitted(
        experiment=schemas.detail_of(row),
        trials=[
            schemas.SubmittedTrial(id=row_id, number=number, **trial_urls(row_id))
            for number, row_id in enumerate(done.trial_ids)
        ],
        duplicates=shown_of(duplicates),
        duplicate_count=len(duplicates),
        reused=False,
    )


@routes.get("/experiments", responses={200: schemas.ExperimentPage})
@allow("member")
def list_experiments(query: schemas.ExperimentQuery) -> Response:
    """List experiments

    Newest first.
    """
    cursor = decode_cursor(query.cursor, (int,))
    wanted = Wanted(
        owner_id=narrowed_owner_id(me()),
        owner=query.owner,
        kind=query.kind,
        state=query.state,
        model=query.model,
        dataset=query.dataset,
    )
    with services().database.snapshot() as session:
        rows = experiments_page(
            session, wanted, int(cursor[0] or 0) if cursor else None, query.limit + 1
        )
    following = encode_cursor([rows[query.limit - 1].id]) if len(rows) > query.limit else None
    page = schemas.ExperimentPage(
        experiments=[schemas.summary_of(row) for row in rows[: query.limit]],
        next=next_url(following) if following else None,
    )
    return link_next(answer(page), following)


@routes.get(
    "/experiments/<row:experiment_id>",
    responses={200: schemas.Experiment},
)
@allow("member")
def show_experiment(path: ExperimentPath) -> Response:
    """Show an experiment"""
    with services().database.snapshot() as session:
        row = visible_experiment(session, path.experiment_id)
        wanted = Wanted(experiment_id=row.id)
        over_devices = "device" in row.spec.get("space", {})
        found = trials_of_experiment(session, wanted, None, 5000) if over_devices else []
        trials = shown_trials(session, found)
        runs = runs_of(session, row.id) if repeats_seeds(row.spec) else []
    return answer(schemas.detail_of(row, speed_ups_of(trials), points_of(runs)))


@routes.post("/experiments/<row:experiment_id>/cancel", responses={200: schemas.ChangedExperiment})
@allow("member")
def cancel_an_experiment(path: ExperimentPath) -> Response:
    """Cancel an experiment

    Waiting trials never run; running ones are told to stop. Finished ones stay as they are.
    """
    require_no_body()

    def work(session: Session) -> schemas.ChangedExperiment:
        row = visible_experiment(session, path.experiment_id)
        require_change(me(), row.owner_id, "experiment")
        experiment = session.get_one(ExperimentModel, row.id)
        changed = cancel_experiment(session, experiment, session.get_one(User, me().user_id))
        session.flush()
        after = experiment_row(session, row.id)
        assert after is not None, "experiments are never deleted"
        return schemas.changed_of(after, changed)

    model = services().database.run(work)
    services().bell.ring()
    return answer(model)
