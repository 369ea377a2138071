"""Leaderboards."""

from __future__ import annotations

from flask import Response

from api.context import services
from api.openapi import ApiBlueprint
from api.problems import not_found
from api.responses import answer
from api.schemas import boards as schemas
from api.security.identity import me
from api.security.roles import allow
from api.visibility import narrowed_owner_id
from db.boards import board_rows

routes = ApiBlueprint("boards", __name__, "Leaderboards over verified results")


@routes.get("/boards", responses={200: schemas.BoardList})
@allow("member")
def list_boards() -> Response:
    """List the boards"""
    entries = services().catalog.boards.values()
    return answer(schemas.BoardList(boards=[schemas.board_of(entry) for entry in entries]))


@routes.get("/boards/<name>", responses={200: schemas.Ranking})
@allow("member")
def show_board(path: schemas.BoardPath, query: schemas.BoardQuery) -> Response:
    """Show a board

    Best first. Where results are private, only your own are ranked.
    """
    entry = services().catalog.boards.get(path.name)
    if entry is None:
        raise not_found("board")
    with services().database.snapshot() as session:
        rows = board_rows(session, entry, query.limit, narrowed_owner_id(me()))
    ranking = schemas.Ranking(
        board=schemas.board_of(entry), rows=[schemas.place_of(row) for row in rows]
    )
    return answer(ranking)
