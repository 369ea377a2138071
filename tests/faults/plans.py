"""What the members of a chaos run submit, and how much of everything there is."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from tests.faults.people import Submission


@dataclass(frozen=True, slots=True)
class Size:
    """How much of it: paced and real trials, faults and wishes over ``span_s``, and patience.

    ``deeds`` is how many of each kind an administrator does. ``searched`` sweeps decide as they go;
    of those ``sweep_asks`` things are asked.
    """

    paced: int
    real: int
    faults: int
    asks: int
    deeds: int
    span_s: float
    bound_s: float
    people: int = 4
    searched: int = 0
    sweep_asks: int = 0
    without: tuple[str, ...] = ()


FUSE = ("off", 3, 8, "auto")
_ASHA = {"method": "asha", "min_epochs": 1, "reduction": 3}
# Strategy, epochs, and how many trials are drawn; none where all are named.
SEARCHES: tuple[tuple[dict[str, Any], int, int], ...] = (
    ({"method": "random", "pruner": {**_ASHA, "reduction": 2}}, 9, 8),
    ({"method": "grid", "pruner": _ASHA}, 10, 0),
    ({"method": "random", "pruner": {"method": "median", "min_trials": 3}}, 6, 8),
    # It stays with its first points, for which it needs no estimator.
    ({"method": "tpe", "startup_trials": 50, "at_once": 3}, 3, 8),
    ({"method": "qmc", "pruner": {**_ASHA, "min_epochs": 4}}, 16, 9),
)

FULL = Size(paced=1000, real=16, faults=95, asks=300, deeds=8, span_s=240.0, bound_s=600.0,
            searched=40, sweep_asks=40)  # fmt: skip
QUICK = Size(paced=30, real=0, faults=13, asks=15, deeds=1, span_s=5.0, bound_s=150.0, people=3,
             searched=3, sweep_asks=3)  # fmt: skip


def submissions(size: Size, source: random.Random, names: list[str]) -> dict[str, list[Submission]]:
    """Sweeps and single runs over most of the time, a fifth of them sent twice."""
    plans: dict[str, list[Submission]] = {name: [] for name in names}
    most = max(2, min(30, size.paced // 8))
    specs, left = [], size.paced
    while left > 0:
        spec, trials = _paced(source, min(left, source.choice((1, 1, 2, most // 2, most))))
        specs.append(spec)
        left -= trials
    specs += [_real(number) for number in range(size.real)]
    specs += [searched(number, source) for number in range(size.searched)]
    source.shuffle(specs)
    for number, spec in enumerate(specs):
        name = names[number % len(names)]
        at_s = source.uniform(0.0, 0.7 * size.span_s)
        again = source.random() < 0.2
        plans[name].append(Submission(at_s, f"key-{number}", spec, again))
    return plans


def _paced(source: random.Random, most: int) -> tuple[dict[str, Any], int]:
    """Trials of a few quick epochs, or of many: those are hit by most faults. And how many."""
    long = source.random() < 0.2
    base = {
        "kind": "train", "model": "softmax", "dataset": "digits", "device": "gpu",
        "epochs": source.randint(15, 40) if long else source.randint(1, 6),
        "checkpoint_every_epochs": source.choice((1, 1, 3)),
        "priority": source.choice(("normal", "normal", "normal", "low")),
    }  # fmt: skip
    seeds = source.sample(range(10**6), min(most, 6) if long else most)
    if len(seeds) == 1:
        return {**base, "seed": seeds[0]}, 1
    sweep = {
        "kind": "sweep",
        "base": base,
        "strategy": {"method": "grid"},
        "space": {"seed": seeds},
        "fuse": source.choice(FUSE),
    }
    return sweep, len(seeds)


def searched(number: int, source: random.Random) -> dict[str, Any]:
    """A sweep that decides as it goes: each way in turn, trained together and one by one."""
    strategy, epochs, trials = SEARCHES[number % len(SEARCHES)]
    drawn = {"trials": trials, "seed": source.randrange(1000)} if trials else {}
    seeds = {"low": 1, "high": 10**6} if trials else source.sample(range(10**6), 9)
    return {
        "kind": "sweep",
        "base": {
            "kind": "train", "model": "softmax", "dataset": "digits", "device": "gpu",
            "epochs": epochs, "checkpoint_every_epochs": source.choice((1, 2)),
        },
        "strategy": {**strategy, **drawn},
        "space": {"seed": seeds},
        "objective": {"metric": "val_accuracy", "direction": "maximize"},
        "fuse": source.choice(FUSE),
    }  # fmt: skip


def _real(number: int) -> dict[str, Any]:
    """Each spec comes several times: all of it must come to the same weights."""
    return {
        "kind": "train", "model": "softmax", "dataset": "digits", "device": "cpu",
        "epochs": 10 + 10 * (number % 2), "optimizer": "adam", "learning_rate_decay": 0.95,
        "seed": 1 + number % 4,
    }  # fmt: skip
