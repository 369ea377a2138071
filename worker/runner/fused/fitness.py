"""Whether trials of a network can be trained together, and what is in the way when not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import keras

from labpool.layer_kinds import ACTIVATIONS
from worker.runner.fused.layers import KINDS
from worker.runner.fused.rules import RULES
from worker.runner.objective import CLASSIFICATION, Objective
from worker.runner.optimizers import make

_REGULARIZED: Final = (
    "kernel_regularizer", "bias_regularizer", "activity_regularizer", "beta_regularizer",
    "gamma_regularizer", "kernel_constraint", "bias_constraint", "beta_constraint",
    "gamma_constraint", "quantization_mode", "lora_rank",
)  # fmt: skip
# Of Keras optimizers, with what each is when it does nothing.
_OPTIMIZER_EXTRAS: Final[Mapping[str, Any]] = {
    "global_clipnorm": None,
    "clipnorm": None,
    "clipvalue": None,
    "weight_decay": None,
    "use_ema": False,
    "loss_scale_factor": None,
    "gradient_accumulation_steps": None,
    "nesterov": False,
    "amsgrad": False,
    "centered": False,
}
_MIXES: Final = "it takes the norm over all gradients, which would mix the members'"


def why_not(
    model: Any, optimizer: Any, objective: Objective = CLASSIFICATION, engine: str = "loop"
) -> str | None:
    """What keeps trials of `model` from being trained together, as a sentence; None when nothing.

    `optimizer` is a name of a spec or a Keras optimizer. Trials it speaks against run one by one.
    """
    if engine != "loop":
        return f"engine: {engine} trains one trial at a time."
    if objective.gradients is not None:
        return "The model has a step of its own."
    return _optimizer_problem(optimizer) or _model_problem(model)


def _optimizer_problem(optimizer: Any) -> str | None:
    if isinstance(optimizer, str):
        if optimizer not in RULES:
            return f"The optimizer {optimizer} has no form for several trials."
        optimizer = make(optimizer)
    known = {type(make(name)) for name in RULES}
    if type(optimizer) not in known:
        return f"The optimizer {type(optimizer).__name__} has no form for several trials."
    if getattr(optimizer, "global_clipnorm", None) is not None:
        return f"The optimizer has global_clipnorm set: {_MIXES}."
    for name, off in _OPTIMIZER_EXTRAS.items():
        if getattr(optimizer, name, off) not in (off, False):
            return f"The optimizer has {name} set, which has no form for several trials."
    return None


def _model_problem(model: Any) -> str | None:
    if type(model) is not keras.Sequential:
        return "The model is not a keras.Sequential."
    covered: set[int] = set()
    for layer in model.layers:
        if problem := _layer_problem(layer):
            return f"The layer {layer.name!r} {problem}."
        covered.update(id(variable) for variable in layer.variables)
    if len(model.inputs) != 1 or len({id(layer) for layer in model.layers}) != len(model.layers):
        return "The model uses a layer twice."
    if any(id(variable) not in covered for variable in model.variables):
        return "The model has variables that belong to no layer."
    return None


def _layer_problem(layer: Any) -> str | None:
    kind, name = KINDS.get(type(layer).__name__), type(layer).__name__
    # A class of somebody's own may have the name of one of Keras's.
    if kind is None or type(layer) is not getattr(keras.layers, name):
        return f"is a {name}, which has no form for several trials"
    if not layer.trainable or "call" in vars(layer):
        return "is frozen"
    if layer.compute_dtype != layer.variable_dtype:
        return f"computes in {layer.compute_dtype} with weights in {layer.variable_dtype}"
    for attribute in _REGULARIZED:
        if getattr(layer, attribute, None):
            return f"has a {attribute}, which has no form for several trials"
    if getattr(layer, "rate", 0) == 1:
        return "drops everything"
    for attribute, wanted in kind.only.items():
        if getattr(layer, attribute) != wanted:
            return f"has {attribute} = {getattr(layer, attribute)!r}, where {wanted!r} is known"
    if (activation := getattr(layer, "activation", None)) not in _ELEMENTWISE:
        return f"has the activation {getattr(activation, '__name__', activation)!r}"
    return _shape_problem(layer, kind.vectors_only)


def difference(one: Any, other: Any) -> str | None:
    """What keeps two models that can be trained together from being in one group, as a sentence.

    They may differ in how their weights are drawn, and in the numbers that members have of their
    own; where one has such a number and the other none, they are not alike.
    """
    ours, theirs = one.layers, other.layers
    if len(ours) != len(theirs) or one.input_shape != other.input_shape:
        return "The models have not the same layers."
    for mine, its in zip(ours, theirs, strict=True):
        if type(mine) is not type(its) or _fixed(mine) != _fixed(its):
            return f"The models differ in the layer {mine.name!r}."
    return None


def _fixed(layer: Any) -> Any:
    kind = KINDS[type(layer).__name__]
    config = {
        name: value
        for name, value in layer.get_config().items()
        if name not in ("seed", *kind.own_names) and not name.endswith("_initializer")
    }
    return config, [number > 0 for number in kind.own(layer)]


def _shape_problem(layer: Any, vectors_only: bool) -> str | None:
    rank = len(layer.input.shape)
    if rank not in ((2,) if vectors_only else (2, 4)):
        return f"takes inputs of {rank - 1} dimensions"
    axis = getattr(layer, "axis", -1)
    if axis not in (-1, rank - 1, [-1], [rank - 1]):
        return f"has axis = {axis}, where the last is known"
    return None


_ELEMENTWISE: Final = frozenset({None, *(keras.activations.get(name) for name in ACTIVATIONS)})
