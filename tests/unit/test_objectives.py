"""Models that say themselves what they are trained for."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from labpool.catalog import Catalog
from labpool.errors import CatalogError
from labpool.model_form import Judging, Metric
from labpool.sdk import DataShape, Unsuitable
from labpool.settings import CHECKOUT
from tests.support.runners import of_type, points_of, reference_to, runner, trial_of
from worker.protocol import Checkpoint, Failed, Result
from worker.runner import backend, loading
from worker.runner.data import Split
from worker.runner.digests import digest_of_weights
from worker.runner.fitting import FitNetwork
from worker.runner.network import Network, check_model
from worker.runner.objective import CLASSIFICATION, Objective
from worker.runner.reasons import EntryBroken
from worker.runner.resident import Resident
from worker.runner.standing import Standing

CATALOG = Catalog.load([CHECKOUT / "catalog", CHECKOUT / "tests" / "support" / "catalog"])
ENTRY = CATALOG.models["own_objective"]
SHAPE = DataShape("vector", (4,), 3)
COUNT = 20


@pytest.fixture(scope="module", autouse=True)
def tensorflow() -> None:
    backend.prepare(1)


@pytest.fixture(scope="module")
def code() -> ModuleType:
    return loading.load(reference_to(ENTRY), ENTRY.path / "model.py", "build")


@pytest.fixture(scope="module")
def examples() -> Resident:
    draw = np.random.Generator(np.random.PCG64(0))
    x = draw.standard_normal((COUNT, 4), dtype=np.float32)
    return Resident.of(Split(x, draw.integers(0, 3, COUNT)), "cpu")


def without_own_step(code: ModuleType) -> Any:
    return SimpleNamespace(loss=code.loss, metrics=code.metrics)


def trained(engine: type[Network], code: Any, build: Any, examples: Resident) -> Network:
    objective = Objective.of(code, {}, ENTRY.judging)
    backend.reset(1)
    network = engine(build({}, SHAPE), "adam", 8, "cpu", objective)
    network.set_learning_rate(0.05)
    losses, sums = network.train_steps(examples, np.arange(COUNT), 0, 3)
    assert losses.shape == (3,) and sums.shape == (3, 2)
    return network


def test_an_own_step_that_does_what_labpool_does_ends_with_its_bits(
    code: ModuleType, examples: Resident
) -> None:
    own = trained(Network, code, code.build, examples)
    labpools = trained(Network, without_own_step(code), code.build, examples)
    by_fit = trained(FitNetwork, without_own_step(code), code.build, examples)
    digests = {digest_of_weights(one.weights()) for one in (own, labpools, by_fit)}
    assert len(digests) == 1


def test_fit_refuses_a_step_of_its_own(code: ModuleType, examples: Resident) -> None:
    with pytest.raises(Unsuitable, match="engine: loop"):
        trained(FitNetwork, code, code.build, examples)


class SingleOutput:
    """A model of one number, whose loss is the squared distance from the class's number."""

    @staticmethod
    def build(parameters: Any, data: DataShape) -> Any:
        import keras

        del parameters
        return keras.Sequential([keras.Input(data.shape), keras.layers.Dense(1)])

    @staticmethod
    def loss(parameters: Any, y: Any, outputs: Any) -> Any:
        import tensorflow as tf

        del parameters
        return (outputs[:, 0] - tf.cast(y, outputs.dtype)) ** 2

    @classmethod
    def metrics(cls, parameters: Any, y: Any, outputs: Any) -> Any:
        return {"distance": cls.loss(parameters, y, outputs), "accuracy": outputs[:, 0] < 0}


def test_fit_and_loop_agree_on_a_single_output(examples: Resident) -> None:
    networks = [trained(engine, SingleOutput, SingleOutput.build, examples)
                for engine in (Network, FitNetwork)]  # fmt: skip
    loop, fit = (digest_of_weights(network.weights()) for network in networks)
    assert loop == fit


