"""Trained models, ready to answer: built, loaded with their best weights, traced, a few kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeAlias

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from labpool.catalog import Task
from labpool.dataset_form import Ink
from labpool.model_form import Judging, ModelInput
from labpool.sdk import DataShape
from worker.protocol import Predict
from worker.runner import backend, checkpoints, data, loading, tasks
from worker.runner.kept import key_of
from worker.runner.network import assign, check_model
from worker.runner.objective import Objective
from worker.runner.own_program import FUNCTIONS, OwnProgram
from worker.runner.reasons import EntryBroken

MOST_MODELS: Final = 4
"""Models kept at once; the least lately asked go first."""
AT_ONCE: Final = 256
"""Examples a call; bounds the memory that a large file takes."""

Outputs: TypeAlias = Mapping[str, NDArray[np.float32]]
Answering: TypeAlias = Callable[[NDArray[np.float32]], Outputs]
"""From examples [n, ...] as the model takes them to arrays [n, ...] by name."""


@dataclass(frozen=True)
class Predictor:
    """A model that answers. `shape` and `ink` are of its data set, `wanted` is what it takes."""

    answering: Answering
    shape: DataShape
    ink: Ink | None
    wanted: ModelInput

    def answer(self, x: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Arrays by name for examples [n, *shape] of the data set."""
        fitted, _ = data.fit_to_model(x, self.shape.kind, self.wanted)
        parts = [
            self.answering(fitted[start : start + AT_ONCE])
            for start in range(0, len(fitted), AT_ONCE)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


class Predictors:
    """The predictors of this process."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Predictor] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, question: Predict) -> tuple[Predictor, bool]:
        """The predictor of a question, and whether it was here already.

        Raises DigestMismatch when the catalog has changed, EntryBroken, CheckpointBroken.
        """
        key = key_of(
            question.checkpoint_sha256,
            question.code.digest,
            question.data.digest if question.data else None,
            question.spec.get("parameters"),
            question.spec.get("dataset_parameters"),
        )
        found = self._kept.pop(key, None)
        was_here = found is not None
        self._kept[key] = found = found or _made(question)
        while len(self._kept) > MOST_MODELS:
            self._kept.popitem(last=False)
        return found, was_here


@cache
def of_this_process() -> Predictors:
    """What this runner keeps."""
    return Predictors()


def _made(question: Predict) -> Predictor:
    folder = loading.verify(question.code)
    toml = loading.read_toml(folder / "model.toml")
    wanted = ModelInput.model_validate(toml["input"])
    shape, ink = _data_of(question)
    # What the model is built for, found as training finds it.
    one, kind = data.fit_to_model(np.zeros((1, *shape.shape), np.float32), shape.kind, wanted)
    task: Task = toml.get("task", "classification")
    fitted = data.shape_of(one, kind, tasks.classes(shape, task), task)
    judging = Judging.model_validate(toml.get("judging", {}))
    return Predictor(_answering(folder, toml, question, fitted, judging), shape, ink, wanted)


def _data_of(question: Predict) -> tuple[DataShape, Ink | None]:
    """What the trial's data set is like, without its examples where its TOML says it all."""
    reference, chosen = question.data, question.spec.get("dataset_parameters")
    if reference is None or not isinstance(chosen, dict):
        raise EntryBroken("the model was trained without a data set; it cannot be asked yet.")
    path = loading.verify(reference)
    about = loading.read_toml(path)
    ink = Ink.model_validate(about["ink"]) if "ink" in about else None
    if "shape" in about and not about.get("parameters"):
        return DataShape(about["kind"], tuple(about["shape"]), about["classes"]), ink
    # Parameters may change the shape and the classes in any way; an upload's TOML has neither.
    dataset = loading.load(reference, path.with_suffix(".py"), "load")
    examples = dataset.load(chosen)
    data.check(examples, about["kind"])
    return data.shape_of(examples.x, about["kind"], examples.classes), ink


def _answering(
    folder: Path, toml: Mapping[str, Any], question: Predict, shape: DataShape, judging: Judging
) -> Answering:
    """How this kind of model answers. Another kind of model is another branch here."""
    if "program" in toml:
        code = loading.load(question.code, folder / "model.py", *FUNCTIONS)
        return _of_program(code, question, judging)
    code = loading.load(question.code, folder / "model.py", "build")
    return _of_network(code, question, shape, judging)


def _of_program(code: ModuleType, question: Predict, judging: Judging) -> Answering:
    parameters: Any = question.spec["parameters"]
    program = OwnProgram(code, parameters, judging)
    saved = checkpoints.load(Path(question.checkpoint), question.checkpoint_sha256)
    state = dict(zip(saved.names, saved.best or saved.model, strict=True))
    return lambda x: _by_name(program.predict(state, x))


def _of_network(
    code: ModuleType, question: Predict, shape: DataShape, judging: Judging
) -> Answering:
    parameters: Any = question.spec["parameters"]
    objective = Objective.of(code, parameters, judging, shape.task)
    saved = checkpoints.load(Path(question.checkpoint), question.checkpoint_sha256)
    with backend.on("cpu"):
        model = code.build(parameters, shape)
        check_model(model, shape, objective)
        assign(model.variables, saved.best or saved.model)

    def outputs_of(x: Any) -> Any:
        outputs = model(x, training=False)
        if objective.is_cross_entropy:
            return {"probabilities": tf.nn.softmax(outputs)}
        if shape.task == "localisation":
            logits, boxes = outputs[:, : -tasks.BOX], outputs[:, -tasks.BOX :]
            return {"probabilities": tf.nn.softmax(logits), "boxes": boxes}
        return outputs  # whatever else a model gives is given on as it is

    traced = tf.function(
        outputs_of, input_signature=[tf.TensorSpec([None, *shape.shape], tf.float32)]
    )

    def answering(x: NDArray[np.float32]) -> Outputs:
        with backend.on("cpu"):
            return _by_name(traced(x))

    return answering


def _by_name(outputs: Any) -> Outputs:
    named = outputs if isinstance(outputs, Mapping) else {"outputs": outputs}
    return {name: np.asarray(value, np.float32) for name, value in named.items()}
