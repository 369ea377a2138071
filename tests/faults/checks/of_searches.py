"""Sweeps that decide as they go: their points, their rungs, and who went on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from tests.faults.checks.seen import Row, Seen, Violation

# A sweep with other ends, or that people have ended or made longer, need not let the best go on.
QUIET = frozenset({"succeeded", "pruned"})


@dataclass(frozen=True, slots=True)
class _Sweep:
    """A sweep that searches, with its planned trials, and their reports by trial and epoch."""

    row: Row
    trials: list[Row]
    reports: dict[int, dict[int, float]]

    @property
    def rungs(self) -> list[int]:
        """The epochs at which its trials pause."""
        strategy, base = self.row["spec"]["strategy"], self.row["spec"]["base"]
        pruner = strategy.get("pruner") or {}
        if pruner.get("method") != "asha":
            return []
        epochs, found = pruner.get("min_epochs", 1), []
        while epochs < base["epochs"]:
            found.append(epochs)
            epochs *= pruner.get("reduction", 3)
        return found

    @property
    def reduction(self) -> int:
        reduction: int = self.row["spec"]["strategy"]["pruner"].get("reduction", 3)
        return reduction

    @property
    def comes_to(self) -> int | None:
        """How many trials it is to have; None where the space says it."""
        trials: int | None = self.row["spec"]["strategy"].get("trials")
        return trials

    def best_until(self, trial: Row, epochs: int) -> float:
        told = self.reports.get(trial["id"], {})
        values = [value for epoch, value in told.items() if epoch <= epochs and value is not None]
        return max(values, default=float("-inf"))


def points_are_made_once(seen: Seen) -> Iterator[Violation]:
    """Whoever makes them, and however often that is cut off: none twice, none left out."""
    for sweep in _sweeps(seen):
        name = f"sweep {sweep.row['id']}"
        points = sorted(trial["point"] for trial in sweep.trials)
        if points != list(range(len(points))):
            yield Violation("search", f"{name}: its points are {points}")
        if sweep.comes_to is not None and len(points) > sweep.comes_to:
            yield Violation("search", f"{name}: {len(points)} of {sweep.comes_to} points")


def every_point_is_made(seen: Seen) -> Iterator[Violation]:
    """A sweep that nobody stopped has them all in the end."""
    for sweep in _sweeps(seen):
        few = sweep.comes_to is not None and len(sweep.trials) < sweep.comes_to
        if few and sweep.row["search_halt"] is None:
            text = f"{len(sweep.trials)} of {sweep.comes_to} points were made"
            yield Violation("search", f"sweep {sweep.row['id']}: {text}")


def rungs_are_climbed_one_by_one(seen: Seen) -> Iterator[Violation]:
    """Each promotion is to the next rung, happens once, and of who had come to the one before."""
    for sweep in _sweeps(seen):
        for trial in sweep.trials:
            name = f"trial {trial['id']}"
            climbed = [
                event["data"]["rung"] for event in seen.events.get(trial["id"], [])
                if event["kind"] == "promoted"
            ]  # fmt: skip
            if climbed != list(range(1, (trial["rung"] or 0) + 1)):
                at = f"is at rung {trial['rung']}"
                yield Violation("search", f"{name}: was promoted to {climbed}, and {at}")
            told = sweep.reports.get(trial["id"], {})
            for rung in climbed:
                if rung > len(sweep.rungs) or max(told, default=0) < sweep.rungs[rung - 1]:
                    yield Violation("search", f"{name}: promoted to {rung}, reports {sorted(told)}")


def nobody_trains_past_its_rung(seen: Seen) -> Iterator[Violation]:
    """The rung's epoch is the last that is trained, unless somebody stops it there."""
    for sweep in _sweeps(seen):
        for trial in sweep.trials:
            rung = trial["rung"] or 0
            if trial["ended_early"] or rung >= len(sweep.rungs) or trial["wish"]:
                continue
            last = max(sweep.reports.get(trial["id"], {}), default=0)
            if last > sweep.rungs[rung]:
                text = f"trained to epoch {last} at rung {rung}, which ends at {sweep.rungs[rung]}"
                yield Violation("search", f"trial {trial['id']}: {text}")


def the_best_go_on(seen: Seen) -> Iterator[Violation]:
    """At each rung of a sweep that went its own way, as many of the best as it has places."""
    disturbed = {line.get("experiment") for line in seen.asked if line["what"] != "pause_sweep"}
    for sweep in _sweeps(seen):
        states = {trial["state"] for trial in sweep.trials}
        early = any(trial["ended_early"] for trial in sweep.trials)
        if not states <= QUIET or early or sweep.row["id"] in disturbed:
            continue
        here = sweep.trials
        for rung, epochs in enumerate(sweep.rungs):
            here = [trial for trial in here if trial["rung"] >= rung]
            merits = {trial["id"]: sweep.best_until(trial, epochs) for trial in here}
            here.sort(key=lambda trial: (-merits[trial["id"]], trial["point"]))
            for trial in here[: max(1, len(here) // sweep.reduction)]:
                if trial["rung"] == rung:
                    text = f"among the best of {len(here)} at rung {rung}, and went no further"
                    yield Violation("search", f"trial {trial['id']}: {text}")


def took_place(seen: Seen) -> dict[str, int]:
    """How many sweeps searched, and what they did."""
    kinds = [event["kind"] for event in seen["events"]]
    return {
        "searched_sweeps": sum(1 for _ in _sweeps(seen)),
        "promotions": kinds.count("promoted"),
        "prunings": kinds.count("pruned"),
    }


def _sweeps(seen: Seen) -> Iterator[_Sweep]:
    reports: dict[int, dict[int, float]] = defaultdict(dict)
    for row in seen["sweep_reports"]:
        reports[row["trial_id"]][row["epoch"]] = row["value"]
    of_sweep: dict[int, list[Row]] = defaultdict(list)
    for trial in seen["trials"]:
        if trial["point"] is not None and trial["rung"] is not None:
            of_sweep[trial["experiment_id"]].append(trial)
    for row in seen["experiments"]:
        if row["spec"].get("kind") == "sweep" and row["id"] in of_sweep:
            yield _Sweep(row, of_sweep[row["id"]], reports)
