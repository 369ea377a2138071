"""What a spec may not say of a model that trains itself, or that takes no data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from labpool.catalog import Catalog, ModelEntry
from labpool.errors import Problem, pointer
from labpool.origins import LAYER_FIELDS
from labpool.program_form import Hyperparameter

ALWAYS = ("epochs", "seed", "early_stopping_patience", "checkpoint_every_epochs")
"""What labpool sees to itself, whatever trains."""
OF_NETWORKS = ("engine", "init_from", *LAYER_FIELDS)
"""What a spec says of layers and of how labpool trains them; a program has none."""


def program_problems(
    model: ModelEntry, raw: Mapping[str, Any], where: tuple[str | int, ...]
) -> list[Problem]:
    """What `raw` sets that `model` would ignore; none for a network."""
    problems = [] if model.needs_data else _data_problems(model, raw, where)
    if model.program is None:
        return problems
    used = sorted(model.heeds)
    for name in get_args(Hyperparameter):
        if name not in used and raw.get(name) is not None:
            hint = f"Leave it out; it uses {', '.join([*used, *ALWAYS])}."
            problems.append(
                Problem(pointer(*where, name), f"is not used by the model {model.name!r}.", hint)
            )
    problems += _of_networks(model, raw, where)
    if raw.get("device") == "gpu":
        message = f"the model {model.name!r} computes with NumPy, on the CPU only."
        problems.append(Problem(pointer(*where, "device"), message, "Take cpu or any."))
    return problems


def _of_networks(
    model: ModelEntry, raw: Mapping[str, Any], where: tuple[str | int, ...]
) -> list[Problem]:
    given = [name for name in ("init_from", *LAYER_FIELDS) if raw.get(name)]
    told = [(name, "is about the layers of a network") for name in given]
    if raw.get("engine") == "fit":
        told.append(("engine", "fit trains Keras networks"))
    return [
        Problem(
            pointer(*where, name),
            f"{reason}; the model {model.name!r} trains itself.",
            "Leave it out.",
        )
        for name, reason in told
    ]


def missing_data(
    raw: Mapping[str, Any], catalog: Catalog, where: tuple[str | int, ...]
) -> list[Problem]:
    """That `raw` names no data set, for a model that needs one."""
    if raw.get("dataset") is not None:
        return []
    known = f"The catalog has {', '.join(catalog.datasets) or 'none'}."
    return [Problem(pointer(*where, "dataset"), "is missing.", known)]


def _data_problems(
    model: ModelEntry, raw: Mapping[str, Any], where: tuple[str | int, ...]
) -> list[Problem]:
    given = [name for name in ("dataset", "dataset_parameters") if raw.get(name)]
    message = f"is not for the model {model.name!r}, which takes no data."
    return [Problem(pointer(*where, name), message, "Leave it out.") for name in given]
