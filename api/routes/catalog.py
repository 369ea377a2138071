"""The catalog: models, data sets, kernels and boards."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Response

from api.context import services
from api.openapi import ApiBlueprint
from api.problems import not_found
from api.responses import answer
from api.schemas import catalog as schemas
from api.security.roles import allow
from labpool.catalog import Catalog, Entry

routes = ApiBlueprint("catalog", __name__, "What can be run")


@routes.get("/catalog", responses={200: schemas.CatalogListing})
@allow("member", session=True)
def show_catalog() -> Response:
    """Show the catalog"""
    catalog = services().catalog
    listing = schemas.CatalogListing(
        models=schemas.entries_of(catalog.models),
        datasets=schemas.entries_of(catalog.datasets),
        kernels=schemas.entries_of(catalog.kernels),
        boards=schemas.entries_of(catalog.boards),
    )
    return answer(listing)


@routes.get("/catalog/<room>/<name>", responses={200: schemas.CatalogEntry})
@allow("member", session=True)
def show_catalog_entry(path: schemas.CatalogPath) -> Response:
    """Show one entry of the catalog"""
    entry = _room(services().catalog, path.room).get(path.name)
    if entry is None:
        raise not_found("entry of the catalog")
    return answer(schemas.entry_of(entry))


def _room(catalog: Catalog, room: schemas.Room) -> Mapping[str, Entry]:
    rooms: dict[str, Mapping[str, Entry]] = {
        "models": catalog.models,
        "datasets": catalog.datasets,
        "kernels": catalog.kernels,
        "boards": catalog.boards,
    }
    return rooms[room]
