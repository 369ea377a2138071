"""Trials, their events and attempts as the API shows them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal

from pydantic import Field

from api.schemas.base import Instant, JsonObject, Model, Query, RowPathId
from db.reads.events import EventRow
from db.reads.files import AttemptRow
from db.reads.trials import TrialRow
from db.states import Outcome, TrialState
from labpool.reproduction import Reproduction as ReproductionFound

Kind = Literal["train", "benchmark"]
Device = Literal["any", "cpu", "gpu"]


class Progress(Model):
    """How far a trial is, in its own unit."""

    done: float
    total: float
    unit: str = Field(description="epoch or sample")


class Rung(Model):
    """How far a trial of a searched sweep has come."""

    number: int = Field(description="From 0: the rung that it is at or on its way to.")
    epochs: int | None = Field(description="Epoch at which it halts there; null at the top.")
    reached: bool = Field(description="It is paused there, and its search decides what becomes.")


class TrialSummary(Model):
    """One run of one configuration."""

    id: int
    number: int = Field(description="Its number within the experiment, from 0.")
    experiment_id: int
    experiment_name: str | None
    owner: str
    kind: Kind
    state: TrialState
    model: str = Field(description="Name of the catalog's model, or kernel of a benchmark.")
    dataset: str | None
    device: Device = Field(description="What the spec asks for.")
    ran_on: str | None = Field(description="cpu or gpu, once there is a result.")
    seed: int
    varied: JsonObject = Field(description="What differs between the trials of a sweep.")
    progress: Progress | None
    metrics: JsonObject = Field(description="The result's metrics; empty before there is one.")
    seconds: float | None = Field(description="Time it ran, or has run so far.")
    reason_kind: str | None
    reason: str | None = Field(description="Why it failed, was lost or was cancelled.")
    cancel_requested: bool
    wish: Literal["pause", "stop", "prune"] | None = Field(
        description="What a running trial does at the end of its epoch; prune: at once."
    )
    rung: Rung | None = Field(
        description="Null unless its sweep's search lets it go on or ends it."
    )
    held: bool = Field(description="Waiting, but not to be run before it is resumed.")
    ended_early: bool
    created_at: Instant
    started_at: Instant | None
    finished_at: Instant | None
    url: str
    page_url: str


class Attempt(Model):
    """One claim of the trial by a slot; numbered by its fence."""

    fence: int
    place: str
    started_at: Instant
    ended_at: Instant | None
    outcome: Outcome | None
    reason_kind: str | None
    reason: str | None
    resumed_epoch: int | None
    slot_seconds: float | None
    environment: JsonObject = Field(description="Device, threads and versions it ran with.")


class ComparedMetric(Model):
    """A metric of both runs; within, where the second lies between low and high."""

    name: str
    first: float | None
    again: float | None
    low: float | None
    high: float | None
    within: bool


class Reproduction(Model):
    """How a trial compares with the one that it ran again."""

    verdict: Literal["identical", "reproduced", "differs", "open"] = Field(
        description="identical: the same weights, bit by bit; reproduced: every metric within the "
        "95 % interval for one more run; open: no result yet."
    )
    seeds: int = Field(description="Seeds that the intervals are from; with one there are none.")
    metrics: list[ComparedMetric]
    reasons: list[str] = Field(description="What differs and may be why: device, versions, ...")


class RerunQuery(Query):
    code: Literal["same", "today"] = Field(
        default="same", description="today: with the catalog's code as it is now, if it changed."
    )


class Rerun(Model):
    """The trial that runs another one again, in an experiment of its own."""

    trial_id: int
    rerun_of: int
    experiment_id: int
    changed: list[str] = Field(description="What of the catalog has changed since.")
    url: str
    page_url: str


class Trial(TrialSummary):
    """One trial with everything but its curves and files."""

    spec: JsonObject = Field(description="The resolved spec: every default filled in.")
    summary: JsonObject
    parent_id: int | None = Field(description="The trial that this one runs again.")
    fence: int
    losses: int
    code_digest: str = Field(description="sha256 of the catalog entry it was made from.")
    data_digest: str | None
    trained_together: int | None = Field(
        description="How many trials, itself among them, its latest attempt trains as one program; "
        "null for one that is alone."
    )
    waiting: str | None = Field(description="Why it waits, while it does.")
    withheld: str | None = Field(
        description="Why you get none of its files, log and predictions; null where you do."
    )
    attempts: list[Attempt]
    reproduction: Reproduction | None = Field(description="Null unless it runs another again.")


class TrialPage(Model):
    """Newest first, or by number within one experiment."""

    trials: list[TrialSummary]
    next: str | None


class TrialQuery(Query):
    experiment: RowPathId | None = Field(
        default=None, description="Only this experiment's, by number."
    )
    owner: str | None = Field(default=None, max_length=200, description="Name of a user.")
    kind: Kind | None = None
    state: TrialState | None = None
    model: str | None = Field(default=None, max_length=200, description="Model or kernel.")
    dataset: str | None = Field(default=None, max_length=200)
    limit: int = Field(default=50, ge=1, le=200)
    cursor: str | None = Field(default=None, max_length=500, description="From a `next` address.")


class Event(Model):
    id: int
    at: Instant
    kind: str
    fence: int | None
    from_state: TrialState | None
    to_state: TrialState | None
    actor: str
    data: JsonObject


class EventPage(Model):
    """Oldest first. Ask again with `since=<cursor>` for what came later."""

    events: list[Event]
    cursor: str


class EventQuery(Query):
    since: str | None = Field(
        default=None, pattern=r"^[0-9]{1,18}$", description="The cursor of an earlier answer."
    )
    limit: int = Field(default=100, ge=1, le=500)


class Retried(Model):
    """The trial that runs the old one again."""

    trial_id: int
    retry_of: int
    url: str
    page_url: str


def trial_urls(trial_id: int) -> dict[str, str]:
    return {"url": f"/api/v1/trials/{trial_id}", "page_url": f"/trials/{trial_id}"}


def summary_of(row: TrialRow) -> TrialSummary:
    return TrialSummary.model_validate(_summary_fields(row))


def detail_of(
    row: TrialRow,
    attempts: list[AttemptRow],
    waiting: str | None,
    reproduction: ReproductionFound | None = None,
) -> Trial:
    return Trial.model_validate(
        {
            **_summary_fields(row),
            "spec": dict(row.spec),
            "summary": dict(row.summary),
            "parent_id": row.parent_id,
            "fence": row.fence,
            "losses": row.losses,
            "code_digest": row.code_digest,
            "data_digest": row.data_digest,
            "trained_together": trained_together(attempts),
            "waiting": waiting,
            "withheld": row.withheld,
            "attempts": [attempt_of(item) for item in attempts],
            "reproduction": asdict(reproduction) if reproduction else None,
        }
    )


def trained_together(attempts: list[AttemptRow]) -> int | None:
    """Of the latest attempt, which comes first."""
    found = attempts[0].environment.get("trained_together") if attempts else None
    return found if isinstance(found, int) else None


def attempt_of(row: AttemptRow) -> Attempt:
    return Attempt.model_validate(
        {
            "fence": row.fence,
            "place": row.place,
            "started_at": row.started_at,
            "ended_at": row.ended_at,
            "outcome": row.outcome,
            "reason_kind": row.reason_kind,
            "reason": row.reason,
            "resumed_epoch": row.resumed_epoch,
            "slot_seconds": row.slot_seconds,
            "environment": dict(row.environment),
        }
    )


def event_of(row: EventRow) -> Event:
    return Event.model_validate(
        {
            "id": row.id,
            "at": row.at,
            "kind": row.kind,
            "fence": row.fence,
            "from_state": row.from_state,
            "to_state": row.to_state,
            "actor": row.actor,
            "data": dict(row.data),
        }
    )


def _rung(row: TrialRow) -> JsonObject | None:
    if row.rung is None:
        return None
    return {"number": row.rung, "epochs": row.halts_at, "reached": row.at_rung}


def _summary_fields(row: TrialRow) -> JsonObject:
    progress = None
    if row.progress_total:
        unit = row.progress_unit or "step"
        progress = {"done": row.progress_done, "total": row.progress_total, "unit": unit}
    return {
        "id": row.id,
        "number": row.number,
        "experiment_id": row.experiment_id,
        "experiment_name": row.experiment_name,
        "owner": row.owner,
        "kind": row.kind,
        "state": row.state,
        "model": row.code_name,
        "dataset": row.data_name,
        "device": row.device,
        "ran_on": row.ran_on,
        "seed": row.seed,
        "varied": dict(row.varied),
        "progress": progress,
        "metrics": dict(row.metrics),
        "seconds": row.seconds,
        "reason_kind": row.reason_kind,
        "reason": row.reason,
        "cancel_requested": row.cancel_requested,
        "wish": row.wish,
        "rung": _rung(row),
        "held": row.held,
        "ended_early": row.ended_early,
        "created_at": row.created_at,
        "started_at": row.started_at,
        "finished_at": row.finished_at,
        **trial_urls(row.id),
    }
