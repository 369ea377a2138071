"""The catalog as the API shows it: what can be run, and what each part lets one set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, Field

from api.schemas.base import JsonObject, Model
from labpool.catalog import Entry

Room = Literal["models", "datasets", "kernels", "boards"]


class CatalogEntry(Model):
    """One model, data set, kernel or board."""

    name: str
    title: str
    summary: str
    slide: str = Field(description="Where the course speaks of it.")
    digest: str = Field(description="sha256 of the files that make it up.")
    details: JsonObject = Field(description="What its TOML says, with types, bounds and defaults.")


class CatalogListing(Model):
    """Everything that can be run."""

    models: list[CatalogEntry]
    datasets: list[CatalogEntry]
    kernels: list[CatalogEntry]
    boards: list[CatalogEntry]


class CatalogPath(BaseModel):
    room: Room
    name: str = Field(max_length=63)


def entry_of(entry: Entry) -> CatalogEntry:
    common = {"name", "title", "summary", "slide", "digest"}
    return CatalogEntry(
        name=entry.name,
        title=entry.title,
        summary=entry.summary,
        slide=entry.slide,
        digest=entry.digest,
        # Paths of the server are nobody's business.
        details=entry.model_dump(mode="json", exclude={*common, "path"}),
    )


def entries_of(entries: Mapping[str, Entry]) -> list[CatalogEntry]:
    return [entry_of(entry) for entry in entries.values()]
