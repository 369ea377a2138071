"""The fields that say how a sweep searches: what is drawn, which trials go on, what is best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from api.forms.fields import Field, field_id, property_field, text_of
from labpool.spec import SweepSpec
from labpool.strategy_form import (
    PRUNER_FORMS,
    STRATEGY_FORMS,
    AshaPruner,
    MedianPruner,
    Objective,
    TpeStrategy,
)

METHOD, PRUNER = "/strategy/method", "/strategy/pruner/method"
_MIN_EPOCHS = "No trial is ended before this epoch; of asha the epochs of the first rung."


@dataclass(frozen=True, slots=True)
class Shown:
    """A field that is there while the choice at `of` is one of `when`; always without `of`."""

    field: Field
    of: str = ""
    when: tuple[str, ...] = ()
    hidden: bool = False

    @property
    def chooser(self) -> str:
        """The id of the element that decides."""
        return field_id(self.of) if self.of else ""


def drawing(strategy: Mapping[str, Any]) -> tuple[Shown, ...]:
    """What a strategy takes besides its method."""
    method = text_of(strategy.get("method")) or "grid"
    schema = _properties(TpeStrategy)
    found = []
    for name in ("trials", "seed", "startup_trials", "at_once"):
        when = tuple(key for key, form in STRATEGY_FORMS.items() if name in form.model_fields)
        field = property_field(name, schema[name], strategy.get(name), "strategy")
        found.append(Shown(field, METHOD, when, method not in when))
    return tuple(found)


def searching(data: Mapping[str, Any], strategy: Mapping[str, Any], runs: str) -> tuple[Shown, ...]:
    """Which trials go on, what is best, what it may cost, and what is trained together.

    A benchmark is offered neither pruning nor groups; where a spec has them they can be taken out.
    """
    pruner, objective = _table(strategy.get("pruner")), _table(data.get("objective"))
    schema = _properties(SweepSpec)
    found: list[Shown] = []
    if runs == "train" or pruner:
        found += _pruning(pruner)
    best = _properties(Objective)
    metric = property_field("metric", best["metric"], objective.get("metric"), "objective")
    meaning = f"{metric.meaning} {schema['objective']['description']}"
    found.append(Shown(replace(metric, label="Objective", meaning=meaning)))
    direction = property_field(
        "direction", best["direction"], objective.get("direction"), "objective"
    )
    found.append(Shown(replace(direction, label="Direction of the objective")))
    budget = property_field(
        "budget_slot_seconds", schema["budget_slot_seconds"], data.get("budget_slot_seconds")
    )
    found.append(Shown(replace(budget, label="Budget (slot-seconds)")))
    if runs == "train" or data.get("fuse") is not None:
        found.append(Shown(fuse_field(schema["fuse"], data.get("fuse"))))
    return tuple(found)


def fuse_field(schema: Mapping[str, Any], value: Any, *where: str) -> Field:
    """How many trials are trained together."""
    field = property_field("fuse", schema, value, *where, default="off")
    return replace(field, label="Train together")


def _pruning(pruner: Mapping[str, Any]) -> list[Shown]:
    method = text_of(pruner.get("method"))
    chooser = Field(
        pointer=PRUNER,
        type="choice",
        label="Pruner",
        meaning="What ends or pauses trials early; all run to their end without.",
        value=method,
        choices=tuple(PRUNER_FORMS),
    )
    found = [Shown(chooser)]
    asha, median = _properties(AshaPruner), _properties(MedianPruner)
    schemas = {
        "min_epochs": {**asha["min_epochs"], "description": _MIN_EPOCHS},
        "reduction": asha["reduction"],
        "min_trials": median["min_trials"],
    }
    for name, schema in schemas.items():
        when = tuple(key for key, form in PRUNER_FORMS.items() if name in form.model_fields)
        field = property_field(name, schema, pruner.get(name), "strategy", "pruner")
        found.append(Shown(field, PRUNER, when, method not in when))
    return found


def _properties(form: Any) -> Mapping[str, Any]:
    properties: Mapping[str, Any] = form.model_json_schema()["properties"]
    return properties


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
