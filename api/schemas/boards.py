"""Boards as the API shows them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from api.schemas.base import Instant, JsonObject, Model, Query
from db.boards import BoardRow
from labpool.catalog import BoardEntry


class Board(Model):
    """A leaderboard: which results it compares, and by what."""

    name: str
    title: str
    summary: str
    kind: Literal["train", "benchmark"]
    metric: str
    unit: str
    direction: Literal["maximize", "minimize"]
    rule: Literal["best", "last", "all"]
    where: JsonObject
    url: str
    page_url: str


class BoardList(Model):
    boards: list[Board]


class Place(Model):
    """One result on a board; equal values share a rank."""

    rank: int
    value: float
    user: str
    trial_id: int
    trial_number: int
    experiment_id: int
    experiment_name: str | None
    model: str = Field(description="Model, or kernel of a benchmark.")
    dataset: str | None
    varied: JsonObject
    spec: JsonObject = Field(description="The resolved spec.")
    metrics: JsonObject
    device: str = Field(description="cpu or gpu: where it ran.")
    seconds: float = Field(description="Slot-seconds.")
    seed: int
    finished_at: Instant
    trial_url: str
    trial_page_url: str


class Ranking(Model):
    board: Board
    rows: list[Place]


class BoardPath(BaseModel):
    name: str = Field(max_length=63)


class BoardQuery(Query):
    limit: int = Field(default=100, ge=1, le=500)


def board_of(entry: BoardEntry) -> Board:
    return Board(
        name=entry.name,
        title=entry.title,
        summary=entry.summary,
        kind=entry.kind,
        metric=entry.metric,
        unit=entry.unit,
        direction=entry.direction,
        rule=entry.rule,
        where=dict(entry.where),
        url=f"/api/v1/boards/{entry.name}",
        page_url=f"/boards/{entry.name}",
    )


def place_of(row: BoardRow) -> Place:
    return Place.model_validate(
        {
            "rank": row.rank,
            "value": row.value,
            "user": row.user,
            "trial_id": row.trial_id,
            "trial_number": row.trial_number,
            "experiment_id": row.experiment_id,
            "experiment_name": row.experiment_name,
            "model": row.code_name,
            "dataset": row.data_name,
            "varied": dict(row.varied),
            "spec": dict(row.spec),
            "metrics": dict(row.metrics),
            "device": row.device,
            "seconds": row.seconds,
            "seed": row.seed,
            "finished_at": row.finished_at,
            "trial_url": f"/api/v1/trials/{row.trial_id}",
            "trial_page_url": f"/trials/{row.trial_id}",
        }
    )
