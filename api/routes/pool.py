"""The pool: workers, slots, and the queue with its reasons."""

from __future__ import annotations

from flask import Response

from api.context import services
from api.openapi import ApiBlueprint
from api.paging import decode_cursor, encode_cursor, link_next, next_url
from api.responses import answer
from api.schemas import pool as schemas
from api.schemas.trials import summary_of
from api.security.identity import me
from api.security.roles import allow
from api.visibility import narrowed_owner_id, shown_by_id
from db.fairness import Rules
from db.quarantine import in_force
from db.queue_order import read_line
from db.reads.pool import queue_length, queue_page, workers
from db.reads.trials import rows_by_id
from db.waiting import reasons

routes = ApiBlueprint("pool", __name__, "Workers, slots and the queue")


@routes.get("/pool", responses={200: schemas.Pool})
@allow("member")
def show_pool() -> Response:
    """Show the workers

    With their slots and what each of them runs.
    """
    with services().database.snapshot() as session:
        rows = workers(session)
        pool = schemas.pool_of(
            rows, queue_length(session), narrowed_owner_id(me()), in_force(session)
        )
    return answer(pool)


@routes.get("/pool/queue", responses={200: schemas.QueuePage})
@allow("member")
def show_queue(query: schemas.QueueQuery) -> Response:
    """Show the queue

    Waiting trials in the order in which free slots take them, each with the reason it waits.
    """
    cursor = decode_cursor(query.cursor, (int, int))
    after = (int(cursor[0] or 0), int(cursor[1] or 0)) if cursor else None
    with services().database.snapshot() as session:
        rules = Rules.of(services().settings)
        line = read_line(session, rules)
        places = queue_page(line, narrowed_owner_id(me()), after, query.limit + 1)
        shown = places[: query.limit]
        ids = [trial_id for _, trial_id in shown]
        waiting = reasons(session, ids, rules, line)
        rows = shown_by_id(session, rows_by_id(session, ids))
    queue = [
        schemas.Queued(trial=summary_of(rows[trial_id]), waiting=waiting.get(trial_id, ""))
        for trial_id in ids
    ]
    following = encode_cursor(shown[-1]) if len(places) > query.limit else None
    page = schemas.QueuePage(queue=queue, next=next_url(following) if following else None)
    return link_next(answer(page), following)
