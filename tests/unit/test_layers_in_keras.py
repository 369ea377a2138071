"""Lists of layers against Keras itself: every layer, its shapes, its weights, and the slide's."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labpool import layers
from labpool.errors import SpecError
from labpool.layer_kinds import KINDS, Argument, Shape
from labpool.planning import plan
from labpool.reading import read_spec
from labpool.sdk import DataShape, Unsuitable
from tests.support.runners import CATALOG, reference_to, runner, trial_of
from worker import protocol
from worker.runner import backend, loading

ENTRY = CATALOG.models["layers"]
PICTURE: Shape = (16, 12, 3)


@pytest.fixture(scope="module", autouse=True)
def tensorflow() -> None:
    backend.prepare(1)


@pytest.fixture(scope="module")
def code() -> Any:
    return loading.load(reference_to(ENTRY), ENTRY.path / "model.py", "build")


def built(code: Any, listed: Any, shape: Shape) -> Any:
    kind: Any = "image" if len(shape) == 3 else "vector"
    return code.build({"layers": listed}, DataShape(kind, shape, 10))


def agree(code: Any, listed: list[layers.Layer], shape: Shape) -> None:
    """What is worked out beforehand is what Keras makes of it."""
    size = layers.size_of(listed, shape, 10)
    model = built(code, listed, shape)
    assert [tuple(one.output.shape[1:]) for one in model.layers[:-1]] == list(size.shapes[1:])
    # States of random draws are no weights.
    counted = [one for one in model.variables if "seed" not in one.path]
    assert sum(int(np.prod(one.shape)) for one in counted) == size.weights
    assert sum(int(np.prod(one.output.shape[1:])) for one in model.layers) == size.numbers
    out = np.array(model(np.zeros((2, *shape), np.float32), training=True))
    assert out.shape == (2, 10) and np.isfinite(out).all()


def some_value(draw: random.Random, argument: Argument) -> Any:
    if argument.type == "flag":
        return draw.random() < 0.5
    if argument.type == "choice":
        return draw.choice(argument.choices)
    if argument.type == "number":
        return draw.uniform(argument.least, argument.most)
    least, most = int(argument.least), int(min(argument.most, 5))
    if argument.type == "pair":
        return [draw.randint(least, most), draw.randint(least, most)]
    return draw.randint(least, most)


def some_layer(draw: random.Random, name: str) -> layers.Layer:
    given = {
        key: some_value(draw, argument)
        for key, argument in KINDS[name].arguments.items()
        if argument.required or draw.random() < 0.5
    }
    return {"type": name, **given}


@pytest.mark.parametrize("name", KINDS)
def test_each_layer_is_kerass_at_its_defaults_and_otherwise(code: Any, name: str) -> None:
    draw = random.Random(name)
    shape = (20,) if KINDS[name].takes == "vector" else PICTURE
    required = {key: one for key, one in KINDS[name].arguments.items() if one.required}
    plain = {"type": name, **{key: some_value(draw, one) for key, one in required.items()}}
    for layer in (plain, some_layer(draw, name), some_layer(draw, name)):
        listed, problems = layers.read([layer, {"type": "Flatten"}])
        assert problems == []
        agree(code, listed, shape)


def test_random_lists_are_refused_beforehand_or_built(code: Any) -> None:
    draw = random.Random(1)
    done = {"built": 0, "refused": 0}
    while done["built"] < 12:
        picture = [name for name in KINDS if KINDS[name].takes != "vector" and name != "Flatten"]
        names = [*draw.choices(picture, k=draw.randint(0, 4)), "Flatten", "Dense", "Dropout"]
        listed, problems = layers.read([some_layer(draw, name) for name in names])
        assert problems == []
        if layers.size_problems(listed, PICTURE, 10):
            done["refused"] += 1
            with pytest.raises(Unsuitable):
                built(code, listed, PICTURE)
        else:
            done["built"] += 1
            agree(code, listed, PICTURE)
    assert done["refused"] > 0


def test_defaults_that_are_filled_in_are_kerass_own(code: Any) -> None:
    """Left out or written out, a layer is the same: compared with Keras's own construction."""
    import keras

    for name, kind in KINDS.items():
        given = {key: one for key, one in kind.arguments.items() if one.required}
        chosen = {key: some_value(random.Random(0), one) for key, one in given.items()}
        if name == "AveragePooling2D":
            chosen["pool_size"] = [2, 2]  # Keras has no default here
        filled = layers.read([{"type": name, **chosen}])[0][0]
        theirs = getattr(keras.layers, name)(**chosen).get_config()
        for key in kind.arguments:
            ours = filled[key]
            at = [side for side, _ in theirs[key]] if name == "ZeroPadding2D" else theirs[key]
            assert (list(at) if isinstance(at, tuple) else at) == ours, (name, key)


def test_the_slides_network_as_a_list_trains_to_the_same_weights(tmp_path: Path) -> None:
    listed = read_spec((ENTRY.path / "example.yaml").read_text(encoding="utf-8"), "yaml")
    common = {"epochs": 1, "seed": 3, "batch_size": 32}
    theirs = {"kind": "train", "model": "keras_cnn", "dataset": "digits"}
    with runner(tmp_path / "home", "--light") as running:
        one = running.result(trial_of({**listed, **common}, tmp_path / "a", trial=1))
        two = running.result(trial_of({**theirs, **common}, tmp_path / "b", trial=2))
        other = running.result(trial_of({**theirs, **common, "seed": 4}, tmp_path / "c", trial=3))
    assert one.summary["weights_sha256"] == two.summary["weights_sha256"]
    assert one.metrics["test_loss"] == two.metrics["test_loss"]
    assert one.summary["weights_sha256"] != other.summary["weights_sha256"]


def test_a_list_that_got_past_the_service_fails_with_its_reason(tmp_path: Path) -> None:
    spec = {
        "kind": "train", "model": "layers", "dataset": "digits", "epochs": 1,
        "parameters": {"layers": [{"type": "Flatten"}]},
    }  # fmt: skip
    with runner(tmp_path / "home", "--light") as running:
        trial = trial_of(spec, tmp_path / "a")
        hostile = {**trial.spec, "parameters": {"layers": [{"type": "Lambda"}]}}
        answer = running.run(trial.model_copy(update={"spec": hostile}))[-1]
    assert isinstance(answer, protocol.Failed), answer
    assert "must be a layer that a spec may list, not 'Lambda'" in answer.reason
    with pytest.raises(SpecError):
        plan({**spec, "parameters": hostile["parameters"]}, CATALOG)
