"""What a comparison of trials says: parameters that differ, metrics, and the best of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.charts.axis import as_number
from api.pages.measures import direction_of, parameters_of
from db.reads.trials import TrialRow
from labpool.catalog import Catalog
from labpool.measures import HEADLINES, Direction

MOST_METRICS = 16


@dataclass(frozen=True, slots=True)
class Metric:
    """A column of results. `best` are the trials that did best; nobody did where all are equal."""

    name: str
    direction: Direction | None
    values: Mapping[int, float | None]
    best: frozenset[int]


@dataclass(frozen=True, slots=True)
class Comparison:
    """`parameters` are those that differ, by path, each with its values by trial."""

    trials: Sequence[TrialRow]
    parameters: Mapping[str, Mapping[int, Any]]
    common: Mapping[str, Any]
    metrics: Sequence[Metric]

    @property
    def objectives(self) -> list[str]:
        """The metrics that at least two of the trials have."""
        return [
            metric.name
            for metric in self.metrics
            if sum(value is not None for value in metric.values.values()) > 1
        ]

    def metric(self, name: str) -> Metric:
        """The metric of this name. Raises StopIteration when there is none."""
        return next(metric for metric in self.metrics if metric.name == name)


def compared(
    trials: Sequence[TrialRow], values: Mapping[int, Mapping[str, Any]], catalog: Catalog
) -> Comparison:
    """Trials beside each other. `values` are their results, or what they have reached so far."""
    settings = {trial.id: _settings(trial) for trial in trials}
    varied = [name for trial in trials for name in trial.varied]
    names = dict.fromkeys([*varied, *(name for given in settings.values() for name in given)])
    columns = {
        name: {trial_id: given.get(name) for trial_id, given in settings.items()} for name in names
    }
    differing = {name: column for name, column in columns.items() if not _all_equal(name, column)}
    common = {
        name: next((value for value in column.values() if value is not None), None)
        for name, column in columns.items()
        if name not in differing
    }
    found = dict.fromkeys([*HEADLINES, *(name for given in values.values() for name in given)])
    metrics = [_metric(name, trials, values, catalog) for name in found]
    metrics = [metric for metric in metrics if any(v is not None for v in metric.values.values())]
    return Comparison(trials, differing, common, metrics[:MOST_METRICS])


def _settings(trial: TrialRow) -> dict[str, Any]:
    """What was run and with what; where it ran may differ from what was asked for."""
    named = {
        "model" if trial.kind == "train" else "kernel": trial.code_name,
        "dataset": trial.data_name,
        **parameters_of(trial.spec),
        **trial.varied,
        "device": trial.ran_on or (None if trial.device == "any" else trial.device),
    }
    return {name: value for name, value in named.items() if value is not None}


def _all_equal(name: str, column: Mapping[int, Any]) -> bool:
    values = list(column.values())
    if name == "device":
        # One that has not run yet is no different for that.
        values = [value for value in values if value is not None]
    return all(value == values[0] and type(value) is type(values[0]) for value in values)


def _metric(
    name: str,
    trials: Sequence[TrialRow],
    values: Mapping[int, Mapping[str, Any]],
    catalog: Catalog,
) -> Metric:
    direction = direction_of(name, catalog)
    column = {trial.id: as_number(values.get(trial.id, {}).get(name)) for trial in trials}
    known = {trial_id: value for trial_id, value in column.items() if value is not None}
    best: frozenset[int] = frozenset()
    if direction and len(set(known.values())) > 1:
        first = max(known.values()) if direction == "maximize" else min(known.values())
        best = frozenset(trial_id for trial_id, value in known.items() if value == first)
    return Metric(name, direction, column, best)
