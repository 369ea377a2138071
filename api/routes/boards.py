"""Leaderboards."""

from __future__ import annotations

from flask import Response

from api.board_csv import board_csv
from api.context import services
from api.openapi import ApiBlueprint
from api.problems import not_found
from api.responses import answer
from api.schemas import boards as schemas
from api.security.identity import me
from api.security.roles import allow
from api.visibility import narrowed_owner_id
from db.boards import BoardRow, board_rows
from labpool.catalog import BoardEntry

routes = ApiBlueprint("boards", __name__, "Leaderboards over verified results")

_CSV = {
    "description": "The board's rows",
    "content": {"text/csv": {"schema": {"type": "string"}}},
}


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
    entry, rows = _ranked(path.name, query.limit)
    ranking = schemas.Ranking(
        board=schemas.board_of(entry), rows=[schemas.place_of(row) for row in rows]
    )
    return answer(ranking)


@routes.get("/boards/<name>/csv", responses={200: _CSV})
@allow("member", session=True)
def download_board(path: schemas.BoardPath, query: schemas.BoardQuery) -> Response:
    """Download a board as CSV

    A line a row, best first, then its baselines.
    """
    entry, rows = _ranked(path.name, query.limit)
    response = Response(board_csv(entry, rows), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{entry.name}.csv"'
    return response


def _ranked(name: str, limit: int) -> tuple[BoardEntry, list[BoardRow]]:
    entry = services().catalog.boards.get(name)
    if entry is None:
        raise not_found("board")
    with services().database.snapshot() as session:
        return entry, board_rows(session, entry, limit, narrowed_owner_id(me()))
