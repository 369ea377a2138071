"""Boards as the API shows them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal

from pydantic import BaseModel, Field

from api.schemas.base import Instant, JsonObject, Model, Query
from db.boards import BoardRow
from labpool.catalog import BoardEntry


class Baseline(Model):
    """A value to compare with; it does not compete."""

    name: str
    value: float
    source: str


class Band(Model):
    """The places that a row may have: those of rows that cannot be told apart overlap."""

    first: int
    last: int
    half_width: float = Field(description="Of the interval that the band was found with.")
    borrowed: bool = Field(description="One run: the spread is that of the board's other rows.")


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
    device: str | None = Field(description="Only results made on it; null for any.")
    per: list[str] = Field(
        description="It has one row for each combination of these, the best of all that was tried; "
        "empty for a board of configurations."
    )
    window: JsonObject = Field(description="since, until (days, UTC) and days back; null for all.")
    baselines: list[Baseline]
    url: str
    page_url: str


class BoardList(Model):
    boards: list[Board]


class Place(Model):
    """One row of a board: runs that differ in their seed alone. Equal values share a rank."""

    rank: int = Field(description="By value alone.")
    band: Band | None = Field(description="Null while no row of the board has several seeds.")
    value: float = Field(description="The mean over the seeds.")
    half_width: float | None = Field(
        description="The 95 % interval is value ± this; null for one seed: unknown."
    )
    deviation: float | None
    seeds: list[int]
    trial_ids: list[int] = Field(description="Every run, also a seed's that do not count.")
    user: str
    trial_id: int
    trial_number: int
    experiment_id: int
    experiment_name: str | None
    model: str = Field(description="Model, or kernel of a benchmark.")
    own_source: bool = Field(description="A kernel of the user's own, not the catalog's.")
    dataset: str | None
    varied: JsonObject
    spec: JsonObject = Field(description="The resolved spec.")
    metrics: JsonObject
    device: str = Field(description="cpu or gpu: where it ran.")
    seconds: float = Field(
        description="Slot-seconds charged for all the runs; failed attempts of them included."
    )
    train_seconds: float | None = Field(description="Training in all the runs.")
    tried: int = Field(description="Configurations that it is the best of; 1 where each is a row.")
    device_name: str | None = Field(description="What the device is called, where `per` is said.")
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
        device=entry.device,
        per=list(entry.per),
        window=entry.window.model_dump(mode="json"),
        baselines=[Baseline(**baseline.model_dump()) for baseline in entry.baselines],
        url=f"/api/v1/boards/{entry.name}",
        page_url=f"/boards/{entry.name}",
    )


def place_of(row: BoardRow) -> Place:
    return Place.model_validate(
        {
            "rank": row.rank,
            "band": asdict(row.band) if row.band else None,
            "value": row.value,
            "half_width": row.spread.half_width,
            "deviation": row.spread.deviation,
            "seeds": list(row.seeds),
            "trial_ids": list(row.trial_ids),
            "user": row.user,
            "trial_id": row.trial_id,
            "trial_number": row.trial_number,
            "experiment_id": row.experiment_id,
            "experiment_name": row.experiment_name,
            "model": row.code_name,
            "own_source": row.own_source,
            "dataset": row.data_name,
            "varied": dict(row.varied),
            "spec": dict(row.spec),
            "metrics": dict(row.metrics),
            "device": row.device,
            "seconds": row.seconds,
            "train_seconds": row.train_seconds,
            "tried": row.tried,
            "device_name": row.device_name,
            "seed": row.seed,
            "finished_at": row.finished_at,
            "trial_url": f"/api/v1/trials/{row.trial_id}",
            "trial_page_url": f"/trials/{row.trial_id}",
        }
    )
