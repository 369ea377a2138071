"""The whole form for a spec, whatever state the spec is in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

from api.forms.fields import Field, field_id, parameter_field, property_field, text_of
from api.forms.sweep import Path, SweepForm, choosing_paths, sweep_form
from labpool.catalog import Catalog, DatasetEntry, Entry, KernelEntry, ModelEntry
from labpool.errors import Problem, pointer
from labpool.program_form import Hyperparameter
from labpool.programs import OF_NETWORKS
from labpool.resolving import unfit
from labpool.spec import FORMS, BenchmarkSpec, TrainSpec
from labpool.uploads import DIGEST as UPLOADS

KINDS = {
    "train": "one training run",
    "sweep": "many trials that differ in what you choose",
    "benchmark": "one timing of a kernel",
}
_RUNS: dict[str, type[TrainSpec | BenchmarkSpec]] = {
    "train": TrainSpec,
    "benchmark": BenchmarkSpec,
}
_DESCRIBING = ("name", "notes", "tags")
_RUNNING = ("device", "seed", "repeat", "time_limit_s", "stall_limit_s", "priority")
_ELSEWHERE = {
    "kind", "model", "parameters", "dataset", "dataset_parameters",
    "kernel", "sizes", "launch", "source", *_DESCRIBING, *_RUNNING,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Option:
    """Something to choose; `unfit` says why it cannot be. `group` is "" for the catalog's own."""

    name: str
    title: str
    unfit: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class Chooser:
    """A choice of one entry of the catalog, and what the chosen one says of itself."""

    pointer: str
    label: str
    value: str
    options: tuple[Option, ...]
    entry: Entry | None

    @property
    def id(self) -> str:
        return field_id(self.pointer)

    @property
    def groups(self) -> dict[str, list[Option]]:
        """The options by the group they stand in."""
        found: dict[str, list[Option]] = {}
        for option in self.options:
            found.setdefault(option.group, []).append(option)
        return found

    @property
    def tasks(self) -> str:
        """What the chosen model is for, or what the chosen data set has targets for."""
        if isinstance(self.entry, ModelEntry):
            return self.entry.task
        return ", ".join(self.entry.tasks) if isinstance(self.entry, DatasetEntry) else ""

    @property
    def is_known(self) -> bool:
        return any(option.name == self.value for option in self.options)


@dataclass(frozen=True, slots=True)
class Group:
    """Fields that belong together. A closed one holds nothing that was given."""

    key: str
    title: str
    fields: tuple[Field, ...]
    open: bool = True


@dataclass(frozen=True, slots=True)
class SpecForm:
    """Everything that the fields side of the page shows."""

    kind: str
    runs: str
    choosers: tuple[Chooser, ...]
    groups: tuple[Group, ...]
    sweep: SweepForm | None

    def placed(self, problems: Iterable[Problem]) -> dict[str, list[Problem]]:
        """Problems by the pointer of the input they are shown at; "" holds the others."""
        known = {field.pointer for group in self.groups for field in group.fields}
        known |= {chooser.pointer for chooser in self.choosers} | {"/kind"}
        if self.sweep:
            known |= {"/base/kind", *self.sweep.pointers}
        found: dict[str, list[Problem]] = {}
        for problem in problems:
            place = problem.pointer
            while place and place not in known:
                place = place.rpartition("/")[0]
            found.setdefault(place, []).append(problem)
        return found


def build(data: Mapping[str, Any], catalog: Catalog) -> SpecForm:
    """The form for `data`, which need not be a valid spec. Absent values leave fields empty."""
    kind = data.get("kind")
    kind = kind if isinstance(kind, str) and kind in FORMS else "train"
    sweep = kind == "sweep"
    base = _table(data.get("base")) if sweep else data
    runs = "benchmark" if "benchmark" in (kind, base.get("kind")) else "train"
    where = ("base",) if sweep else ()
    schema = _RUNS[runs].model_json_schema()["properties"]
    if runs == "train":
        choosers, groups = _training(base, catalog, schema, where)
    else:
        choosers, groups = _benchmark(base, catalog, schema, where)
    running = [name for name in _RUNNING if name in schema]
    groups.append(
        _properties("running", "Where, which seed, how long", running, schema, base, where)
    )
    varied = [(group.title, group.fields) for group in groups]
    form = sweep_form(data, runs, varied) if sweep else None
    if form:
        form = _with_entries(form, runs)
    describing = _properties("describing", "Name and notes", _DESCRIBING, schema, data, ())
    inner = [name for name in _DESCRIBING if sweep and name in base]
    if inner:
        more = _properties("", "", inner, schema, base, where).fields
        describing = Group("describing", describing.title, describing.fields + more)
    return SpecForm(kind, runs, tuple(choosers), (*groups, describing), form)


def fits(model: ModelEntry | None, dataset: DatasetEntry) -> bool:
    """Whether `dataset` can be given to `model`; an unknown model takes anything."""
    return model is None or not unfit(model, dataset)


def is_heeded(model: ModelEntry, name: str) -> bool:
    """Whether a spec for `model` may say anything under `name`."""
    if name in ("dataset", "dataset_parameters"):
        return model.needs_data
    if name in OF_NETWORKS:
        return model.program is None
    return name not in get_args(Hyperparameter) or name in model.heeds


