"""The pool: who has which slot, and the queue with the reason each trial waits."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Blueprint, Response, request

from api.context import services
from api.pages.frame import page
from api.paging import decode_cursor, encode_cursor
from api.schemas.pool import pool_of
from api.security.identity import me
from api.security.roles import allow
from api.visibility import narrowed_owner_id
from db.models import Trial
from db.reads.pool import queue_length, queue_page, workers
from db.reads.trials import rows_by_id
from db.waiting import Waiting

pages = Blueprint("pool_pages", __name__)

_PER_PAGE = 50


@pages.get("/pool")
@allow("member")
def show_pool() -> Response:
    owner_id = narrowed_owner_id(me())
    cursor = decode_cursor(request.args.get("cursor"), (int, int))
    after = (int(cursor[0] or 0), int(cursor[1] or 0)) if cursor else None
    with services().database.snapshot() as session:
        pool = pool_of(workers(session), queue_length(session), owner_id)
        places = queue_page(session, owner_id, after, _PER_PAGE + 1)
        shown = places[:_PER_PAGE]
        reasons = Waiting(session)
        rows = rows_by_id(session, [trial_id for _, trial_id in shown])
        waiting = {row_id: reasons.why(session.get_one(Trial, row_id)) for row_id in rows}
    more = len(places) > len(shown)
    following = f"/pool?{urlencode({'cursor': encode_cursor(shown[-1])})}" if more else None
    return page(
        "pool.html",
        section="Pool",
        title="Pool",
        pool=pool,
        queue=[rows[row_id] for _, row_id in shown],
        waiting=waiting,
        next_url=following,
        first_url="/pool" if cursor else None,
    )
