"""An experiment's means over seeds, as its page shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.pages.filters import metric_value
from db.reads.trials import TrialRow
from labpool.measures import HEADLINES
from labpool.points import Point, Run, points_of, repeats_seeds
from labpool.spread import Spread, interval_text

_MOST_POINTS = 200
_MOST_METRICS = 3


@dataclass(frozen=True, slots=True)
class PointTable:
    """`cells` has a text for each metric of each point, in the order of `metrics`."""

    metrics: Sequence[str]
    rows: Sequence[tuple[Point, Sequence[str]]]
    left_out: int


def point_table(spec: Mapping[str, Any], trials: Iterable[TrialRow]) -> PointTable | None:
    """None where the spec asks for no more than one seed of anything."""
    if not repeats_seeds(spec):
        return None
    points = points_of(Run(row.id, row.seed, row.varied, row.metrics) for row in trials)
    shown = points[:_MOST_POINTS]
    known = dict.fromkeys(name for point in shown for name in point.metrics)
    first = [name for name in (*HEADLINES, "test_loss", "train_seconds") if name in known]
    metrics = (first or list(known))[:_MOST_METRICS]
    rows = [(point, [spread_text(point.metrics.get(name)) for name in metrics]) for point in shown]
    return PointTable(metrics, rows, len(points) - len(shown))


def spread_text(spread: Spread | None) -> str:
    """'0.9706 ± 0.0043'; of one run its value, of none a dash."""
    if spread is None:
        return "–"
    if spread.half_width is None:
        return metric_value(spread.mean)
    return interval_text(spread.mean, spread.half_width)
