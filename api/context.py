"""What a request may use: settings, database, catalog, bell and artifact store."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask, current_app

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


def attach(app: Flask, services: Services) -> None:
    app.extensions[_KEY] = services


def services() -> Services:
    """The current application's parts."""
    found = current_app.extensions[_KEY]
    assert isinstance(found, Services)
    return found
