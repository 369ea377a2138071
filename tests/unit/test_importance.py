"""Importance of parameters: a variance decomposition over ranks."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from labpool.search.importance import LEAST_TRIALS, importances

NAMES = ("rate", "width", "seed")


def drawn(count: int, seed: int = 0) -> list[dict[str, Any]]:
    chance = random.Random(seed)
    return [
        {"rate": 10 ** chance.uniform(-4, 0), "width": chance.choice([16, 32, 64]), "seed": n % 4}
        for n in range(count)
    ]


def shares(values: list[dict[str, Any]], scores: list[float]) -> dict[str, float | None]:
    return {one.name: one.share for one in importances(values, scores, NAMES)}


def test_it_works() -> None:
    values = drawn(200)
    scores = [-abs(math.log10(one["rate"]) + 2) + one["width"] / 400 for one in values]
    found = importances(values, scores, NAMES)
    assert [one.name for one in found] == list(NAMES)
    by_name = {one.name: one.share or 0.0 for one in found}
    assert by_name["rate"] > 0.7
    assert by_name["seed"] < 0.05
    assert {one.name: one.groups for one in found} == {"rate": 6, "width": 3, "seed": 4}


def test_a_full_grid_is_told_exactly() -> None:
    values = [{"rate": a, "width": b, "seed": c} for a in (1, 2, 3) for b in (1, 2) for c in (0, 1)]
    found = shares(values, [float(one["rate"]) for one in values])
    assert found == {"rate": pytest.approx(1.0), "width": 0.0, "seed": 0.0}


def test_what_does_nothing_comes_to_about_nothing() -> None:
    totals = dict.fromkeys(NAMES, 0.0)
    for seed in range(40):
        chance = random.Random(1000 + seed)
        found = shares(drawn(30, seed), [chance.random() for _ in range(30)])
        for name in NAMES:
            totals[name] += (found[name] or 0.0) / 40
    assert max(totals.values()) < 0.1, "however many values it has"


def test_one_that_diverged_does_not_decide() -> None:
    values = drawn(60)
    scores = [-abs(math.log10(one["rate"]) + 2) for one in values]
    before = shares(values, scores)
    worst = min(range(60), key=scores.__getitem__)
    scores[worst] = -1e300
    assert shares(values, scores) == before
    scores[worst] = -math.inf
    assert shares(values, scores) == before, "nor one that was not finite"


def test_too_many_values_for_so_few_trials_say_nothing() -> None:
    values = [{"rate": f"word {n}", "width": n % 2, "seed": 0} for n in range(20)]
    found = shares(values, [float(n % 2) for n in range(20)])
    assert found == {"width": pytest.approx(1.0), "seed": 0.0, "rate": None}


def test_values_of_any_kind_are_groups() -> None:
    kinds: list[Any] = [[32, 16], None, True, "auto"]
    values = [{"rate": kinds[n % 4], "width": 1, "seed": 0} for n in range(24)]
    assert shares(values, [float(n % 4) for n in range(24)])["rate"] == pytest.approx(1.0)


def test_fewer_than_the_least_are_refused() -> None:
    few = LEAST_TRIALS - 1
    with pytest.raises(ValueError, match=f"needs {LEAST_TRIALS} trials, and there are {few}"):
        importances(drawn(few), [1.0] * few, NAMES)
    assert shares(drawn(LEAST_TRIALS), [1.0] * LEAST_TRIALS) == dict.fromkeys(NAMES, 0.0)
