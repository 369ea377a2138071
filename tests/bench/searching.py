"""`python -m tests.bench.searching`: the figures of docs/sweeps.md, on simulated slots."""

from __future__ import annotations

import math
import time
from statistics import mean
from typing import Any

from labpool.catalog import Catalog
from labpool.planning import plan
from labpool.settings import CHECKOUT
from tests.support.simulated_sweep import METRIC, Pool, sweep
from tests.support.surfaces import crossing, hill

CATALOG = Catalog.load([CHECKOUT / "catalog"])
SPACE = {
    "learning_rate": {"low": 1e-4, "high": 1.0, "scale": "log"},
    "batch_size": {"low": 1, "high": 256, "scale": "log"},
    "learning_rate_decay": {"low": 0.8, "high": 1.0},
    "parameters.kind": ["a", "b", "c"],
}


def valley(values: Any, epoch: int) -> float:
    """Best at one value of each of four axes."""
    off = abs(math.log2(values["batch_size"] / 32)) / 10
    off += abs(values["learning_rate_decay"] - 0.95) + 0.2 * (values["parameters.kind"] != "b")
    return hill(values, 6) - off


class Timed(Pool):
    """Keeps how long each step of planning took, in seconds of the processor."""

    def actions(self) -> list[Any]:
        begun = time.process_time()
        found = super().actions()
        self.__dict__.setdefault("took", []).append(time.process_time() - begun)
        return found


def rungs() -> None:
    for name, curve in (("hill", hill), ("crossing", crossing)):
        for trials in (27, 96):
            epochs: dict[str, list[int]] = {"pausing": [], "stopping": []}
            best: dict[str, list[float]] = {"pausing": [], "stopping": []}
            for seed in range(20):
                for mode in ("pausing", "stopping"):
                    strategy = {"method": "random", "trials": trials, "seed": seed}
                    spec = sweep({**strategy, "pruner": {"method": "asha"}})
                    pool = Pool(spec, curve, slots=4, mode=mode).run()
                    epochs[mode].append(pool.epochs_run)
                    best[mode].append(pool.best.metrics[METRIC])
            told = ", ".join(
                f"{mode} {mean(epochs[mode]):.0f} epochs, best {mean(best[mode]):.4f}"
                for mode in epochs
            )
            print(f"{name}, {trials} trials of up to 27 epochs: {told}")


def drawing() -> None:
    for name, more in (
        ("random", {"method": "random"}),
        ("qmc", {"method": "qmc"}),
        *((f"tpe, {at} at once", {"method": "tpe", "at_once": at}) for at in (1, 4, 16, 64)),
    ):
        found = [
            Pool(sweep({**more, "trials": 100, "seed": seed}, SPACE, length=1), valley).run().best
            for seed in range(5)
        ]
        print(f"{name}: best of 100 trials {mean(row.metrics[METRIC] for row in found):.3f}")


def submitting() -> None:
    """What a POST of 1,000 trials computes before anything is stored."""
    base = {"kind": "train", "model": "mlp", "dataset": "digits", "epochs": 27}
    space = {name: axis for name, axis in SPACE.items() if name != "parameters.kind"}
    grid = {"seed": list(range(20)), "batch_size": list(range(1, 51))}
    for method, pruner in (("grid", None), ("random", None), ("qmc", "asha"), ("tpe", "median")):
        strategy: dict[str, Any] = {"method": method}
        if method != "grid":
            strategy["trials"] = 1000
        if pruner:
            strategy["pruner"] = {"method": pruner}
        raw = {
            "kind": "sweep", "base": base, "strategy": strategy, "fuse": 8,
            "space": grid if method == "grid" else space,
        }  # fmt: skip
        took = []
        for _ in range(3):
            begun = time.process_time()
            made = len(plan(raw, CATALOG).trials)
            took.append(time.process_time() - begun)
        print(f"{method}, pruner {pruner}: {made} of 1000 trials laid out in {min(took):.3f} s")


def planning() -> None:
    for method in ("qmc", "tpe"):
        pool = Timed(sweep({"method": method, "trials": 1000}, SPACE, length=1), valley)
        pool.run()
        # The pool asks twice at each step, the second time to see that nothing is left to do.
        took = pool.__dict__["took"]
        print(f"{method}, 1000 trials: longest step {max(took):.3f} s, all {sum(took):.1f} s")


if __name__ == "__main__":
    rungs()
    drawing()
    planning()
    submitting()
