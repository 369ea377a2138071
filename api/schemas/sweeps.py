"""A sweep as the API shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Literal

from pydantic import Field

from api.schemas.base import Instant, JsonObject, Model
from api.sweeps.rungs import Rung as RungFound
from api.sweeps.view import SweepView
from db.states import TrialState
from labpool.measures import Direction
from labpool.search.importance import METHOD


class SweepObjective(Model):
    metric: str
    direction: Direction


class Rung(Model):
    """One line of the table of rungs; trials that went on count at every rung below theirs."""

    number: int
    epochs: int = Field(description="That a trial has been trained for when it gets there.")
    is_top: bool = Field(description="Where trials have been trained to their end.")
    to_come: int = Field(description="Trials that the search has still to make.")
    waiting: int
    running: int
    paused: int
    promoted: int
    pruned: int
    done: int
    failed: int = Field(description="Failed, lost or cancelled here.")
    members: int | None = Field(description="That it will have seen in the end; null at the top.")
    places: int | None = Field(description="Of those, how many go on.")
    best: float | None = Field(description="Of what came as far, up to this epoch.")
    best_trial: int | None


class BestStep(Model):
    """A trial that came to a better value than all before it."""

    at_s: float = Field(description="Seconds from the submission.")
    slot_seconds: float = Field(description="What the whole sweep had used by then.")
    value: float
    trial_id: int


class ParameterImportance(Model):
    name: str
    share: float | None = Field(
        description="Of the variance that it explains by itself, 0 to 1; null: it has too many "
        "values for so few trials."
    )
    groups: int = Field(description="Into how many groups its values were put.")


class SweepImportance(Model):
    """What a combination of parameters does beyond each of them is in nobody's share."""

    method: str
    trials: int = Field(description="How many it rests on.")
    epochs: int | None = Field(
        description="Compared after so many epochs, which all trials come to; null: at their end."
    )
    parameters: list[ParameterImportance] = Field(description="The most important first.")
    lacking: str = Field(description="Why there are none; empty when there are.")


class SweepCost(Model):
    used: float = Field(description="Slot-seconds that count, by now.")
    uncharged: float = Field(description="Slot-seconds lost through no fault of the owner's.")
    to_come: float | None = Field(description="Slot-seconds; null when nothing tells it.")
    budget: float | None
    arithmetic: str = Field(description="How `to_come` comes, or why there is none.")


class TogetherGroup(Model):
    """Trials that one slot trained together as one program."""

    trial_ids: list[int]
    slot: str
    started_at: Instant
    ended_at: Instant | None
    slot_seconds: float


class SweepTrial(Model):
    id: int
    number: int
    state: TrialState
    rung: int | None
    value: float | None = Field(description="Of the objective: its result's, else its best so far.")
    varied: JsonObject


class Sweep(Model):
    """A sweep at a glance. Trials that were run again besides are not part of it."""

    experiment_id: int
    objective: SweepObjective | None = Field(
        description="The spec's, else the first that trials have of those that choose."
    )
    parameters: list[str] = Field(description="What is varied, as dotted paths.")
    planned: int = Field(description="How many trials it comes to.")
    halt: Literal["paused", "stopped"] | None
    elapsed_s: float = Field(description="From its submission to its last end, or to now.")
    rungs: list[Rung] = Field(description="Empty where trials do not halt on their way.")
    best_so_far: list[BestStep]
    importance: SweepImportance
    cost: SweepCost
    groups: list[TogetherGroup] = Field(description="The newest, of `group_count`.")
    group_count: int
    trials: list[SweepTrial]


def sweep_of(experiment_id: int, view: SweepView) -> Sweep:
    return Sweep(
        experiment_id=experiment_id,
        objective=SweepObjective(metric=view.judge.metric, direction=view.judge.direction)
        if view.judge
        else None,
        parameters=list(view.names),
        planned=view.planned,
        halt=_halt(view),
        elapsed_s=view.elapsed_s,
        rungs=[Rung.model_validate(_rung(rung)) for rung in view.rungs],
        best_so_far=[BestStep(**asdict(step)) for step in view.steps],
        importance=SweepImportance(
            method=METHOD,
            trials=view.weights.trials,
            epochs=view.weights.epochs,
            parameters=[ParameterImportance(**asdict(one)) for one in view.weights.parameters],
            lacking=view.weights.lacking,
        ),
        cost=SweepCost(**asdict(view.cost)),
        groups=[TogetherGroup.model_validate(asdict(group)) for group in view.groups],
        group_count=view.group_count,
        trials=[SweepTrial.model_validate(asdict(line)) for line in view.trials],
    )


def _halt(view: SweepView) -> Literal["paused", "stopped"] | None:
    if view.halt == "paused":
        return "paused"
    return "stopped" if view.halt else None


def _rung(rung: RungFound) -> Mapping[str, object]:
    places = ("waiting", "running", "paused", "promoted", "pruned", "done", "failed")
    fields = asdict(rung)
    counts = fields.pop("counts")
    return {**fields, **{place: counts.get(place, 0) for place in places}}
