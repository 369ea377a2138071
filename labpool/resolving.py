"""One runnable spec against the catalog: what the catalog refuses, and what it fills in.

Both work on the raw table. So a spec whose form is wrong in one place is still checked in all the
others, and people hear everything at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from labpool.catalog import Catalog, DatasetEntry, Entry, KernelEntry, ModelEntry
from labpool.errors import Problem, pointer
from labpool.layer_fit import layer_problems
from labpool.origins import LAYER_FIELDS
from labpool.own_source import digest_in, name_of, source_problems
from labpool.parameters import fill
from labpool.programs import missing_data, program_problems
from labpool.spec import BenchmarkSpec, TrainSpec
from labpool.suggest import closest

Where = tuple[str | int, ...]
LACKS: Final[Mapping[str, str]] = {
    "classification": "no class labels",
    "localisation": "no boxes",
    "segmentation": "no masks",
}
"""What a data set does not hold that has no targets of a task."""


def unfit(model: ModelEntry, dataset: DatasetEntry) -> str:
    """Why a data set cannot be given to a model, such as "holds no images"; "" when it can."""
    if not model.needs_data:
        return "the model takes no data"
    if model.input.kind == "image" and dataset.kind != "image":
        return "holds no images"
    return "" if model.task in dataset.tasks else f"holds {LACKS[model.task]}"


def catalog_problems(raw: Mapping[str, Any], catalog: Catalog, *where: str | int) -> list[Problem]:
    """What the catalog refuses in a train or benchmark spec, pointers beginning at ``where``."""
    check = _train_problems if raw.get("kind") == "train" else _benchmark_problems
    return check(raw, catalog, where)


def resolve(raw: dict[str, Any], catalog: Catalog) -> dict[str, Any]:
    """The spec with every default filled in. ``raw`` must have no problems."""
    if raw["kind"] == "train":
        return _resolve_train(TrainSpec.model_validate(raw), catalog)
    return _resolve_benchmark(BenchmarkSpec.model_validate(raw), catalog)


def _train_problems(raw: Mapping[str, Any], catalog: Catalog, where: Where) -> list[Problem]:
    model, problems = _find(catalog.models, raw.get("model"), (*where, "model"), "model")
    dataset, found = _find(catalog.datasets, raw.get("dataset"), (*where, "dataset"), "data set")
    problems += found
    if isinstance(model, ModelEntry):
        problems += _filled(model, raw, "parameters", where)
        problems += program_problems(model, raw, where)
    if model is None or (isinstance(model, ModelEntry) and model.needs_data):
        problems += missing_data(raw, catalog, where)
    if isinstance(dataset, DatasetEntry):
        problems += _filled(dataset, raw, "dataset_parameters", where)
    if isinstance(model, ModelEntry) and isinstance(dataset, DatasetEntry):
        problems += layer_problems(model, dataset, raw, where)
    return problems + _misfit(model, dataset, catalog, where)


def _misfit(
    model: Entry | None, dataset: Entry | None, catalog: Catalog, where: Where
) -> list[Problem]:
    """What speaks against this model on this data set, both being known."""
    if not isinstance(model, ModelEntry) or not isinstance(dataset, DatasetEntry):
        return []
    # That a model takes no data is no matter of which.
    reason = unfit(model, dataset) if model.needs_data else ""
    if not reason:
        return []
    message = f"{dataset.name!r} {reason}, which the model {model.name!r} needs."
    fitting = [name for name, entry in catalog.datasets.items() if not unfit(model, entry)]
    hint = f"Data sets that fit: {', '.join(fitting) or 'none of the catalog'}."
    return [Problem(pointer(*where, "dataset"), message, hint)]


def _benchmark_problems(raw: Mapping[str, Any], catalog: Catalog, where: Where) -> list[Problem]:
    kernel, problems = _find(catalog.kernels, raw.get("kernel"), (*where, "kernel"), "kernel")
    if isinstance(kernel, KernelEntry):
        for group, declared in (("sizes", kernel.sizes), ("launch", kernel.launch)):
            given = raw.get(group, {})
            problems += fill(
                dict(declared), given, *where, group, of=f"the kernel {kernel.name!r}"
            )[1]
        for key, choices in (("dtype", kernel.dtypes), ("variant", [*kernel.variants])):
            chosen = raw.get(key)
            if isinstance(chosen, str) and chosen not in choices:
                message = f"must be one of {', '.join(choices)}."
                problems.append(Problem(pointer(*where, key), message))
    known = kernel if isinstance(kernel, KernelEntry) else None
    return problems + source_problems(raw, known, where)


def _find(
    entries: Mapping[str, Entry], name: Any, path: Where, what: str
) -> tuple[Entry | None, list[Problem]]:
    if not isinstance(name, str):
        return None, []  # missing or of the wrong type, which the form says
    if name in entries:
        return entries[name], []
    if what == "data set" and "/" in name:
        message = f"is no upload that you may see: {name[:80]!r}."
        hint = closest(name, entries) or "`labpool data uploads` lists them, as owner/name."
        return None, [Problem(pointer(*path), message, hint)]
    hint = closest(name, entries) or f"The catalog has {', '.join(sorted(entries)) or 'none'}."
    return None, [Problem(pointer(*path), f"is no {what} of the catalog.", hint)]


def _filled(
    entry: ModelEntry | DatasetEntry, raw: Mapping[str, Any], group: str, where: Where
) -> list[Problem]:
    declared = dict(entry.parameters)
    return fill(declared, raw.get(group, {}), *where, group, of=repr(entry.name))[1]


def _resolve_train(spec: TrainSpec, catalog: Catalog) -> dict[str, Any]:
    model = catalog.models[spec.model]
    # Each of the repeated trials is one run of its own.
    resolved = spec.model_dump(mode="json", exclude={"repeat", "fuse"})
    for name, default in model.defaults.model_dump().items():
        if resolved[name] is None and (name in model.heeds or name == "epochs"):
            resolved[name] = default
    for name in LAYER_FIELDS:
        resolved[name] = sorted(set(resolved[name]))
    for name in ("init_from", *LAYER_FIELDS):
        # Who says nothing of them has the configuration that it had before there were any.
        if not resolved[name]:
            del resolved[name]
    resolved["parameters"], _ = fill(dict(model.parameters), spec.parameters, of=model.name)
    if spec.dataset is not None:
        dataset = catalog.datasets[spec.dataset]
        resolved["dataset_parameters"], _ = fill(
            dict(dataset.parameters), spec.dataset_parameters, of=dataset.name
        )
    return resolved


def _resolve_benchmark(spec: BenchmarkSpec, catalog: Catalog) -> dict[str, Any]:
    kernel = catalog.kernels[spec.kernel]
    resolved = spec.model_dump(mode="json")
    resolved["variant"] = spec.variant or next(iter(kernel.variants))
    resolved["dtype"] = spec.dtype or kernel.dtypes[0]
    resolved["sizes"], _ = fill(dict(kernel.sizes), spec.sizes, of=kernel.name)
    resolved["launch"], _ = fill(dict(kernel.launch), spec.launch, of=kernel.name)
    if spec.source is None:
        # Without one a spec has the configuration that it had before there were any.
        del resolved["source"]
    else:
        known = digest_in(spec.source)
        resolved["source"] = f"sha256:{known}" if known else name_of(spec.source)
        # There is no baseline for it, and any would be the CPU on a pool without a GPU.
        resolved["device"] = "gpu"
    return resolved
