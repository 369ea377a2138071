"""What can be trained together, and what says why it cannot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from labpool.layer_kinds import KINDS as LISTED
from labpool.sdk import Unsuitable
from tests.support import fusing
from tests.support.runners import CATALOG
from tests.unit.test_engines import of_catalog, of_kind
from worker.runner import backend
from worker.runner.fused.fitness import why_not
from worker.runner.fused.layers import KINDS
from worker.runner.fused.network import FusedNetwork
from worker.runner.fused.rules import RULES
from worker.runner.objective import CLASSIFICATION
from worker.runner.optimizers import RULES as OFFERED


@pytest.fixture(scope="module", autouse=True)
def tensorflow() -> None:
    backend.prepare(1)


def flat() -> list[Any]:
    from keras import layers

    return [layers.Flatten(), layers.Dense(4)]


def plain() -> Any:
    return fusing.sequential(flat)()


def test_it_works() -> None:
    assert why_not(plain(), "adam") is None


def test_all_that_a_spec_may_list_has_a_form() -> None:
    assert set(LISTED) <= set(KINDS)
    assert set(OFFERED) == set(RULES)
    for name in LISTED:
        assert why_not(fusing.sequential(lambda name=name: of_kind(name))(), "adam") is None, name


@pytest.mark.parametrize("name", ["mlp", "softmax", "lenet5", "keras_cnn", "relu100_tf"])
def test_the_catalogs_networks(name: str) -> None:
    found = why_not(of_catalog(CATALOG.models[name]), "adam")
    assert found is None or name == "relu100_tf", found


def test_engine_and_own_step() -> None:
    found = why_not(plain(), "adam", engine="fit")
    assert found is not None and "engine: fit" in found
    own = replace(CLASSIFICATION, gradients=lambda *_: None)
    assert why_not(plain(), "adam", own) == "The model has a step of its own."


@pytest.mark.parametrize(
    ("setting", "word"),
    [
        ({"global_clipnorm": 1.0}, "global_clipnorm"),
        ({"clipnorm": 1.0}, "clipnorm"),
        ({"clipvalue": 1.0}, "clipvalue"),
        ({"weight_decay": 0.01}, "weight_decay"),
        ({"use_ema": True}, "use_ema"),
        ({"nesterov": True, "momentum": 0.9}, "nesterov"),
        ({"gradient_accumulation_steps": 2}, "gradient_accumulation_steps"),
    ],
)
def test_settings_of_the_optimizer(setting: dict[str, Any], word: str) -> None:
    import keras

    found = why_not(plain(), keras.optimizers.SGD(0.1, **setting))
    assert found is not None and word in found


def test_other_optimizers() -> None:
    import keras

    for optimizer in ("nadam", keras.optimizers.Nadam()):
        found = why_not(plain(), optimizer)
        assert found is not None and "nadam" in found.lower()


def _layer(make: Callable[[Any], Any]) -> Any:
    import keras

    return fusing.sequential(lambda: [make(keras.layers)])()


def test_layers_and_their_settings() -> None:
    import keras

    class Dense(keras.layers.Dense):  # type: ignore[misc]
        """Not Keras's."""

    cases: list[tuple[Any, str]] = [
        (_layer(lambda k: k.Conv2D(4, 3, groups=2)), "groups"),
        (_layer(lambda k: k.Conv2D(4, 3, dilation_rate=2)), "dilation_rate"),
        (_layer(lambda k: k.Conv2D(4, 3, kernel_regularizer="l2")), "kernel_regularizer"),
        (_layer(lambda k: k.Conv2D(4, 3, activation="softmax")), "softmax"),
        (_layer(lambda k: k.DepthwiseConv2D(3)), "DepthwiseConv2D"),
        (_layer(lambda k: k.BatchNormalization(axis=1)), "axis"),
        (_layer(lambda k: k.UpSampling2D(2, interpolation="bilinear")), "interpolation"),
        (_layer(lambda k: k.Dense(4)), "dimensions"),
        (fusing.sequential(lambda: [keras.layers.Flatten(), Dense(4)])(), "Dense"),
    ]
    for model, word in cases:
        found = why_not(model, "adam")
        assert found is not None and word in found and "layer" in found, (word, found)


def test_frozen_layers_functional_and_shared_ones() -> None:
    import keras

    frozen = plain()
    frozen.layers[1].trainable = False
    found = why_not(frozen, "adam")
    assert found is not None and "frozen" in found
    given = keras.Input((4,))
    functional = keras.Model(given, keras.layers.Dense(3)(given))
    found = why_not(functional, "adam")
    assert found is not None and "Sequential" in found


def test_a_group_is_refused_with_the_reason() -> None:
    import keras

    given = keras.Input((4,))
    functional = keras.Model(given, keras.layers.Dense(3)(given))
    with pytest.raises(Unsuitable, match="Sequential"):
        FusedNetwork(functional, 2, "adam", 16, "cpu")
