"""An experiment in a few lines: how far it is, how much longer it takes, its best trial."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.pages.eta import experiment_remaining_s, share_done
from api.pages.filters import metric_value
from api.pages.measures import direction_of
from db.reads.trials import TrialRow
from db.states import TrialState
from labpool.catalog import Catalog

# What a trial is chosen by, the first that its kind has: never by the test split, which is looked
# at once, at the end.
_CHOSEN_BY = ("val_iou", "val_accuracy", "val_loss", "median_ms")


@dataclass(frozen=True, slots=True)
class Best:
    """The trial to look at first, and the value it was chosen by."""

    trial_id: int
    metric: str
    value: str


@dataclass(frozen=True, slots=True)
class Overview:
    """`done` counts trials, those at work by the share that is done; times in seconds."""

    count: int
    finished: int
    done: float
    running: int
    slot_seconds: float
    remaining_s: float | None
    best: Best | None


def overview_of(trials: Sequence[TrialRow], catalog: Catalog) -> Overview:
    return Overview(
        count=len(trials),
        finished=sum(trial.finished for trial in trials),
        done=sum(share_done(trial) for trial in trials),
        running=sum(trial.state == TrialState.RUNNING for trial in trials),
        slot_seconds=sum(trial.seconds or 0.0 for trial in trials),
        remaining_s=experiment_remaining_s(trials),
        best=best_of(trials, catalog),
    )


def best_of(trials: Sequence[TrialRow], catalog: Catalog) -> Best | None:
    """The best of those that succeeded; of equals the first."""
    for metric in _CHOSEN_BY:
        found = [trial for trial in trials if _is_number(trial.metrics, metric)]
        if not found:
            continue
        sign = -1 if direction_of(metric, catalog) == "maximize" else 1
        best = min(found, key=lambda trial: (sign * trial.metrics[metric], trial.number))
        return Best(best.id, metric, metric_value(best.metrics[metric]))
    return None


def _is_number(metrics: Mapping[str, Any], name: str) -> bool:
    value = metrics.get(name)
    return isinstance(value, int | float) and math.isfinite(value)
