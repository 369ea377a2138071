"""What a request may use: settings, database, catalog, bell and artifact store."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask, current_app

from api.stream.hub import Hub
from db.artifacts import ArtifactStore
from db.bell import Bell
from db.engine import Database
from labpool.catalog import Catalog
from labpool.settings import Settings

_KEY = "labpool"


@dataclass(frozen=True, slots=True)
class Services:
    """The parts one application was made with; shared by its threads."""

    settings: Settings
    database: Database
    catalog: Catalog
    bell: Bell
    store: ArtifactStore
    hub: Hub


def attach(app: Flask, services: Services) -> None:
    app.extensions[_KEY] = services


def services() -> Services:
    """The current application's parts."""
    return services_of(current_app)


def services_of(app: Flask) -> Services:
    """The parts that `app` was made with."""
    found = app.extensions[_KEY]
    assert isinstance(found, Services)
    return found
