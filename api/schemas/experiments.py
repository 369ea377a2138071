"""Experiments as the API shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Literal

from pydantic import Field

from api.schemas.base import Body, Instant, JsonObject, Model, Query
from api.schemas.duplicates import Duplicate
from api.speed_ups import SpeedUp as Gain
from db.reads.experiments import ExperimentRow
from db.states import TrialState
from labpool.points import Point as PointOfSeeds

Kind = Literal["train", "sweep", "benchmark"]


class Search(Model):
    """A sweep that decides as it goes."""

    halt: Literal["paused", "stopped"] | None = Field(
        description="What its owner did with it; null while it goes on, or has come to its end."
    )
    rungs: dict[int, int] = Field(description="Trials by the rung that each is at, or comes to.")


class ExperimentSummary(Model):
    """One submission with the states of its trials counted."""

    id: int
    name: str | None
    kind: Kind
    owner: str
    tags: list[str]
    created_at: Instant
    trial_count: int
    finished_count: int
    finished: bool = Field(description="Every trial is in a final state.")
    states: dict[TrialState, int] = Field(description="Trials by state; absent means none.")
    search: Search | None = Field(description="Null unless a search goes on as trials end.")
    asked: dict[Literal["held", "pausing", "stopping", "being pruned", "cancelling"], int] = Field(
        description="Of those that wait or run, what was asked of them; absent means none."
    )
    url: str = Field(description="This experiment in the API.")
    page_url: str = Field(description="This experiment's page.")


class SpeedUp(Model):
    """Two trials that differ in their device alone, both done."""

    metric: str = Field(description="What is compared: median_ms or images_per_second.")
    cpu: float
    gpu: float
    ratio: float = Field(description="How many times as fast the GPU is.")
    cpu_trial: int
    gpu_trial: int
    transfer_ms: float | None = Field(
        default=None,
        description="To bring a kernel's inputs to the GPU and its output back, in ms; gpu and "
        "ratio leave it out. Null where it was not measured.",
    )
    ratio_with_transfer: float | None = Field(
        default=None, description="How many times as fast the GPU is with the transfer in each run."
    )


class Spread(Model):
    """A metric over seeds. With one run there is no deviation and no interval."""

    n: int = Field(description="Seeds that have a result.")
    mean: float
    deviation: float | None = Field(description="Standard deviation of one run (n - 1).")
    half_width: float | None = Field(
        description="The 95 % interval of the mean is mean ± this (Student's t)."
    )


class Point(Model):
    """Trials that differ in their seed alone."""

    varied: JsonObject = Field(description="What sets the point apart from the others.")
    trial_ids: list[int]
    seeds: int = Field(description="Seeds asked for, with or without a result.")
    metrics: dict[str, Spread]


class Experiment(ExperimentSummary):
    """One submission with its spec."""

    notes: str
    spec: JsonObject = Field(description="The spec as it was understood.")
    trials_url: str
    speed_ups: list[SpeedUp] = Field(
        default=[], description="Only when one experiment is shown: the GPU against the CPU."
    )
    points: list[Point] = Field(
        description="Means over seeds, where the spec asks for several: see `repeat`."
    )


class ChangedExperiment(Experiment):
    """An experiment after something was asked of all its trials."""

    changed: int = Field(description="Trials that it applied to; none of those that have ended.")


class MoreTrialsBody(Body):
    """How many trials a sweep is to have besides those that it has."""

    trials: int = Field(ge=1, le=100_000, description="How many more.")


class ExperimentPage(Model):
    """Newest first. `next` is the address of the next page, also in the Link header."""

    experiments: list[ExperimentSummary]
    next: str | None


class ExperimentQuery(Query):
    owner: str | None = Field(default=None, max_length=200, description="Name of a user.")
    kind: Kind | None = None
    state: TrialState | None = Field(default=None, description="Has a trial in this state.")
    model: str | None = Field(
        default=None, max_length=200, description="Has a trial of this model or kernel."
    )
    dataset: str | None = Field(
        default=None, max_length=200, description="Has a trial on this data set."
    )
    limit: int = Field(default=50, ge=1, le=200)
    cursor: str | None = Field(default=None, max_length=500, description="From a `next` address.")


class SubmittedTrial(Model):
    id: int
    number: int
    url: str
    page_url: str


class Submitted(Model):
    """What a submission made."""

    experiment: Experiment
    trials: list[SubmittedTrial]
    duplicates: list[Duplicate] = Field(
        description="Earlier results of the same: the first 50. Empty when a request is repeated."
    )
    duplicate_count: int
    reused: bool = Field(
        description="Nothing was stored: the trials are those that have the results, the "
        "experiment is the first one's."
    )


def summary_of(row: ExperimentRow) -> ExperimentSummary:
    return ExperimentSummary.model_validate(_summary_fields(row))


def detail_of(
    row: ExperimentRow, speed_ups: Sequence[Gain] = (), points: Sequence[PointOfSeeds] = ()
) -> Experiment:
    found = [asdict(one) for one in speed_ups]
    return Experiment.model_validate({**_detail_fields(row, points), "speed_ups": found})


def changed_of(row: ExperimentRow, changed: int) -> ChangedExperiment:
    return ChangedExperiment.model_validate({**_detail_fields(row), "changed": changed})


def _detail_fields(row: ExperimentRow, points: Sequence[PointOfSeeds] = ()) -> JsonObject:
    return {
        **_summary_fields(row),
        "notes": row.notes,
        "spec": dict(row.spec),
        "trials_url": f"/api/v1/trials?experiment={row.id}",
        "points": [asdict(point) for point in points],
    }


def _summary_fields(row: ExperimentRow) -> JsonObject:
    return {
        "id": row.id,
        "name": row.name,
        "kind": row.kind,
        "owner": row.owner,
        "tags": list(row.tags),
        "created_at": row.created_at,
        "trial_count": row.trial_count,
        "finished_count": row.finished_count,
        "finished": row.finished,
        "states": dict(row.counts),
        "asked": dict(row.asked),
        "search": {"halt": row.search_halt, "rungs": dict(row.rungs)} if row.rungs else None,
        "url": f"/api/v1/experiments/{row.id}",
        "page_url": f"/experiments/{row.id}",
    }
