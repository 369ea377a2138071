"""What a sweep searches for when it does not say."""

from __future__ import annotations

from typing import Literal

from labpool.catalog import Catalog
from labpool.errors import Problem
from labpool.measures import Direction, direction_by_name
from labpool.model_form import LOSS
from labpool.search import heeds_results
from labpool.spec import BenchmarkSpec, SweepSpec, TrainSpec
from labpool.strategy_form import Objective
from labpool.suggest import closest

TIME = Objective(metric="median_ms", direction="minimize")


def objective_of(spec: SweepSpec, catalog: Catalog) -> Objective:
    """The sweep's own, its direction filled in; else the measure that its model or kernel has.

    For training runs that is what chooses their best epoch, on the validation split. Raises
    KeyError for what the catalog does not hold and ValueError where the direction cannot be told,
    both of which `objective_problems` and the catalog's own checks find first.
    """
    if (said := spec.objective) is not None:
        direction = said.direction or _direction(said.metric, spec, catalog)
        if direction is None:
            raise ValueError(said.metric)
        return Objective(metric=said.metric, direction=direction)
    if isinstance(spec.base, BenchmarkSpec):
        return TIME
    judging = catalog.models[spec.base.model].judging
    direction = "maximize" if judging.is_maximized else "minimize"
    return Objective(metric=f"val_{judging.selects}", direction=direction)


def with_objective(spec: SweepSpec, catalog: Catalog) -> SweepSpec:
    """The same sweep, saying what it searches for where anything of it goes by results."""
    if not heeds_results(spec):
        return spec
    return spec.model_copy(update={"objective": objective_of(spec, catalog)})


def objective_problems(spec: SweepSpec, catalog: Catalog) -> list[Problem]:
    """What is wrong with a sweep's objective beyond its form, its base being without problems."""
    said = spec.objective
    if said is None:
        return []
    at = "/objective/metric"
    if said.metric.startswith("test_"):
        message = "is measured on test examples, which nothing may be chosen by."
        return [Problem(at, message, f"Say val_{said.metric.removeprefix('test_')}.")]
    if isinstance(spec.base, TrainSpec) and spec.strategy.pruner is not None:
        known = _by_epoch(spec.base, catalog)
        if said.metric not in known:
            message = "is not measured after each epoch, as the pruner needs."
            hint = closest(said.metric, known) or f"Say one of {', '.join(known)}."
            return [Problem(at, message, hint)]
    if said.direction is None and _direction(said.metric, spec, catalog) is None:
        message = "is missing: the name of the metric does not tell which way is better."
        return [Problem("/objective/direction", message, "Say maximize or minimize.")]
    return []


def _by_epoch(base: TrainSpec, catalog: Catalog) -> dict[str, Literal["maximize", "minimize"]]:
    """What is measured after each epoch on the validation split, and which way is better."""
    judging = catalog.models[base.model].judging
    declared = {f"val_{name}": metric.direction for name, metric in judging.metrics.items()}
    return {f"val_{LOSS}": "minimize", **declared}


def _direction(metric: str, spec: SweepSpec, catalog: Catalog) -> Direction | None:
    known = _by_epoch(spec.base, catalog) if isinstance(spec.base, TrainSpec) else {}
    return known.get(metric) or direction_by_name(metric)
