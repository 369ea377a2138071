"""The catalog's `gan`: two networks in one model, each with its own gradient."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from labpool.parameters import fill
from labpool.sdk import DataShape, Unsuitable
from tests.lab import gan as lab
from tests.support.runners import CATALOG, reference_to
from worker.runner import backend, loading
from worker.runner.data import Split
from worker.runner.digests import digest_of_weights
from worker.runner.network import arrays_of

ENTRY = CATALOG.models["gan"]
SHAPE = DataShape("image", (8, 8, 1), 3)


@pytest.fixture(scope="module", autouse=True)
def tensorflow() -> None:
    backend.prepare(1)


@pytest.fixture(scope="module")
def code() -> ModuleType:
    return loading.load(reference_to(ENTRY), ENTRY.path / "model.py", "build", "samples")


def parameters(**given: Any) -> dict[str, Any]:
    return fill(dict(ENTRY.parameters), {"filters": 4, **given}, of="gan")[0]


def made(code: ModuleType, shape: DataShape = SHAPE, **given: Any) -> Any:
    backend.reset(0)
    return code.build(parameters(**given), shape)


def examples(shape: DataShape, count: int = 6) -> tuple[Any, Any]:
    import tensorflow as tf

    draw = np.random.default_rng(0)
    x = draw.random((count, *shape.shape), dtype=np.float32)
    return tf.constant(x), tf.constant(np.arange(count) % shape.classes)


@pytest.mark.parametrize("sides", [(8, 8, 1), (4, 12, 1), (32, 32, 3)])
def test_it_works(code: ModuleType, sides: tuple[int, ...]) -> None:
    shape = DataShape("image", sides, 3)
    model = made(code, shape)
    grid = code.samples(parameters(), model, 5)
    assert grid.shape == (3, 8, *sides) and grid.dtype == np.float32
    assert grid.min() >= 0 and grid.max() <= 1
    x, _ = examples(shape)
    logits = np.asarray(model(x, training=False))
    assert logits.shape == (6, 3) and np.isfinite(logits).all()


@pytest.mark.parametrize("shape", [DataShape("image", (7, 8, 1), 3), DataShape("vector", (64,), 3)])
def test_what_it_cannot_draw_is_refused(code: ModuleType, shape: DataShape) -> None:
    with pytest.raises(Unsuitable, match="multiples of 4"):
        code.build(parameters(), shape)


def test_content_goes_down_and_style_across(code: ModuleType) -> None:
    model = made(code)
    grid, again = code.samples(parameters(), model, 5), code.samples(parameters(), model, 5)
    assert np.array_equal(grid, again)
    assert not np.array_equal(grid, code.samples(parameters(), model, 6))
    both, rows = model.get_layer("adversaries"), []
    for content in range(3):
        y = np.full(8, content)
        rows.append(np.asarray(both.draw(y, both.styles(8, seed=5), training=False)))
    assert np.array_equal(grid, np.stack(rows)), "each row has the styles of the others"


def test_drawing_and_measuring_leave_every_variable_alone(code: ModuleType) -> None:
    model = made(code)
    before = digest_of_weights(arrays_of(model.variables))
    code.samples(parameters(), model, 5)
    model(examples(SHAPE)[0], training=False)
    assert digest_of_weights(arrays_of(model.variables)) == before


def test_each_network_follows_its_own_loss(code: ModuleType) -> None:
    given = parameters(dropout=0.0, smoothing=0.0)
    model = made(code, dropout=0.0, smoothing=0.0)
    both = model.get_layer("adversaries")
    x, y = examples(SHAPE)
    before = arrays_of(model.variables)
    total, _, found = code.gradients(given, model, x, y)

    def losses(of: str, step: float) -> tuple[float, float]:
        """What each makes small, by its definition, a step against the gradient of one of them."""
        for variable, was in zip(model.variables, before, strict=True):
            variable.assign(was)
        for variable, gradient in zip(model.trainable_variables, found, strict=True):
            if of in variable.path:
                variable.assign_sub(step * gradient)
        drawn = both.draw(y, both.fresh_styles(6), training=True)
        real, forged = (
            np.asarray(both.discriminator(one, training=True))[np.arange(6), y]
            for one in (x, drawn)
        )
        return _unsure(real) + _unsure(-forged), _unsure(forged)

    here = losses("", 0.0)
    assert float(total) == pytest.approx(sum(here), rel=1e-3)
    assert losses("d_", 1e-2)[0] < here[0] < losses("d_", -1e-2)[0]
    assert losses("g_", 1e-2)[1] < here[1] < losses("g_", -1e-2)[1]


def _unsure(logits: Any) -> float:
    return float(np.log1p(np.exp(-logits)).mean())


def test_the_nearest_drawn_picture_names_the_class(code: ModuleType) -> None:
    drawn = np.zeros((4, 2, 2, 1), np.float32)
    drawn[1], drawn[2], drawn[3] = 0.25, 0.5, 1.0
    y = np.array([0, 0, 1, 1])
    x = np.array([0.2, 0.6, 1.0], np.float32).reshape(3, 1, 1, 1) * np.ones((1, 2, 2, 1), "f4")
    logits = np.asarray(code.nearness(x, drawn, y, 3))
    distances = {"right": [0.05, 0.1, 0.0], "wrong": [0.3, 0.35, 0.75]}
    expected = -code.SHARPNESS * np.square([[0.05, 0.3], [0.35, 0.1], [0.75, 0.0]])
    assert logits[:, :2] == pytest.approx(expected, abs=1e-3)
    assert (logits[:, 2] < -1e6).all() and np.isfinite(logits).all(), "of class 2 nothing is drawn"
    found = code.metrics({}, np.array([0, 1, 1]), logits)
    assert np.asarray(found["accuracy"]).tolist() == [True, True, True]
    assert np.asarray(found["distance"]) == pytest.approx(distances["right"], abs=3e-3)
    wrong = code.metrics({}, np.array([1, 0, 0]), logits)
    assert not np.asarray(wrong["accuracy"]).any()
    assert np.asarray(wrong["distance"]) == pytest.approx(distances["wrong"], abs=3e-3)


def test_one_picture_a_class_is_no_spread() -> None:
    x = np.random.default_rng(0).random((20, 8, 8, 1), dtype=np.float32)
    y = np.arange(20) % 2
    assert lab.spread(Split(x[y], y)) < 1e-6, "a generator that has collapsed"
    assert lab.spread(Split(x, y)) > 0.2


def test_its_toml_says_what_its_code_gives(code: ModuleType) -> None:
    x, y = examples(SHAPE)
    model = made(code)
    assert set(code.metrics({}, y, model(x))) == set(ENTRY.judging.metrics)
    assert ENTRY.pictures is not None and ENTRY.pictures.every_epochs == 5
