"""The panels of a sweep on its experiment's page: rungs, best so far, importance, coordinates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from api.charts.axis import axis_of
from api.charts.colours import look_of
from api.charts.line import line_chart
from api.charts.lines import Line
from api.charts.parallel_coordinates import Thread, parallel_coordinates
from api.charts.parts import parts_bar
from api.pages.filters import metric_value, short_value, words
from api.pages.measures import short_name
from api.sweeps.judging import Judge
from api.sweeps.progress import Step
from api.sweeps.rungs import PLACES, Rung
from api.sweeps.view import SweepLine, SweepView

# More than these are drawn by the browser, from the JSON; without JavaScript the best of them are.
MOST_THREADS = 100
MOST_LISTED = 10
_MOST_AXES = 9
_SHADES = 5
# So many have colours that tell them apart; more are shaded by how well they did.
_MOST_COLOURS = 16


@dataclass(frozen=True, slots=True)
class RungRow:
    """A line of the table of rungs, with its picture."""

    rung: Rung
    bar: Markup
    best: str


@dataclass(frozen=True, slots=True)
class WeightRow:
    """A parameter's importance; ``text`` is in percent."""

    name: str
    text: str
    bar: Markup


@dataclass(frozen=True, slots=True)
class BestRow:
    """One of the best trials; ``cells`` in the order of the sweep's parameters."""

    line: SweepLine
    classes: str
    cells: Sequence[str]
    value: str


@dataclass(frozen=True, slots=True)
class SweepPanels:
    """What the template needs; ``places`` are the columns of the rungs that have anything."""

    view: SweepView
    metric: str
    places: Sequence[str]
    rungs: Sequence[RungRow]
    charts: Sequence[Markup]
    weights: Sequence[WeightRow]
    parallel: Markup | None
    drawn: int
    scored: int
    names: Sequence[str]
    best: Sequence[BestRow]
    shaded: bool


def sweep_panels(view: SweepView) -> SweepPanels:
    """Everything drawn on the server, so that it reads without JavaScript."""
    judge = view.judge
    ranked = _ranked(view)
    shaded = len(ranked) > _MOST_COLOURS
    names = [words(short_name(name)) for name in view.names]
    looks = {line.id: _classes(line.id, place, len(ranked)) for place, line in enumerate(ranked)}
    return SweepPanels(
        view=view,
        metric=words(judge.metric) if judge else "",
        places=[place for place in PLACES if any(rung.counts.get(place) for rung in view.rungs)],
        rungs=_rungs(view.rungs),
        charts=_charts(view, judge) if judge and view.steps else (),
        weights=[_weight(one.name, one.share) for one in view.weights.parameters],
        parallel=_parallel(view, judge, ranked, looks) if judge and len(ranked) > 1 else None,
        drawn=min(MOST_THREADS, len(ranked)),
        scored=len(ranked),
        names=names,
        best=[
            BestRow(
                line,
                looks[line.id],
                [short_value(line.varied.get(name)) for name in view.names],
                metric_value(line.value),
            )
            for line in ranked[:MOST_LISTED]
        ],
        shaded=shaded,
    )


def _ranked(view: SweepView) -> list[SweepLine]:
    """Those that have a value, the best first."""
    if view.judge is None:
        return []
    judge = view.judge
    known = [line for line in view.trials if line.value is not None]
    return sorted(known, key=lambda line: (-judge.score(line.value), line.number))


def _rungs(rungs: Sequence[Rung]) -> list[RungRow]:
    whole = max((rung.seen + rung.to_come for rung in rungs), default=0)
    return [
        RungRow(
            rung=rung,
            bar=parts_bar({place: rung.counts.get(place, 0) for place in _DRAWN}, whole),
            best="–" if rung.best is None else metric_value(rung.best),
        )
        for rung in rungs
    ]


# What has come furthest stands first, so that the bars of rungs begin with what went on.
_DRAWN = ("promoted", "done", "running", "paused", "waiting", "pruned", "failed")


def _weight(name: str, share: float | None) -> WeightRow:
    text = "too many values" if share is None else f"{share:.0%}"
    return WeightRow(words(short_name(name)), text, parts_bar({"share": share or 0.0}, 1.0))


def _charts(view: SweepView, judge: Judge) -> list[Markup]:
    title = f"Best {words(judge.metric)} so far"
    size, unit = _unit(view.elapsed_s)
    used_size, used_unit = _unit(view.cost.used)
    ends = (view.elapsed_s / size, view.cost.used / used_size)
    over_time = [(step.at_s / size, step) for step in view.steps]
    over_use = [(step.slot_seconds / used_size, step) for step in view.steps]
    return [
        _stairs(f"{title}, over time", over_time, ends[0], f"{unit} since submission", "best-time"),
        _stairs(f"{title}, over cost", over_use, ends[1], f"slot-{used_unit}", "best-cost"),
    ]


def _stairs(
    title: str, points: Sequence[tuple[float, Step]], end: float, x_label: str, ident: str
) -> Markup:
    """A line that stays where it is until something better comes, up to the end."""
    xs: list[float] = []
    ys: list[float] = []
    for x, step in points:
        if ys:
            xs.append(x)
            ys.append(ys[-1])
        xs.append(x)
        ys.append(step.value)
    xs.append(max(end, xs[-1]))
    ys.append(ys[-1])
    last = points[-1][1]
    line = Line(f"trial {last.trial_id}", xs, ys, href=f"/trials/{last.trial_id}")
    return line_chart(title, [line], x_label, ident=ident)


def _unit(seconds: float) -> tuple[float, str]:
    """A unit in which so much time is read well."""
    for size, name, least in ((86400.0, "days", 3), (3600.0, "hours", 3), (60.0, "minutes", 3)):
        if seconds >= size * least:
            return size, name
    return 1.0, "seconds"


def _classes(trial_id: int, place: int, count: int) -> str:
    """By its rank, from the worst shade to the best; few have their own colours."""
    if count <= _MOST_COLOURS:
        return look_of(trial_id).classes
    return f"shade-{(count - 1 - place) * _SHADES // count}"


def _parallel(
    view: SweepView, judge: Judge, ranked: Sequence[SweepLine], looks: Mapping[int, str]
) -> Markup:
    names = list(view.names)[: _MOST_AXES - 1]
    columns: list[list[Any]] = [[line.varied.get(name) for line in ranked] for name in names]
    columns.append([line.value for line in ranked])
    titles = [*(words(short_name(name)) for name in names), words(judge.metric)]
    axes = [axis_of(title, column) for title, column in zip(titles, columns, strict=True)]
    threads = []
    for line in ranked[:MOST_THREADS]:
        values = [*(line.varied.get(name) for name in names), line.value]
        texts = [*map(short_value, values[:-1]), metric_value(line.value)]
        threads.append(Thread(line.id, values, texts, looks[line.id]))
    # The best last, on top of the others.
    return parallel_coordinates("Parallel coordinates", axes, threads[::-1])
