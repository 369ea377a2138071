"""What every network of the catalog must keep to while it trains, step by step.

Networks are what labpool trains itself, for whatever task: their data, targets, loss and metrics
come from the same code that prepares a trial.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from labpool.catalog import DatasetEntry, ModelEntry
from tests.support.conformance import NETWORKS, spec_of, suiting, values_at_the_bounds
from tests.support.runners import trial_of
from worker.runner import backend, training
from worker.runner.digests import digest_of_weights
from worker.runner.kept import Kept
from worker.runner.loop import Plan
from worker.runner.network import Network, arrays_of
from worker.runner.resident import ResidentSplits

BATCH = 16
ALL = pytest.mark.parametrize("entry", NETWORKS.values(), ids=NETWORKS.keys())


@pytest.fixture(scope="module", autouse=True)
def tensorflow() -> None:
    backend.prepare(1)


class Prepared(NamedTuple):
    """A network that is ready for its first step, and its data."""

    network: Network
    splits: ResidentSplits
    plan: Plan

    def step(self) -> float:
        """One step on the first batch, which is always the same; its loss."""
        losses, _ = self.network.train_steps(self.splits.training, np.arange(BATCH), 0, 1)
        return float(losses[0])

    def outputs(self, training: bool = False) -> Any:
        """Of the first few examples."""
        return np.array(self.network.model(self.splits.training.x[:4], training=training))

    def digest(self) -> str:
        return digest_of_weights([*self.network.weights(), *self.network.optimizer_state()])


def prepare(
    entry: ModelEntry,
    tmp_path: Path,
    dataset: DatasetEntry | None = None,
    kept: Kept | None = None,
    rate: float | None = None,
    **more: Any,
) -> Prepared:
    """As a trial would begin, at the model's own optimizer and rate unless `more` says others."""
    spec = spec_of(entry, dataset or suiting(entry)[0], batch_size=BATCH, **more)
    trial = trial_of(spec, tmp_path)
    plan = Plan.of(trial.spec)
    splits, network, _ = training._load(trial, plan, "cpu", Kept() if kept is None else kept)
    network.set_learning_rate(plan.rate(0) if rate is None else rate)
    return Prepared(network, splits, plan)


@ALL
def test_it_builds_for_every_data_set_that_suits_it(entry: ModelEntry, tmp_path: Path) -> None:
    kept = Kept()
    for dataset in suiting(entry):
        ready = prepare(entry, tmp_path, dataset, kept)
        outputs = ready.outputs()
        assert outputs.dtype == np.float32 and len(outputs) == 4 and np.isfinite(outputs).all()
        loss, metrics = ready.network.measure(ready.splits.validation)
        assert np.isfinite(loss) and metrics.keys() == entry.judging.metrics.keys()
        if entry.task == "classification":
            assert outputs.shape == (4, ready.splits.shape.classes)
            # A softmax at the end would be applied twice: the loss has it already.
            assert not np.allclose(outputs.sum(axis=1), 1.0, atol=1e-3)


@ALL
def test_one_step_lowers_the_loss(entry: ModelEntry, tmp_path: Path) -> None:
    ready = prepare(entry, tmp_path, optimizer="sgd")
    before, _ = ready.network.measure(first_batch(ready))
    weights, state = ready.network.weights(), ready.network.optimizer_state()
    after = []
    # Down the gradient the loss falls for a small enough step; how small, no TOML says.
    for rate in (1e-1, 1e-2, 1e-3, 1e-4):
        ready.network.set_weights(weights)
        ready.network.set_optimizer_state(state)
        ready.network.set_learning_rate(rate)
        ready.step()
        after.append(ready.network.measure(first_batch(ready))[0])
    assert min(after) < before, (before, after)


@ALL
def test_its_own_defaults_learn_a_batch_and_move_every_variable(
    entry: ModelEntry, tmp_path: Path
) -> None:
    ready = prepare(entry, tmp_path)
    variables = ready.network.model.trainable_variables
    before, (loss_before, _) = arrays_of(variables), ready.network.measure(first_batch(ready))
    for _ in range(10):
        ready.step()
    assert ready.network.measure(first_batch(ready))[0] < loss_before
    for variable, was, now in zip(variables, before, arrays_of(variables), strict=True):
        assert not np.array_equal(now, was), variable.path


@ALL
def test_one_seed_gives_the_same_weights_and_another_does_not(
    entry: ModelEntry, tmp_path: Path
) -> None:
    def initial(seed: int) -> str:
        return prepare(entry, tmp_path, seed=seed).digest()

    assert initial(1) == initial(1)
    assert initial(1) != initial(2)


@ALL
def test_a_state_put_back_goes_on_bit_for_bit(entry: ModelEntry, tmp_path: Path) -> None:
    first = prepare(entry, tmp_path)
    first.step()
    weights, optimizer = first.network.weights(), first.network.optimizer_state()
    # Measuring in between must leave no trace either.
    split = first.splits.validation
    assert first.network.measure(split) == first.network.measure(split)
    first.step()
    second = prepare(entry, tmp_path, seed=5)
    second.network.set_weights(weights)
    second.network.set_optimizer_state(optimizer)
    second.step()
    assert first.digest() == second.digest()


@ALL
def test_a_kept_network_gives_the_bits_of_a_new_one(entry: ModelEntry, tmp_path: Path) -> None:
    def after_three_steps(kept: Kept, seed: int) -> str:
        ready = prepare(entry, tmp_path, kept=kept, seed=seed)
        for _ in range(3):
            ready.step()
        return ready.digest()

    warm = Kept()
    first = after_three_steps(warm, 1)
    assert len(warm) == 1, "a model that draws its weights by Keras is kept"
    assert after_three_steps(warm, 2) == after_three_steps(Kept(), 2)
    assert after_three_steps(warm, 1) == first


@ALL
def test_it_builds_with_every_choice_and_at_every_bound(entry: ModelEntry, tmp_path: Path) -> None:
    kept = Kept()
    for name, parameter in entry.parameters.items():
        for value in values_at_the_bounds(parameter):
            ready = prepare(entry, tmp_path, kept=kept, parameters={name: value})
            assert np.isfinite(ready.outputs(training=True)).all(), (name, value)


def first_batch(ready: Prepared) -> Any:
    """The examples of `Prepared.step`, as a split to measure."""
    training = ready.splits.training
    return replace(training, x=training.x[:BATCH], y=training.y[:BATCH], count=BATCH)
