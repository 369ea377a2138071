"""What the `gan` of the catalog must show: it draws every digit, and not one of them over and over.

Each seed is a whole trial in a real runner. A classifier that has learned from real digits then
reads what was drawn from the best checkpoint, and one that has seen nothing but drawn digits reads
the real test split. What is drawn of one class must also differ, at least half as much as real ones
do: a single good picture a class would teach that second classifier something too.

    python -m tests.lab.gan            # one line of JSON; status 1 below a floor
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labpool.parameters import fill
from tests.faults import frame
from tests.support.runners import CATALOG, of_type, reference_to, runner, trial_of
from worker import protocol
from worker.runner import backend, checkpoints, data, loading
from worker.runner.data import Split, Splits
from worker.runner.network import Network
from worker.runner.resident import Resident

SEEDS = (0, 1, 2, 3, 4)
QUICK_EPOCHS = 30
DRAWN_A_CLASS = 100
READER_EPOCHS = 30

BOUNDS = {
    "gan_recognised": ">= 0.8",
    "gan_learned_from_drawn": ">= 0.75",
    "gan_spread": ">= 0.5",
    "gan_grids": ">= 5",
}
FULL_BOUNDS = {"gan_seeds": "== 5"}


@dataclass(frozen=True)
class Drawer:
    """What one trial came to: its generator at the best epoch, and how many grids it kept."""

    code: Any
    model: Any
    grids: int

    def draw(self, classes: int, each: int, seed: int) -> Split:
        """`each` pictures of every class, in styles that the training never used."""
        import tensorflow as tf

        y = np.repeat(np.arange(classes), each)
        both = self.model.get_layer("adversaries")
        drawn = both.draw(tf.constant(y), both.styles(len(y), seed), training=False)
        return Split(np.asarray(drawn), y)


def figures(quick: bool) -> dict[str, frame.Figure]:
    """The least of all seeds: shares of pictures and test digits read right, and grids kept."""
    backend.prepare(1)
    splits = digits()
    by_real = Reader(splits.training)
    found: dict[str, list[float]] = {"recognised": [], "learned_from_drawn": [], "spread": []}
    grids = []
    for seed in SEEDS[:1] if quick else SEEDS:
        drawer = trained(seed, QUICK_EPOCHS if quick else None)
        drawn = drawer.draw(10, DRAWN_A_CLASS, seed=1_000 + seed)
        found["recognised"].append(by_real.share_right(drawn))
        found["learned_from_drawn"].append(Reader(drawn).share_right(splits.test))
        found["spread"].append(spread(drawn) / spread(splits.training))
        grids.append(drawer.grids)
        print(
            f"seed {seed}: " + ", ".join(f"{k} {v[-1]:.3f}" for k, v in found.items()), flush=True
        )
    return {
        **{f"gan_{name}": min(values) for name, values in found.items()},
        "gan_grids": min(grids),
        "gan_seeds": len(grids),
        "gan_reader_of_real_digits": by_real.share_right(splits.test),
    }


def spread(examples: Split) -> float:
    """How much pictures of one class differ: the standard deviation a pixel, mean of classes."""
    of_class = [examples.x[examples.y == y] for y in np.unique(examples.y)]
    return float(np.mean([one.std(axis=0).mean() for one in of_class]))


def trained(seed: int, epochs: int | None = None) -> Drawer:
    """A trial of the catalog's defaults, or of fewer epochs, in a runner of its own."""
    spec: dict[str, Any] = {"kind": "train", "model": "gan", "dataset": "digits", "device": "cpu"}
    spec |= {"seed": seed, **({} if epochs is None else {"epochs": epochs})}
    with tempfile.TemporaryDirectory(prefix="lp-") as folder:
        scratch = Path(folder) / "trial"
        trial = trial_of(spec, scratch)
        with runner(Path(folder) / "home", "--light") as running:
            messages = running.run(trial)
        answer = messages[-1]
        assert isinstance(answer, protocol.Result), answer
        best = [one for one in of_type(messages, protocol.Checkpoint) if one.best][-1]
        weights = checkpoints.load(scratch / best.file, best.sha256).best
        pictures = [one for one in of_type(messages, protocol.Artifact) if "samples" in one.name]
        assert all((scratch / one.file).stat().st_size == one.bytes for one in pictures)
    code, model = built(trial.spec["parameters"])
    for variable, value in zip(model.variables, weights, strict=True):
        variable.assign(value)
    return Drawer(code, model, len(pictures))


def built(parameters: Any) -> tuple[Any, Any]:
    """The catalog's code, and a fresh model for the digits."""
    entry = CATALOG.models["gan"]
    code = loading.load(reference_to(entry), entry.path / "model.py", "build")
    backend.seed(0)
    return code, code.build(parameters, data.shape_of(np.zeros((1, 8, 8, 1)), "image", 10))


def digits() -> Splits:
    """The real ones, split as every trial splits them."""
    entry = CATALOG.datasets["digits"]
    module = loading.load(reference_to(entry), entry.path.with_suffix(".py"), "load")
    return data.split(module.load({"labels": "all"}), entry.splits)


class Reader:
    """The catalog's `mlp`, trained by labpool's own steps on what it is given."""

    def __init__(self, examples: Split) -> None:
        """Trains it. `examples` have 10 classes."""
        entry = CATALOG.models["mlp"]
        code = loading.load(reference_to(entry), entry.path / "model.py", "build")
        parameters: Mapping[str, Any] = fill(dict(entry.parameters), {}, of=entry.name)[0]
        backend.seed(0)
        model = code.build(parameters, data.shape_of(examples.x, "image", 10))
        self._network = Network(model, "adam", 32, "cpu")
        self._network.set_learning_rate(entry.defaults.learning_rate)
        resident, steps = Resident.of(examples, "cpu"), -(-len(examples.y) // 32)
        for epoch in range(READER_EPOCHS):
            order = data.permutation(len(examples.y), 0, epoch)
            self._network.train_steps(resident, order, 0, steps)

    def share_right(self, examples: Split) -> float:
        """The share of pictures that it gives their class."""
        return self._network.measure(Resident.of(examples, "cpu"))[1]["accuracy"]


def main() -> int:
    """Print the figures as JSON."""
    quick = "--quick" in sys.argv[1:]
    found = figures(quick)
    wrong = list(frame.out_of_bounds(found, BOUNDS if quick else {**BOUNDS, **FULL_BOUNDS}))
    print(json.dumps({**found, "wrong": wrong}))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
