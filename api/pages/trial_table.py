"""The table of an experiment's trials: columns, order and pages, all in the address."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlencode

from flask import request
from sqlalchemy.orm import Session

from api.pages.eta import share_done
from api.pages.filters import STATE_ORDER
from api.pages.sorting import Key, Sorting
from db.reads.trial_list import live_values
from db.reads.trials import TrialRow
from db.states import TrialState

PER_PAGE = 100
# Those of them that a trial has are columns; the others stand on the trial's own page.
_SHOWN_METRICS = (
    "test_iou", "val_iou", "test_accuracy", "val_accuracy", "loss", "median_ms", "gflop_s", "gb_s",
)  # fmt: skip
_Values = Mapping[int, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class TrialTable:
    """One page of the trials in the order asked for. `values` are results, or the newest values."""

    rows: Sequence[TrialRow]
    values: _Values
    varied: Sequence[str]
    metrics: Sequence[str]
    sorting: Sorting
    next_url: str | None
    first_url: str | None


def trial_table(session: Session, trials: Sequence[TrialRow]) -> TrialTable:
    """What the address asks for of these trials."""
    running = [trial.id for trial in trials if trial.state == TrialState.RUNNING]
    values: dict[int, Mapping[str, Any]] = {trial.id: trial.metrics for trial in trials}
    values.update({trial_id: {} for trial_id in running})
    values.update(live_values(session, running))
    varied = _in_order(trial.varied for trial in trials)
    columns = _columns(varied, values)
    sorting = Sorting.from_request(columns, "number")
    ordered = sorting.apply(trials, columns)
    place = _page_number()
    shown = ordered[place * PER_PAGE : (place + 1) * PER_PAGE]
    begun = [row for row in shown if not row.metrics and row.fence]
    still = [row.id for row in begun if row.state != TrialState.RUNNING]
    values.update(live_values(session, still))
    found = set(_in_order(values[trial.id] for trial in shown))
    return TrialTable(
        rows=shown,
        values=values,
        varied=varied,
        metrics=[name for name in _SHOWN_METRICS if name in found],
        sorting=sorting,
        next_url=_page_url(place + 1) if len(ordered) > (place + 1) * PER_PAGE else None,
        first_url=_page_url(0) if place else None,
    )


def _columns(varied: Sequence[str], values: _Values) -> dict[str, Key]:
    columns: dict[str, Key] = {
        "number": lambda trial: trial.number,
        "state": lambda trial: STATE_ORDER.index(trial.state),
        "progress": share_done,
        "seconds": lambda trial: trial.seconds,
    }
    for name in varied:
        columns[f"params.{name}"] = partial(_parameter, name)
    for name in _SHOWN_METRICS:
        columns[f"metrics.{name}"] = partial(_metric, values, name)
    return columns


def _parameter(name: str, trial: TrialRow) -> tuple[int, float, str] | None:
    return _sortable(trial.varied.get(name))


def _metric(values: _Values, name: str, trial: TrialRow) -> Any:
    return values[trial.id].get(name)


def _sortable(value: Any) -> tuple[int, float, str] | None:
    """Numbers by size, then everything else by how it is written."""
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (0, float(value), "")
    return (1, 0.0, str(value))


def _page_number() -> int:
    text = request.args.get("page", "0")
    return int(text) if text.isdecimal() and len(text) < 7 else 0


def _page_url(number: int) -> str:
    pairs = [
        (name, value)
        for name, value in request.args.items(multi=True)
        if name not in ("page", "fragment", "charts") and value
    ]
    if number:
        pairs.append(("page", str(number)))
    return f"{request.path}?{urlencode(pairs)}" if pairs else request.path


def _in_order(mappings: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))
