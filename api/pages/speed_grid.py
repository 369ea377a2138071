"""An autotuner's grid as a heat table: how fast by launch parameters, best cell marked."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from api.pages.filters import metric_value
from labpool.benchmarks import Line, size_text

_LEVELS = 5
_MOST_GRIDS = 6
_UNITS = {"gb_s": "GB/s", "gflop_s": "GFLOP/s"}


@dataclass(frozen=True, slots=True)
class SpeedCell:
    """`trial` is None where nothing was timed; `shade` is the style sheet's class."""

    text: str
    shade: str
    trial: int | None
    best: bool
    words: str


@dataclass(frozen=True, slots=True)
class SpeedGrid:
    """`rows` have a head and a cell for each of `columns`; `down` is empty with one row."""

    title: str
    across: str
    down: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[SpeedCell]]]


def grids_of(lines: Sequence[Line], rate: str, notes: list[str]) -> list[SpeedGrid]:
    """A grid for each size, type and device; none where no launch parameter differs."""
    names = [name for name in lines[0].ways if name.startswith("launch.")] if lines else []
    if not names:
        return []
    # The rows of a single parameter are the variants, where these differ.
    down = names[1] if len(names) > 1 else "variant" if "variant" in lines[0].ways else None
    others = [name for name in lines[0].ways if name not in (names[0], down)]
    if len(names) > 2:
        left = ", ".join(name.removeprefix("launch.") for name in names[2:])
        notes.append(f"Each cell of a grid is the best over {left}.")
    blocks: dict[str, list[Line]] = {}
    for line in lines:
        apart = {name: line.ways[name] for name in others if not name.startswith("launch.")}
        blocks.setdefault(json.dumps([line.work, apart], default=str), []).append(line)
    if len(blocks) > _MOST_GRIDS:
        notes.append(f"Grids of {_MOST_GRIDS} of {len(blocks)} sizes and types are shown.")
    return [_grid(block, rate, names[0], down) for block in [*blocks.values()][-_MOST_GRIDS:]]


def _grid(lines: Sequence[Line], rate: str, across: str, down: str | None) -> SpeedGrid:
    best_of: dict[tuple[str, str], Line] = {}
    for line in lines:
        place = str(line.ways[across]), "" if down is None else str(line.ways[down])
        if place not in best_of or _rate(line, rate) > _rate(best_of[place], rate):
            best_of[place] = line
    columns = _ordered(line.ways[across] for line in lines)
    heads = [""] if down is None else _ordered(line.ways[down] for line in lines)
    rates = [_rate(line, rate) for line in best_of.values()]
    low, high = min(rates), max(rates)
    rows = [
        (head, [_cell(best_of.get((column, head)), rate, low, high) for column in columns])
        for head in heads
    ]
    return SpeedGrid(
        _title(lines[0], rate, down),
        across.removeprefix("launch."),
        (down or "").removeprefix("launch."),
        columns,
        rows,
    )


def _title(line: Line, rate: str, down: str | None) -> str:
    parts = [_UNITS[rate]]
    if down != "variant" and "variant" in line.ways:
        parts.append(str(line.ways["variant"]))
    parts += [str(value) for name, value in line.work.items() if not name.startswith("sizes.")]
    return f"{', '.join(parts)} at {size_text(line.sizes)}"


def _cell(line: Line | None, rate: str, low: float, high: float) -> SpeedCell:
    if line is None:
        return SpeedCell("–", "", None, False, "not timed")
    value = _rate(line, rate)
    share = (value - low) / (high - low) if high > low else 1.0
    best = value == high
    level = _LEVELS if best else min(_LEVELS - 1, int(share * _LEVELS))
    text = metric_value(value)
    median = metric_value(line.timed.metrics.get("median_ms"))
    words = f"Trial {line.timed.trial}: {text} {_UNITS[rate]}, median {median} ms"
    return SpeedCell(text, f"speed-{level}", line.timed.trial, best, words)


def _rate(line: Line, rate: str) -> float:
    value = line.timed.metrics.get(rate)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else 0.0


def _ordered(values: Any) -> list[str]:
    """Numbers by size, words as they come."""
    found = list(dict.fromkeys(values))
    if all(isinstance(value, int | float) for value in found):
        found.sort()
    return [str(value) for value in found]
