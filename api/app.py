"""The application factory."""

from __future__ import annotations

from functools import partial

from flask import Flask
from werkzeug.routing import IntegerConverter, Map

from api import context, pages, problems, sent, uploading
from api.openapi import Api
from api.routes import BLUEPRINTS
from api.security import guard, roles
from api.stream.hub import Hub
from api.stream.reader import Reader
from db.artifacts import FolderStore
from db.bell import Bell
from db.engine import Database
from labpool.catalog import Catalog
from labpool.settings import Settings, load_settings
from labpool.version import version


class RowConverter(IntegerConverter):
    """The number of a row: 1 and up, as far as the databases count."""

    def __init__(self, map: Map) -> None:  # noqa: A002 - werkzeug's name
        super().__init__(map, min=1, max=2**63 - 1)


def create_app(
    settings: Settings | None = None,
    *,
    database: Database | None = None,
    catalog: Catalog | None = None,
    bell: Bell | None = None,
) -> Flask:
    """The API and the pages over one database.

    What is not given is made from `settings` (by default those of the environment). The database
    must have the schema of this version. Raises UndeclaredRoute when a view has no role, and
    CatalogError when the catalog cannot be read.
    """
    settings = settings or load_settings()
    database = database or Database(settings.database)
    app = Api("api", version(), static_folder=None, template_folder="templates")
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.config["MAX_FORM_MEMORY_SIZE"] = settings.max_body_bytes
    app.config["TRAP_HTTP_EXCEPTIONS"] = False
    app.url_map.converters["row"] = RowConverter
    context.attach(
        app,
        context.Services(
            settings=settings,
            database=database,
            catalog=catalog or Catalog.load(settings.catalog_roots),
            bell=bell or Bell(settings.broker),
            store=FolderStore(settings.artifacts_dir),
            hub=Hub(partial(Reader, database), settings.max_streams),
        ),
    )
    problems.install(app)
    uploading.install(app)
    sent.install(app, settings)
    guard.install(app, settings)
    for blueprint in BLUEPRINTS:
        app.register_api(blueprint)
    pages.install(app)
    roles.require_declarations(app)
    return app
