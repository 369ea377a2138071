"""The lines of a board's table: its rows, its baselines among them, and the picture beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from api.charts.axis import axis_of
from api.charts.scatter import Dot, scatter
from api.pages.filters import metric_value, seconds_value, words
from api.pages.points import spread_text
from api.pages.sorting import Sorting
from db.boards import BoardRow
from labpool.boards import Baseline
from labpool.catalog import BoardEntry


@dataclass(frozen=True, slots=True)
class Line:
    """A row or a baseline, never both."""

    row: BoardRow | None = None
    baseline: Baseline | None = None


def lines_of(entry: BoardEntry, rows: Sequence[BoardRow], sorting: Sorting) -> list[Line]:
    """``rows`` in their order; baselines where their value stands, or last in another order."""
    lines = [Line(row=row) for row in rows]
    sign = 1.0 if entry.direction == "maximize" else -1.0
    best_first = sorted(entry.baselines, key=lambda baseline: -sign * baseline.value)
    if sorting.column not in ("rank", "value"):
        return lines + [Line(baseline=baseline) for baseline in best_first]
    rising = (sorting.column == "value") == (entry.direction == "maximize")
    worst_first = sorting.descending != rising if sorting.column == "value" else sorting.descending
    if worst_first:
        lines.reverse()
    for baseline in best_first:
        behind = (
            at
            for at, line in enumerate(lines)
            if line.row is not None and sign * line.row.value < sign * baseline.value
        )
        lines.insert(next(behind, len(lines)), Line(baseline=baseline))
    return lines[::-1] if worst_first else lines


def place_text(row: BoardRow) -> str:
    """'2–4', or one place where the row can be told apart from all others."""
    band = row.band
    return str(row.rank) if band is None or band.first == band.last else f"{band.first}–{band.last}"


def place_title(row: BoardRow, count: int) -> str:
    """What the place says, and what it does not."""
    if row.band is None:
        return f"Place {row.rank} by value; with one seed a row its spread is not known"
    whose = "with the other rows' spread" if row.band.borrowed else "by its own spread"
    return f"Place {row.rank} of {count} by value; {place_text(row)} {whose}"


def seeds_text(row: BoardRow) -> str:
    """'5 seeds', or that one says nothing of its spread."""
    return f"{row.spread.n} seeds" if row.spread.n > 1 else "1 seed"


def cost_chart(entry: BoardEntry, rows: Sequence[BoardRow]) -> Markup | None:
    """Score against cost, a dot a row; None where there is nothing to compare."""
    if len(rows) < 2:
        return None
    metric = words(entry.metric)
    dots = [
        Dot(row.trial_id, row.seconds, row.value,
            f"{row.user}, {metric} {spread_text(row.spread)} for {seconds_value(row.seconds)} s")
        for row in rows
    ]  # fmt: skip
    x_axis = axis_of("cost in slot-seconds", [row.seconds for row in rows])
    y_axis = axis_of(metric, [row.value for row in rows])
    return scatter(f"{metric.capitalize()} against cost", x_axis, y_axis, dots)


def value_texts(rows: Sequence[BoardRow]) -> dict[int, str]:
    """By trial the value as people read it, with as many digits as tell unequal ones apart."""
    short = {row.trial_id: metric_value(row.value) for row in rows}
    unequal = len({row.value for row in rows})
    for digits in range(5, 10):
        if len(set(short.values())) == unequal:
            break
        short = {row.trial_id: f"{row.value:,.{digits}f}" for row in rows}
    return short
