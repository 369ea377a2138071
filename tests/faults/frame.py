"""What measures the service under faults, and what each figure must come to.

A measure is a module of this folder that has ``figures(quick: bool) -> dict`` and ``BOUNDS``, from
the name of a figure to its predicate: ``"== 0"``, ``">= 0.99 and <= 1"``, ``"== true"`` or, against
another figure, ``"== guards"``. ``FULL_BOUNDS`` may add some that hold for the full measure alone,
such as the number of trials that it takes. A measure is imported only when it runs.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib
import json
import math
import operator
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent

Figure = float | int | bool | None

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}


@dataclass(frozen=True, slots=True)
class Measure:
    """A module that has figures, loaded."""

    figures: Callable[[bool], Mapping[str, Figure]]
    bounds: Mapping[str, str]
    full_bounds: Mapping[str, str]

    def bounds_for(self, quick: bool) -> Mapping[str, str]:
        """The predicates that a run must meet."""
        return self.bounds if quick else {**self.bounds, **self.full_bounds}


def names(folder: Path = FOLDER) -> list[str]:
    """Every measure of the folder; found by reading the sources, not by importing them."""
    return sorted(path.stem for path in folder.glob("*.py") if path != Path(__file__)
                  and _has_figures(path))  # fmt: skip


def run(folder: Path, about: str | None, arguments: list[str] | None) -> int:
    """Run the measures of a folder that are named, or all; an exit status.

    Progress goes to stderr, the figures to stdout: one line of JSON. The status is 1 when a figure
    is out of its bound, was not measured, or a measure broke.
    """
    options = _options(folder, about, arguments)
    all_figures: dict[str, Figure] = {}
    wrong: list[str] = []
    for name in options.only or names(folder):
        _say(f"== {name}")
        begun = time.monotonic()
        try:
            # What a measure prints is progress.
            with contextlib.redirect_stdout(sys.stderr):
                measure = load(name, folder)
                found = measure.figures(options.quick)
        except Exception as error:  # noqa: BLE001 - the others are still to be measured
            traceback.print_exc()
            wrong.append(f"{name} broke: {type(error).__name__}: {error}")
            continue
        all_figures.update(found)
        amiss = list(out_of_bounds(found, measure.bounds_for(options.quick)))
        wrong += [f"{name}: {sentence}" for sentence in amiss]
        _say(f"== {name}: {dict(found)} in {time.monotonic() - begun:.1f} s")
    for sentence in wrong:
        _say(f"OUT OF BOUNDS {sentence}")
    print(json.dumps(all_figures, allow_nan=True), flush=True)
    return 1 if wrong else 0


def _options(folder: Path, about: str | None, arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m tests.{folder.name}", description=about)
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=names(folder),
                        help="run these alone")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="the short form of each")
    return parser.parse_args(arguments)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def load(name: str, folder: Path = FOLDER) -> Measure:
    """Import a measure of the folder."""
    module = importlib.import_module(f"tests.{folder.name}.{name}")
    return Measure(module.figures, module.BOUNDS, getattr(module, "FULL_BOUNDS", {}))


def out_of_bounds(figures: Mapping[str, Figure], bounds: Mapping[str, str]) -> Iterator[str]:
    """What is not as it must be, a sentence each; none is right.

    A figure that is absent or None was not measured, and that is not a pass.
    """
    for name, predicate in bounds.items():
        value = figures.get(name)
        if value is None:
            yield f"{name} was not measured; it must be {predicate}"
        elif not all(_holds(value, part, figures) for part in predicate.split(" and ")):
            yield f"{name} is {value}; it must be {predicate}"


def _holds(value: Figure, predicate: str, figures: Mapping[str, Figure]) -> bool:
    sign, _, wanted = predicate.strip().partition(" ")
    limit = _limit(wanted.strip(), figures)
    # NaN compares false with everything, but != would let it through.
    if limit is None or (isinstance(value, float) and math.isnan(value)):
        return False
    return _COMPARE[sign](value, limit)


def _limit(wanted: str, figures: Mapping[str, Figure]) -> Figure:
    if wanted in ("true", "false"):
        return wanted == "true"
    if wanted.isidentifier():
        return figures.get(wanted)
    return float(wanted)


def _has_figures(path: Path) -> bool:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return any(isinstance(node, ast.FunctionDef) and node.name == "figures" for node in tree.body)
