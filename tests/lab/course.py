"""What a row of the course has at hand, and what it shows.

A row is a module of ``rows/`` with ``TITLE``, ``FLOORS`` (from the name of a number to its
predicate, ``">= 0.965"`` or ``"== true"``, as the measures of faults have them) and
``show(course, shown)``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markupsafe import Markup

from api.charts.line import Line, line_chart
from tests.faults.frame import Figure, out_of_bounds
from tests.faults.service import Refused, Service
from tests.support.processes import wait_until

ROWS = Path(__file__).parent / "rows"
PATIENCE_S = 3600.0
FINAL = ("succeeded", "failed", "cancelled", "lost")

Trial = Mapping[str, Any]
"""A trial that succeeded, as the API shows it."""


@dataclass(frozen=True)
class Row:
    """A module of ``rows/``, loaded."""

    name: str
    title: str
    floors: Mapping[str, str]
    show: Callable[[Course, Shown], None]


@dataclass
class Shown:
    """What a row has come to. `not_measured` says of a number why nobody could measure it here."""

    row: Row
    figures: dict[str, Figure] = field(default_factory=dict)
    not_measured: dict[str, str] = field(default_factory=dict)
    pictures: list[Markup] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    broke: str = ""

    def judged(self) -> dict[str, dict[str, Any]]:
        """Every number that has a floor: its value, the floor, and whether it is reached.

        Of one that could not be measured the value and `ok` are None, and `not_measured` says why.
        """
        return {name: self._judged(name, floor) for name, floor in self.row.floors.items()}

    def _judged(self, name: str, floor: str) -> dict[str, Any]:
        if name not in self.figures and (reason := self.not_measured.get(name)):
            return {"value": None, "floor": floor, "ok": None, "not_measured": reason}
        ok = not list(out_of_bounds(self.figures, {name: floor}))
        return {"value": self.figures.get(name), "floor": floor, "ok": ok}

    def curves(self, title: str, trials: Mapping[str, Mapping[str, Any]], metric: str) -> None:
        """A chart of one metric over the epochs; `trials` are curves by the line's name."""
        lines = [
            Line(name, points["epochs"], [_number(value) for value in points["values"]], colour)
            for colour, (name, curves) in enumerate(trials.items())
            if (points := curves.get(metric)) is not None
        ]
        ident = f"{self.row.name}-{len(self.pictures)}"
        self.pictures.append(line_chart(title, lines, "epoch", ident=ident, wide=True))


class Course:
    """The pool that the rows share."""

    def __init__(self, running: Service) -> None:
        self._running = running

    def run(self, spec: Mapping[str, Any]) -> list[Trial]:
        """Submit, wait, and give every trial. Raises Refused when one does not succeed."""
        ids = self._running.submit(spec)
        return [self._finished(trial) for trial in ids]

    def seeds(self, spec: Mapping[str, Any], seeds: Sequence[int]) -> list[Trial]:
        """One trial for each seed, in this order."""
        ids = [self._running.submit({**spec, "seed": seed})[0] for seed in seeds]
        return [self._finished(trial) for trial in ids]

    def curves(self, trial: Trial) -> dict[str, Any]:
        """A trial's curves by metric."""
        found: dict[str, Any] = {}
        path, since = f"/api/v1/trials/{trial['id']}/metrics", None
        while True:
            query = {"since": since} if since else {}
            answer = self._running.http.get(path, params=query).raise_for_status().json()
            for name, points in answer["curves"].items():
                kept = found.setdefault(name, {key: [] for key in points})
                for key, values in points.items():
                    kept[key] += values
            if not answer["more"]:
                return found
            since = answer["cursor"]

    def ranked(self, board: str) -> set[str]:
        """The models of a board's rows."""
        answer = self._running.http.get(f"/api/v1/boards/{board}").raise_for_status().json()
        return {row["model"] for row in answer["rows"]}

    def _finished(self, trial_id: int) -> Trial:
        seen: dict[str, Any] = {}

        def is_over() -> bool:
            seen.update(self._running.trial(trial_id))
            return seen["state"] in FINAL

        wait_until(is_over, PATIENCE_S, f"trial {trial_id} to end", poll_s=0.3)
        if seen["state"] != "succeeded":
            raise Refused(f"trial {trial_id} {seen['state']}: {seen.get('reason')}")
        return seen


def metric(trials: Sequence[Trial], name: str) -> list[float]:
    """A metric of each trial's result."""
    return [float(trial["metrics"][name]) for trial in trials]


def names() -> list[str]:
    """Every row."""
    return sorted(path.stem for path in ROWS.glob("*.py"))


def load(name: str) -> Row:
    """Import a row."""
    module = importlib.import_module(f"tests.lab.rows.{name}")
    return Row(name, module.TITLE, module.FLOORS, module.show)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
