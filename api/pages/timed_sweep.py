"""Benchmarks of one experiment beside each other: sizes, variants, launch parameters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from markupsafe import Markup

from api.charts.colours import PALETTE_SIZE
from api.charts.lines import Line as Curve
from api.charts.log_log import log_log_chart
from api.charts.roofline import RoofPoint, roofline_chart
from api.pages.filters import metric_value
from api.pages.speed_grid import SpeedGrid, grids_of
from db.reads.trials import TrialRow
from db.states import TrialState
from labpool.benchmarks import Line, Timed, lines_of, size_text, telling_rate, way_text
from labpool.roofline import Roofline, under_one_roof

_MOST_LINES = 200
_MOST_CURVES = 8
_SAME_ON_CPU = (
    "On the CPU a kernel is NumPy's baseline, whatever its variant and launch parameters."
)
_UNITS = {"gb_s": "GB/s", "gflop_s": "GFLOP/s"}


@dataclass(frozen=True, slots=True)
class ComparedLine:
    """A row of the table; `cells` are median, interval, noise, GB/s, GFLOP/s and % of the peak.

    `is_first` is whether others are compared with it.
    """

    trial: int
    size: str
    how: str
    cells: Sequence[str]
    verdict: str | None
    against: int | None
    is_first: bool


@dataclass(frozen=True, slots=True)
class TimedSweep:
    """`left_out` counts the lines, `fewer` the curves and grids that are not shown."""

    lines: Sequence[ComparedLine]
    left_out: int
    sizes_chart: Markup | None
    roofline_chart: Markup | None
    notes: Sequence[str]
    grids: Sequence[SpeedGrid]
    unit: str


def is_of_benchmarks(spec: Mapping[str, Any]) -> bool:
    """Whether an experiment's spec times a kernel."""
    base = spec.get("base", spec)
    return isinstance(base, Mapping) and base.get("kind") == "benchmark"


def timed_sweep(spec: Mapping[str, Any], trials: Iterable[TrialRow]) -> TimedSweep | None:
    """None where there are not two times yet."""
    if not is_of_benchmarks(spec):
        return None
    lines = lines_of(_timed(row) for row in trials if row.state == TrialState.SUCCEEDED)
    if len(lines) < 2:
        return None
    rate = telling_rate(lines)
    notes: list[str] = []
    if any(line.timed.device == "cpu" and line.ways for line in lines):
        notes.append(_SAME_ON_CPU)
    grids = grids_of(lines, rate, notes)
    firsts = {line.against for line in lines}
    return TimedSweep(
        lines=[_compared(line, firsts) for line in lines[:_MOST_LINES]],
        left_out=max(0, len(lines) - _MOST_LINES),
        sizes_chart=_sizes_chart(lines, rate, notes),
        roofline_chart=_roofline_chart(lines, notes),
        notes=notes,
        grids=grids,
        unit=_UNITS[rate],
    )


def how_of(line: Line) -> str:
    """'gpu, float32, tiled, threads=128': what differs beside the size."""
    apart = [str(value) for name, value in line.work.items() if not name.startswith("sizes.")]
    ways = way_text(line.ways)
    return ", ".join([*apart, ways] if ways else apart) or str(
        line.timed.spec.get("variant") or "–"
    )


def _timed(row: TrialRow) -> Timed:
    return Timed(row.id, row.ran_on or row.device, row.spec, row.metrics, row.summary)


def _compared(line: Line, firsts: set[int | None]) -> ComparedLine:
    metrics = line.timed.metrics
    low, high = (metric_value(metrics.get(f"median_{end}_ms")) for end in ("low", "high"))
    names = ("noise_percent", "gb_s", "gflop_s", "percent_of_peak")
    return ComparedLine(
        trial=line.timed.trial,
        size=size_text(line.sizes) or "–",
        how=how_of(line),
        cells=[
            metric_value(metrics.get("median_ms")),
            f"{low} – {high}",
            *(metric_value(metrics.get(name)) for name in names),
        ],
        verdict=line.verdict,
        against=line.against,
        is_first=line.timed.trial in firsts,
    )


def _sizes_chart(lines: Sequence[Line], rate: str, notes: list[str]) -> Markup | None:
    varying = [name for name in lines[0].work if name.startswith("sizes.")]
    if not varying:
        return None
    by_way: dict[str, list[tuple[float, float]]] = {}
    for line in lines:
        x = line.work[varying[0]] if len(varying) == 1 else line.timed.summary.get("bytes")
        y = line.timed.metrics.get(rate)
        if _is_above_0(x) and _is_above_0(y):
            by_way.setdefault(how_of(line), []).append((float(x), float(y)))
    best = sorted(by_way, key=lambda way: -max(y for _, y in by_way[way]))
    if len(best) > _MOST_CURVES:
        notes.append(f"Of {len(best)} ways the chart has the {_MOST_CURVES} that came furthest.")
    shown = [way for way in by_way if way in best[:_MOST_CURVES]]
    curves = [_curve(way, sorted(by_way[way]), place) for place, way in enumerate(shown)]
    x_label = varying[0].removeprefix("sizes.") if len(varying) == 1 else "bytes moved"
    return log_log_chart("by-size", f"{_UNITS[rate]} by size", curves, x_label)


def _curve(way: str, points: Sequence[tuple[float, float]], place: int) -> Curve:
    return Curve(way, [x for x, _ in points], [y for _, y in points], place % PALETTE_SIZE)


def _roofline_chart(lines: Sequence[Line], notes: list[str]) -> Markup | None:
    """Under the roof that most lie under: the best line of each way to run the kernel."""
    measured: list[tuple[Line, Roofline, float]] = []
    for line in lines:
        one = Roofline.of(line.timed.summary)
        rate = line.timed.metrics.get("gflop_s")
        if one is not None and _is_above_0(rate):
            measured.append((line, one, float(rate)))
    if not measured:
        return None
    roof, places = under_one_roof([one for _, one, _ in measured])
    if len(places) < len(measured):
        notes.append(
            f"The roofline has {len(places)} of {len(measured)} results: the others have other "
            "measured peaks (another device or type, or on a processor another size)."
        )
    found: dict[str, tuple[Line, Roofline, float]] = {}
    for line, one, rate in (measured[place] for place in places):
        way = how_of(line)
        if way not in found or one.percent > found[way][1].percent:
            found[way] = (line, one, rate)
    points = [
        RoofPoint(
            f"{way} at {size_text(line.sizes)}",
            one.intensity,
            rate,
            f"series-{place % PALETTE_SIZE}",
            f"/trials/{line.timed.trial}",
        )
        for place, (way, (line, one, rate)) in enumerate([*found.items()][:_MOST_CURVES])
    ]
    return roofline_chart("roofline", "Roofline, each way at its best size", roof, points)


def _is_above_0(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and math.isfinite(value) and value > 0
