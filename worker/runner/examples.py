"""A data set of the catalog as the splits that a model is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from labpool.catalog import Task
from labpool.dataset_form import Splits, Undivided
from labpool.model_form import ModelInput
from labpool.sdk import DataShape
from worker.protocol import CodeReference
from worker.runner import data, loading, tasks

UNDIVIDED: Final = "none: training, validation and test are all the same examples"
"""What is recorded with a result that says nothing about unseen examples."""
_RULE: Final[TypeAdapter[Splits | Undivided]] = TypeAdapter(Splits | Undivided)


def load_splits(
    reference: CodeReference,
    toml: Path,
    parameters: Any,
    wanted: ModelInput,
    task: Task = "classification",
) -> tuple[data.Splits, DataShape]:
    """The data set of `toml`, which has been verified, fitted to a model and its task, and split.

    Raises EntryBroken, Unsuitable, and whatever the data set's code raises.
    """
    about = loading.read_toml(toml)
    dataset = loading.load(reference, toml.with_suffix(".py"), "load")
    examples = dataset.load(parameters)
    data.check(examples, about["kind"])
    x, kind = data.fit_to_model(examples.x, about["kind"], wanted)
    shape = data.shape_of(x, kind, tasks.classes(examples, task), task)
    rule = _RULE.validate_python(about["splits"])
    return data.split(tasks.with_pictures(examples, x), rule, task), shape
