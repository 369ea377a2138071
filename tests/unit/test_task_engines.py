"""The models of other tasks than classification: both engines, checkpoints, and what they give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from labpool.catalog import ModelEntry
from labpool.parameters import fill
from labpool.sdk import Unsuitable
from tests.support.runners import CATALOG, reference_to
from worker.runner import backend, data, loading, tasks
from worker.runner.data import Split, permutation
from worker.runner.digests import digest_of_weights
from worker.runner.fitting import FitNetwork
from worker.runner.network import Network, check_model
from worker.runner.objective import Objective
from worker.runner.resident import Resident

EXAMPLES, BATCH, EPOCHS = 50, 16, 3
SMALL: dict[str, dict[str, Any]] = {
    "localise": {"filters": 4, "hidden": 8},
    "segment": {"filters": 4, "levels": 2},
}
VARIANTS = [
    ("localise", {}),
    ("localise", {"box_loss": "smooth_l1", "box_weight": 5.0}),
    ("segment", {}),
]


@pytest.fixture(scope="module", autouse=True)
def tensorflow() -> None:
    backend.prepare(1)


class Task:
    """A catalog model with a few of the shapes."""

    def __init__(self, name: str, **parameters: Any) -> None:
        self.entry: ModelEntry = CATALOG.models[name]
        given = {**SMALL[name], **parameters}
        self.parameters = fill(dict(self.entry.parameters), given, of=name)[0]
        self.code = loading.load(reference_to(self.entry), self.entry.path / "model.py", "build")
        self.objective = Objective.of(
            self.code, self.parameters, self.entry.judging, self.entry.task
        )
        shapes = CATALOG.datasets["shapes"]
        module = loading.load(reference_to(shapes), shapes.path.with_suffix(".py"), "load")
        wanted = {"examples": EXAMPLES, "size": 16}
        examples = module.load(fill(dict(shapes.parameters), wanted, of="shapes")[0])
        data.check(examples, "image")
        classes = tasks.classes(examples, self.entry.task)
        self.shape = data.shape_of(examples.x, "image", classes, self.entry.task)
        self.split = Split(examples.x, tasks.targets(examples, self.entry.task))
        self.resident = Resident.of(self.split, "cpu")

    def network(self, engine: type[Network] = Network, seed: int = 4) -> Network:
        backend.reset(seed)
        model = self.code.build(self.parameters, self.shape)
        check_model(model, self.shape, self.objective)
        return engine(model, "adam", BATCH, "cpu", self.objective, self.resident.target)

    def train(self, network: Network, epochs: range) -> str:
        steps = -(-EXAMPLES // BATCH)
        for epoch in epochs:
            network.set_learning_rate(0.01 * 0.9**epoch)
            order = permutation(EXAMPLES, 4, epoch)
            if network.whole_epochs:
                network.train_steps(self.resident, order, 0, steps)
            else:
                network.train_steps(self.resident, order, 0, 1)
                network.train_steps(self.resident, order, 1, steps - 1)
        return digest_of_weights([*network.weights(), *network.optimizer_state()])


@pytest.mark.parametrize(("name", "parameters"), VARIANTS)
def test_the_loop_ends_with_the_bits_of_fit(name: str, parameters: dict[str, Any]) -> None:
    task = Task(name, **parameters)
    by_loop, by_fit = task.network(), task.network(FitNetwork)
    assert task.train(by_loop, range(EPOCHS)) == task.train(by_fit, range(EPOCHS))
    assert by_loop.measure(task.resident) == by_fit.measure(task.resident)


@pytest.mark.parametrize(("name", "parameters"), VARIANTS)
def test_a_state_put_back_goes_on_bit_for_bit(name: str, parameters: dict[str, Any]) -> None:
    task = Task(name, **parameters)
    whole = task.train(task.network(), range(EPOCHS))
    first = task.network()
    task.train(first, range(2))
    second = task.network(seed=9)
    second.set_weights(first.weights())
    second.set_optimizer_state(first.optimizer_state())
    assert task.train(second, range(2, EPOCHS)) == whole


def outputs_of_truth(task: Task) -> Any:
    """Outputs that say what the targets say."""
    y = task.split.y
    if task.entry.task == "segmentation":
        return 9 * np.eye(task.shape.classes, dtype=np.float32)[y]
    logits = 9 * np.eye(task.shape.classes, dtype=np.float32)[y[:, 0].astype(int)]
    return np.concatenate([logits, y[:, 1:]], axis=1)


@pytest.mark.parametrize("name", SMALL)
def test_the_truth_scores_one(name: str) -> None:
    task = Task(name)
    outputs = outputs_of_truth(task)
    for values in task.objective.metrics(task.resident.y, outputs).values():
        assert np.allclose(values, 1.0, atol=1e-5)
    assert (np.array(task.objective.loss(task.resident.y, outputs)) < 0.01).all()


@pytest.mark.parametrize(
    ("found", "iou", "generalised"),
    [
        ((0.5, 0.5, 0.4, 0.4), 1.0, 1.0),
        # Half of the true box, and nothing else.
        ((0.4, 0.5, 0.2, 0.4), 0.5, 0.5),
        # A quarter of each is shared: 0.04 of 0.28, and 0.36 around both.
        ((0.7, 0.7, 0.4, 0.4), 1 / 7, 1 / 7 - 0.08 / 0.36),
        # Apart: 0.32 covered within 0.4 by 1.0.
        ((0.1, 0.5, 0.1, 0.4), 0.0, -0.05 * 0.4 / (0.65 * 0.4) - 0.1 * 0.4 / (0.65 * 0.4)),
        ((0.5, 0.5, 0.0, 0.0), 0.0, 0.0),
    ],
)
def test_boxes_are_compared_by_area(found: Any, iou: float, generalised: float) -> None:
    task = Task("localise", box_weight=1.0)
    y = np.float32([[0, 0.5, 0.5, 0.4, 0.4]])
    outputs = np.float32([[40, 0, 0, 0, *found]])
    assert float(task.objective.metrics(y, outputs)["iou"][0]) == pytest.approx(iou, abs=1e-5)
    loss = float(task.objective.loss(y, outputs)[0])
    assert loss == pytest.approx(1 - generalised, abs=1e-5)


def test_pixels_are_counted_as_the_page_says() -> None:
    task = Task("segment")
    y = np.array([[[0, 1], [1, 0]], [[0, 0], [0, 0]], [[2, 0], [0, 0]]])
    #   one right, one wrongly named, one too many     nothing       all wrong
    found = np.array([[[0, 1], [2, 3]], [[0, 0], [0, 0]], [[1, 0], [0, 0]]])
    values = task.objective.metrics(y, np.eye(5, dtype=np.float32)[found])
    assert np.allclose(values["iou"], [1 / 3, 1.0, 0.0])
    assert np.allclose(values["pixel_accuracy"], [0.5, 1.0, 0.75])


def test_a_picture_that_cannot_be_halved_is_refused() -> None:
    task = Task("segment", levels=4)
    with pytest.raises(Unsuitable, match="fewer levels"):
        task.code.build(task.parameters | {"levels": 3}, data.shape_of(
            np.zeros((1, 12, 16, 1), np.float32), "image", 5, "segmentation"
        ))  # fmt: skip
