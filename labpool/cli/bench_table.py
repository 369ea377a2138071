"""Benchmarks as a table, a roofline of characters, and JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from labpool.benchmarks import Line, size_text, way_text
from labpool.cli.output import number
from labpool.client import TrialDetail
from labpool.roofline import Roofline, rate_text, under_one_roof

COLUMNS = (
    "", "size", "how", "median ms", "95 % of the median", "noise %", "GB/s", "GFLOP/s",
    "% of peak", "verdict",
)  # fmt: skip
MARKS = "abcdefghijklmnopqrstuvwxyz"
WIDTH, HEIGHT = 56, 11
_METRICS = (
    "median_ms", "median_low_ms", "median_high_ms", "noise_percent", "gb_s", "gflop_s",
    "percent_of_peak", "samples", "to_device_ms", "from_device_ms",
)  # fmt: skip


def mark_of(index: int) -> str:
    """The letter of a line in the table and in the roofline; the last stands for all others."""
    return MARKS[min(index, len(MARKS) - 1)]


def cells(index: int, line: Line) -> tuple[str, ...]:
    """A row of the table."""
    metrics = line.timed.metrics
    interval = f"{number(metrics.get('median_low_ms'))} – {number(metrics.get('median_high_ms'))}"
    return (
        mark_of(index),
        size_text(line.sizes),
        how(line),
        number(metrics.get("median_ms")),
        interval,
        _tenths(metrics.get("noise_percent")),
        number(metrics.get("gb_s")),
        number(metrics.get("gflop_s")),
        _tenths(metrics.get("percent_of_peak")),
        "-" if line.verdict is None else line.verdict,
    )


def how(line: Line) -> str:
    """Device, type and variant of a line, as far as the lines differ in them."""
    apart = [str(value) for name, value in line.work.items() if not name.startswith("sizes.")]
    if line.timed.device == "cpu":
        # The baseline knows neither variants nor blocks.
        return ", ".join([*apart, "NumPy"])
    ways = way_text(line.ways) or str(line.timed.spec.get("variant") or "")
    return ", ".join([*apart, ways])


def as_json(line: Line) -> dict[str, Any]:
    """A line for programs."""
    timed = line.timed
    metrics = {name: timed.metrics.get(name) for name in _METRICS}
    return {
        "trial": timed.trial,
        **{name: timed.spec.get(name) for name in ("dtype", "variant", "sizes", "launch")},
        "device": timed.device,
        **metrics,
        "roofline": timed.summary.get("roofline"),
        "verdict": line.verdict,
        "against": line.against,
    }


def rooflines(lines: Sequence[Line], devices: Mapping[int, str]) -> list[str]:
    """A drawing for each device with measured peaks, its points marked as in the table."""
    by_device: dict[str, list[tuple[str, Roofline, float]]] = {}
    for index, line in enumerate(lines):
        roofline = Roofline.of(line.timed.summary)
        rate = line.timed.metrics.get("gflop_s")
        if roofline is not None and isinstance(rate, int | float) and rate > 0:
            name = devices.get(line.timed.trial, line.timed.device)
            by_device.setdefault(name, []).append((mark_of(index), roofline, float(rate)))
    drawn: list[str] = []
    for name, every in by_device.items():
        roof, places = under_one_roof([point[1] for point in every])
        points = [every[place] for place in places]
        best = max(points, key=lambda point: point[1].percent)
        peaks = f"{rate_text(roof.peak_gb_s)} GB/s and {rate_text(roof.peak_gflop_s)} GFLOP/s"
        drawn += ["", f"{name}: {peaks} measured", *draw(roof, points)]
        drawn.append(f"{best[0]}: {best[1].sentence}")
        drawn_too = {*places}
        left_out = [point[0] for place, point in enumerate(every) if place not in drawn_too]
        if left_out:
            marks = ", ".join(dict.fromkeys(left_out))
            drawn.append(f"Not drawn, as other peaks were measured for them: {marks}.")
    return drawn


def draw(roof: Roofline, points: Sequence[tuple[str, Roofline, float]]) -> list[str]:
    """Marks under the roof, both axes logarithmic."""
    intensities = [point[1].intensity for point in points]
    left = math.log10(min(*intensities, roof.ridge) / 3)
    right = math.log10(max(*intensities, roof.ridge) * 3)
    top = math.log10(roof.peak_gflop_s * 1.3)
    lowest = min(*(rate for _, _, rate in points), roof.roof(10**left))
    bottom = math.log10(lowest / 1.3)

    def row_of(rate: float) -> int:
        return round((top - math.log10(rate)) / (top - bottom) * (HEIGHT - 1))

    canvas = [[" "] * WIDTH for _ in range(HEIGHT)]
    for column in range(WIDTH):
        intensity = 10 ** (left + (right - left) * column / (WIDTH - 1))
        row = row_of(roof.roof(intensity))
        canvas[row][column] = "/" if intensity < roof.ridge else "_"
    for mark, roofline, rate in points:
        column = round((math.log10(roofline.intensity) - left) / (right - left) * (WIDTH - 1))
        row = row_of(rate)
        if not canvas[row][column].isalpha():
            canvas[row][column] = mark
    axis = f"{10**left:.2g}".ljust(WIDTH - 8) + f"{10**right:.2g}".rjust(8)
    top_text, bottom_text = rate_text(10**top), f"{10**bottom:.3g}"
    labels = [top_text, *[""] * (HEIGHT - 2), bottom_text]
    rows = [f"{text:>9} |{''.join(row)}".rstrip() for text, row in zip(labels, canvas, strict=True)]
    return [f"{'GFLOP/s':>9}", *rows, f"{'':>10} {axis} operations a byte"]


def not_timed(trials: Iterable[TrialDetail]) -> list[dict[str, Any]]:
    """The trials without a result, for programs."""
    return [
        {"trial": trial.id, "state": trial.state, "reason": trial.reason}
        for trial in trials
        if not trial.metrics
    ]


def _tenths(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, int | float) else "-"