def _training(
    base: Mapping[str, Any], catalog: Catalog, schema: Mapping[str, Any], where: tuple[str, ...]
) -> tuple[list[Chooser], list[Group]]:
    model = catalog.models.get(text_of(base.get("model")))
    dataset = catalog.datasets.get(text_of(base.get("dataset")))
    datasets = tuple(_dataset(entry, model) for entry in catalog.datasets.values())
    choosers = [
        _chooser("Model", base.get("model"), catalog.models, (*where, "model")),
        Chooser(
            pointer(*where, "dataset"), "Data set", text_of(base.get("dataset")), datasets, dataset
        ),
    ]
    if model and not model.needs_data and not base.get("dataset"):
        del choosers[1]
    defaults = model.defaults.model_dump() if model else {}
    names = [name for name in schema if name not in _ELSEWHERE]
    if where and base.get("fuse") is None:
        # The sweep says it for all of its trials.
        names.remove("fuse")
    if model:
        # What a program ignores is on offer only where somebody has set it, to be taken out.
        names = [name for name in names if is_heeded(model, name) or base.get(name) is not None]
    groups = [
        _declared("parameters", "The model's own parameters", model, base, where),
        _declared("dataset_parameters", "The data set's own parameters", dataset, base, where),
        _properties("training", "Hyperparameters", names, schema, base, where, defaults),
    ]
    return choosers, [group for group in groups if group.fields]


def _dataset(entry: DatasetEntry, model: ModelEntry | None) -> Option:
    reason = unfit(model, entry) if model else ""
    if entry.digest != UPLOADS:
        return Option(entry.name, entry.title, reason)
    size = " × ".join(str(side) for side in entry.shape)
    return Option(entry.name, f"{entry.kind} {size}, {entry.classes} classes", reason, "Uploads")


def _benchmark(
    base: Mapping[str, Any], catalog: Catalog, schema: Mapping[str, Any], where: tuple[str, ...]
) -> tuple[list[Chooser], list[Group]]:
    kernel = catalog.kernels.get(text_of(base.get("kernel")))
    names = [name for name in schema if name not in _ELSEWHERE]
    defaults: dict[str, Any] = {}
    if kernel:
        for key, choices in (("dtype", kernel.dtypes), ("variant", [*kernel.variants])):
            defaults[key] = choices[0]
            schema = {**schema, key: {**schema[key], "anyOf": [{"enum": choices}]}}
    groups = [
        _sizes("sizes", "Sizes", kernel, base, where),
        _sizes("launch", "Launch", kernel, base, where),
        _properties("timing", "Timing", names, schema, base, where, defaults),
        replace(
            _properties("source", "A kernel of your own", ["source"], schema, base, where),
            open=base.get("source") is not None,
        ),
    ]
    choosers = [_chooser("Kernel", base.get("kernel"), catalog.kernels, (*where, "kernel"))]
    return choosers, [group for group in groups if group.fields]


def _chooser(
    label: str, value: Any, entries: Mapping[str, Entry], where: tuple[str, ...]
) -> Chooser:
    options = tuple(Option(entry.name, entry.title) for entry in entries.values())
    chosen = text_of(value)
    return Chooser(pointer(*where), label, chosen, options, entries.get(chosen))


def _declared(
    key: str,
    title: str,
    entry: ModelEntry | DatasetEntry | None,
    base: Mapping[str, Any],
    where: tuple[str, ...],
) -> Group:
    given = _table(base.get(key))
    # What an upload's parameters are is planning's to say.
    declared = entry.parameters if entry and entry.digest != UPLOADS else {}
    fields = tuple(
        parameter_field(name, parameter, given.get(name), *where, key)
        for name, parameter in declared.items()
    )
    return Group(key, title, fields, open=key == "parameters" or _any_given(fields))


def _sizes(
    key: str,
    title: str,
    kernel: KernelEntry | None,
    base: Mapping[str, Any],
    where: tuple[str, ...],
) -> Group:
    given = _table(base.get(key))
    declared = (kernel.sizes if key == "sizes" else kernel.launch) if kernel else {}
    return Group(
        key,
        title,
        tuple(
            parameter_field(name, size, given.get(name), *where, key)
            for name, size in declared.items()
        ),
    )


def _properties(
    key: str,
    title: str,
    names: Iterable[str],
    schema: Mapping[str, Any],
    given: Mapping[str, Any],
    where: tuple[str, ...],
    defaults: Mapping[str, Any] | None = None,
) -> Group:
    fields = tuple(
        property_field(
            name, schema[name], given.get(name), *where, default=(defaults or {}).get(name)
        )
        for name in names
    )
    return Group(key, title, fields, open=key in ("training", "timing") or _any_given(fields))


def _with_entries(form: SweepForm, runs: str) -> SweepForm:
    entries = tuple(
        Path(name, name.capitalize(), "From the catalog", "text") for name in choosing_paths(runs)
    )
    return replace(form, paths=form.paths + entries)


def _any_given(fields: Iterable[Field]) -> bool:
    return any(field.value for field in fields)


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
