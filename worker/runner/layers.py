"""A model's layers by name: which do not learn, and which begin with another trial's weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from labpool.sdk import Unsuitable
from worker.runner.checkpoints import Checkpoint
from worker.runner.digests import digest_of_weights
from worker.runner.network import arrays_of
from worker.runner.reasons import EntryBroken
from worker.wire_types import Json

MOST_NAMES = 12
"""Names in a message; the log of a larger model would hold little else."""


def layers_of(model: keras.Model) -> dict[str, keras.layers.Layer]:
    """Layers by name, in the model's order, without what only says how large an input is."""
    return {
        layer.name: layer
        for layer in model.layers
        if not isinstance(layer, keras.layers.InputLayer)
    }


def freeze(model: keras.Model, names: Sequence[str]) -> None:
    """Keep these layers as they are: they take no steps, and work as they do in evaluation.

    So batch normalisation keeps its averages, and a dropout that is named lets everything through.
    Raises Unsuitable.
    """
    layers = layers_of(model)
    refuse_unknown("freeze", names, layers)
    for name in names:
        layers[name].trainable = False
        if "training" in signature(layers[name].call).parameters:
            layers[name].call = _as_in_evaluation(layers[name].call)
    if names and not model.trainable_variables:
        raise Unsuitable("freeze: no layer is left that could learn; leave one out.")


def refuse_unknown(field: str, names: Sequence[str], known: Mapping[str, Any]) -> None:
    """Raises Unsuitable for a name that is not among the `known`."""
    missing = [name for name in names if name not in known]
    if missing:
        raise Unsuitable(
            f"{field}: the model has no layer {missing[0]!r}. It has {_listed(list(known))}."
        )


def _as_in_evaluation(call: Callable[..., Any]) -> Callable[..., Any]:
    def frozen(*arguments: Any, training: Any = None, **more: Any) -> Any:
        del training
        return call(*arguments, training=False, **more)

    return frozen


@dataclass(frozen=True)
class Beginning:
    """What a run begins with: layers taken from another trial, fresh ones, and frozen ones."""

    taken: tuple[str, ...]
    fresh: tuple[str, ...]
    frozen: tuple[str, ...]
    arrays: Mapping[str, Sequence[NDArray[Any]]]

    @classmethod
    def of(
        cls, model: keras.Model, spec: Mapping[str, Any], origin: Checkpoint | None
    ) -> Beginning:
        """By the spec's `fresh` and `freeze`, out of the best weights of `origin`.

        A layer is taken when `origin` has one of its name; its arrays must then have the same
        shapes, but for the output layer (the last with weights), which begins anew where they
        differ. Raises Unsuitable.
        """
        named, frozen = list(spec.get("fresh", ())), tuple(spec.get("freeze", ()))
        layers = layers_of(model)
        refuse_unknown("fresh", named, layers)
        weighted = [name for name, layer in layers.items() if layer.weights]
        arrays: dict[str, Sequence[NDArray[Any]]] = {}
        if origin is not None:
            arrays = _taken(layers, weighted, named, origin)
        return cls(
            taken=tuple(arrays),
            fresh=tuple(name for name in weighted if name not in arrays),
            frozen=frozen,
            arrays=arrays,
        )

    def give_to(self, model: keras.Model) -> None:
        """Put the taken weights into `model`."""
        layers = layers_of(model)
        for name, arrays in self.arrays.items():
            for variable, array in zip(layers[name].weights, arrays, strict=True):
                variable.assign(array)

    def digest_of_frozen(self, model: keras.Model) -> str | None:
        """One sha256 over all that frozen layers hold; None when none is frozen."""
        layers = layers_of(model)
        held = [array for name in self.frozen for array in arrays_of(layers[name].variables)]
        return digest_of_weights(held) if self.frozen else None

    def check_frozen(self, model: keras.Model, before: str | None) -> None:
        """Raises EntryBroken when a frozen layer is not what it was: by the model's own code."""
        if self.digest_of_frozen(model) != before:
            raise EntryBroken("the model's own code changes layers that are frozen.")

    def summary(self, model: keras.Model) -> Json:
        """What the result says of it."""
        found: Json = {
            "layers": {
                "taken": list(self.taken),
                "fresh": list(self.fresh),
                "frozen": list(self.frozen),
                "all": list(layers_of(model)),
            }
        }
        if self.frozen:
            found["frozen_sha256"] = self.digest_of_frozen(model)
        return found

    def told(self) -> str:
        """For people who watch the log."""
        parts = (("taken", self.taken), ("fresh", self.fresh), ("frozen", self.frozen))
        return "; ".join(f"{what}: {_listed(names)}" for what, names in parts)


def _taken(
    layers: Mapping[str, Any], weighted: Sequence[str], named: Sequence[str], origin: Checkpoint
) -> dict[str, Sequence[NDArray[Any]]]:
    if origin.names:
        raise Unsuitable("init_from: that trial's model trains itself and has no layers to take.")
    if not origin.layers:
        raise Unsuitable(
            "init_from: that checkpoint does not say which layers it holds, as it is from before "
            "this was kept. Run its trial again and begin with that one."
        )
    if not origin.best:
        raise Unsuitable("init_from: that checkpoint holds no best epoch.")
    arrays: dict[str, Sequence[NDArray[Any]]] = {}
    for name in weighted:
        if name in named or name not in origin.layers:
            continue
        theirs = [origin.best[number] for number in origin.layers[name]]
        if _forms(theirs) == _forms(arrays_of(layers[name].weights)):
            arrays[name] = theirs
        elif name != weighted[-1]:
            raise Unsuitable(
                f"init_from: the layer {name!r} has the shapes {_shapes(theirs)} there and "
                f"{_shapes(arrays_of(layers[name].weights))} here. Give the model the same "
                f"parameters, or begin it anew with: fresh: [{name}]"
            )
    if not arrays:
        raise Unsuitable(
            "init_from: nothing of that trial would be taken. "
            f"It has {_listed(list(origin.layers))}; this model has {_listed(weighted)}."
        )
    return arrays


def _forms(arrays: Sequence[NDArray[Any]]) -> list[tuple[tuple[int, ...], str]]:
    return [(array.shape, str(np.dtype(array.dtype))) for array in arrays]


def _shapes(arrays: Sequence[NDArray[Any]]) -> str:
    return ", ".join(str(list(array.shape)) for array in arrays)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MOST_NAMES]) or "none"
    return f"{shown} and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else shown
