"""The list of experiments."""

from __future__ import annotations

from typing import get_args
from urllib.parse import urlencode

from flask import Blueprint, Response, request

from api.context import services
from api.pages.filters import STATE_ORDER
from api.pages.frame import page
from api.paging import decode_cursor, encode_cursor
from api.schemas.experiments import Kind
from api.security.identity import me
from api.security.roles import allow
from api.visibility import narrowed_owner_id
from db.reads.experiments import ExperimentFilter, experiments_page

pages = Blueprint("experiment_list_pages", __name__)

_EXPERIMENTS_PER_PAGE = 50
_KINDS: tuple[str, ...] = get_args(Kind)


@pages.get("/experiments")
@allow("member")
def list_experiments() -> Response:
    filters = {name: _argument(name) for name in ("owner", "kind", "state", "model", "dataset")}
    if filters["kind"] not in _KINDS:
        filters["kind"] = None
    if filters["state"] not in STATE_ORDER:
        filters["state"] = None
    cursor = decode_cursor(request.args.get("cursor"), (int,))
    wanted = ExperimentFilter(owner_id=narrowed_owner_id(me()), **filters)
    with services().database.snapshot() as session:
        rows = experiments_page(
            session, wanted, int(cursor[0] or 0) if cursor else None, _EXPERIMENTS_PER_PAGE + 1
        )
    shown = rows[:_EXPERIMENTS_PER_PAGE]
    more = len(rows) > len(shown)
    catalog = services().catalog
    return page(
        "experiments.html",
        section="Experiments",
        title="Experiments",
        rows=shown,
        filters=filters,
        filtered=any(filters.values()),
        kinds=_KINDS,
        states=STATE_ORDER,
        models=[*catalog.models, *catalog.kernels],
        datasets=list(catalog.datasets),
        next_url=_with_cursor(encode_cursor([shown[-1].id])) if more else None,
        first_url=_with_cursor(None) if cursor else None,
    )


def _argument(name: str) -> str | None:
    value = request.args.get(name, "").strip()
    return value[:200] if value and "\0" not in value else None


def _with_cursor(cursor: str | None) -> str:
    pairs = [
        (name, value)
        for name, value in request.args.items(multi=True)
        if name not in ("cursor", "fragment") and value
    ]
    if cursor is not None:
        pairs.append(("cursor", cursor))
    return f"{request.path}?{urlencode(pairs)}" if pairs else request.path
