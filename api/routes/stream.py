"""Changes as they happen, by server-sent events."""

from __future__ import annotations

import re

from flask import Response, request
from pydantic import Field
from sqlalchemy.orm import Session

from api.context import services
from api.openapi import ApiBlueprint
from api.problems import ApiProblem
from api.schemas.base import Query
from api.security.identity import me
from api.security.roles import allow
from api.stream.hub import Full
from api.stream.messages import disconnection, messages
from api.stream.topics import Topics, parse_topics
from api.visibility import narrowed_owner_id, visible_experiment, visible_trial
from db.reads.changes import Position, touched_since

routes = ApiBlueprint("stream", __name__, "Changes as they happen")

RETRY_AFTER_S = 30
_POSITION = re.compile(r"([0-9]{1,18})\.([0-9]{1,18})")
_CONTENT = {
    "description": "Server-sent events: `hello`, `changed` with the topics that have news, `end`. "
    "Each id may be sent back as Last-Event-ID.",
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}


class StreamQuery(Query):
    topics: str = Field(
        max_length=2000,
        description="Separated by commas: experiment:12, trial:57, experiments, boards, pool.",
    )


@routes.get("/stream", responses={200: _CONTENT})
@allow("member", session=True)
def open_stream(query: StreamQuery) -> Response:
    """Hear of changes

    Says what changed, not how: read it again where you read it first. Ends after some minutes; a
    client opens it again with Last-Event-ID and hears at once of what it missed. 503 with
    Retry-After when too many are open: ask every few seconds instead.
    """
    topics = parse_topics(query.topics, narrowed_owner_id(me()))
    with services().database.snapshot() as session:
        for row_id in topics.experiments:
            visible_experiment(session, row_id)
        for row_id in topics.trials:
            visible_trial(session, row_id)
    if request.method == "HEAD":
        return _headed(Response())
    hub, database = services().hub, services().database
    try:
        listener = hub.subscribe(topics, me().token_id)
    except Full:
        raise ApiProblem(
            503,
            "streams-full",
            f"As many streams are open as may be. Ask every {RETRY_AFTER_S} s instead.",
            headers={"Retry-After": str(RETRY_AFTER_S)},
        ) from None
    seen = _position(request.headers.get("Last-Event-ID", ""))

    def missed() -> frozenset[str]:
        if seen is None:
            return frozenset()
        with database.snapshot() as session:
            return _missed(session, topics, seen)

    lines = messages(
        hub,
        listener,
        missed,
        services().settings.stream_lifetime_s,
        disconnection(request.environ.get("gunicorn.socket")),
    )
    response = _headed(Response(lines))
    # A generator that was never begun runs no `finally`; this is called in any case.
    response.call_on_close(listener.close)
    return response


def _headed(response: Response) -> Response:
    response.content_type = "text/event-stream; charset=utf-8"
    response.headers["Cache-Control"] = "no-store"
    # A proxy that gathers an answer before it passes it on would gather this one for ever.
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _position(text: str) -> Position | None:
    matched = _POSITION.fullmatch(text)
    return Position(int(matched[1]), int(matched[2])) if matched else None


def _missed(session: Session, topics: Topics, seen: Position) -> frozenset[str]:
    trials, experiments, anything = touched_since(session, seen, topics.trials, topics.experiments)
    found = {f"trial:{row_id}" for row_id in trials}
    found |= {f"experiment:{row_id}" for row_id in experiments}
    return frozenset(found | (topics.general if anything else frozenset()))