def test_fit_refuses_what_the_loop_refuses(code: ModuleType, examples: Resident) -> None:
    import keras
    import tensorflow as tf

    class Noisy(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return x + tf.random.normal(tf.shape(x))

    def build(parameters: Any, data: DataShape) -> Any:
        inner = code.build(parameters, data)
        return keras.Sequential([keras.Input(data.shape), Noisy(), *inner.layers])

    for engine in (Network, FitNetwork):
        with pytest.raises(EntryBroken, match="RandomStandardNormal"):
            trained(engine, without_own_step(code), build, examples)


def test_metrics_are_means_over_the_examples(code: ModuleType, examples: Resident) -> None:
    network = trained(Network, code, code.build, examples)
    probabilities = np.array(network.model(examples.x, training=False), np.float64)
    y = examples.y.numpy()
    distances = ((probabilities - np.eye(3)[y]) ** 2).sum(axis=1)
    loss, metrics = network.measure(examples)
    assert metrics["accuracy"] == (probabilities.argmax(axis=1) == y).mean()
    assert metrics["distance"] == pytest.approx(distances.mean(), rel=1e-6)
    assert loss == pytest.approx(distances.mean() / 2, rel=1e-6)


def test_less_of_the_selecting_metric_is_better() -> None:
    objective = Objective(CLASSIFICATION.loss, CLASSIFICATION.metrics, ENTRY.judging)
    standing = Standing()
    for epoch, distance in enumerate((0.5, 0.2, 0.3), start=1):
        score = objective.judging.score({"distance": distance, "accuracy": 0.9 - distance})
        standing = standing.watch(epoch, score, 1.0).offer(epoch, score, 1.0)
    assert standing.best_epoch == 2
    assert objective.judging.signed(standing.best_score) == 0.2


def test_the_loss_can_select() -> None:
    judging = Judging(metrics={}, selects="loss")
    objective = Objective(CLASSIFICATION.loss, CLASSIFICATION.metrics, judging)
    assert objective.judging.score({"loss": 0.25}) == -0.25
    assert objective.names == ()


def test_what_code_and_toml_disagree_on_is_named(code: ModuleType, examples: Resident) -> None:
    judging = Judging(metrics={"iou": Metric(direction="maximize", meaning="x")}, selects="iou")
    with pytest.raises(EntryBroken, match=r"judges by iou, and model\.py has no metrics"):
        Objective.of(SimpleNamespace(), {}, judging)  # type: ignore[arg-type]
    network = Network(code.build({}, SHAPE), "sgd", 8, "cpu", Objective.of(code, {}, judging))
    with pytest.raises(EntryBroken, match="gives no 'iou'"):
        network.train_steps(examples, np.arange(COUNT), 0, 1)


def test_outputs_that_are_no_logits_need_a_loss_of_their_own(code: ModuleType) -> None:
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5)])
    with pytest.raises(EntryBroken, match="logits"):
        check_model(model, SHAPE)
    check_model(model, SHAPE, Objective.of(code, {}, ENTRY.judging))


@pytest.mark.parametrize(
    ("judging", "words"),
    [
        ('selects = "iou"', "'iou' is none of loss, accuracy"),
        ("[judging.metrics.loss]\ndirection = 'minimize'\nmeaning = 'x'", "selects|leave it out"),
        ("[judging.metrics.iou]\ndirection = 'up'\nmeaning = 'x'", "direction"),
        ("[judging.metrics.iou]\ndirection = 'maximize'", "meaning"),
    ],
)
def test_a_bad_table_of_metrics_is_named(tmp_path: Path, judging: str, words: str) -> None:
    folder = tmp_path / "models" / "one"
    folder.mkdir(parents=True)
    text = f"title = 'One'\nsummary = 'x'\n[input]\nkind = 'any'\n[judging]\n{judging}\n"
    (folder / "model.toml").write_text(text)
    with pytest.raises(CatalogError, match=words):
        Catalog.load([tmp_path])


def test_a_whole_trial_chooses_by_it(tmp_path: Path) -> None:
    spec = {
        "kind": "train", "model": "own_objective", "dataset": "digits", "epochs": 4,
        "learning_rate": 0.3,
    }  # fmt: skip
    with runner(tmp_path / "home", "--light") as running:
        messages = running.run(trial_of(spec, tmp_path / "a", catalog=CATALOG))
    answer = messages[-1]
    assert isinstance(answer, Result), answer
    epochs = [one.values for one in points_of(messages) if "val_distance" in one.values]
    assert len(epochs) == 4
    distances = [values["val_distance"] for values in epochs]
    assert answer.metrics["val_distance"] == min(distances)
    assert answer.metrics["best_epoch"] == 1 + distances.index(min(distances))
    assert {"test_distance", "test_accuracy", "test_loss", "val_loss"} <= answer.metrics.keys()
    # A checkpoint shows the metric itself, not the score that it is ordered by.
    assert min(one.value for one in of_type(messages, Checkpoint)) == min(distances)


def test_a_selecting_metric_that_is_no_number_ends_the_trial_with_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "catalog" / "models" / "spoilt"
    shutil.copytree(ENTRY.path, folder)
    code = (folder / "model.py").read_text(encoding="utf-8")
    spoilt = code.replace('"distance": tf.reduce_sum(', '"distance": float("nan") * tf.reduce_sum(')
    (folder / "model.py").write_text(
        spoilt.replace('metrics(parameters, y, outputs)["distance"]', "tf.reduce_sum(outputs, 1)")
    )
    catalog = Catalog.load([CHECKOUT / "catalog", tmp_path / "catalog"])
    spec = {"kind": "train", "model": "spoilt", "dataset": "digits", "epochs": 2}
    with runner(tmp_path / "home", "--light") as running:
        answer = running.run(trial_of(spec, tmp_path / "a", catalog=catalog))[-1]
    assert isinstance(answer, Failed), answer
    assert answer.reason_kind == "diverged"
    assert "val_distance" in answer.reason and "nan" in answer.reason
