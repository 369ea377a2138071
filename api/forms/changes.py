"""Specs to begin with, and what becomes of a spec when something big about it is chosen anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.forms.build import fits, is_heeded
from api.forms.text import in_order
from labpool.catalog import Catalog, DatasetEntry, Entry, KernelEntry, ModelEntry
from labpool.errors import SpecError
from labpool.reading import read_spec

_DESCRIBING = ("name", "notes", "tags")
_ROOMS = {"model": "train", "kernel": "benchmark"}
Spec = dict[str, Any]


def start(catalog: Catalog, kind: str = "train", name: str = "") -> Spec:
    """A spec to begin with: the example of the entry `name`, or of the first that fits `kind`."""
    if (name in catalog.kernels) != (name in catalog.models) and kind != "sweep":
        # The name says what is meant, whatever kind was left standing beside it.
        kind = "benchmark" if name in catalog.kernels else "train"
    room: Mapping[str, Entry] = catalog.kernels if kind == "benchmark" else catalog.models
    if kind == "sweep" and name in catalog.kernels and name not in catalog.models:
        room = catalog.kernels
    # A form that lacks half of its fields is no beginning for somebody new.
    networks = (entry.name for entry in room.values() if not _trains_itself(entry))
    chosen = name or next(networks, "") or next(iter(room), "")
    entry = room.get(chosen)
    spec = _example(entry) if entry else {}
    if not spec:
        spec = _least(catalog, chosen, entry, benchmark=room is catalog.kernels)
    if spec.get("kind") != kind:
        # What the example says of itself fits its own kind only.
        spec = _without_description(spec)
    return with_kind(spec, kind, catalog)


def _trains_itself(entry: Entry) -> bool:
    return isinstance(entry, ModelEntry) and entry.program is not None


def with_kind(spec: Mapping[str, Any], kind: str, catalog: Catalog) -> Spec:
    """The same spec as one of another kind, as far as that goes."""
    old = spec.get("kind")
    if old == kind:
        return dict(spec)
    said = {name: spec[name] for name in _DESCRIBING if name in spec}
    inner = spec.get("base") if old == "sweep" else spec
    base = {
        name: value
        for name, value in (inner if isinstance(inner, Mapping) else {}).items()
        if name not in _DESCRIBING
    }
    if kind != "sweep":
        base = base if base.get("kind") == kind else start(catalog, kind)
        return in_order({**base, **said})
    if base.get("kind") not in ("train", "benchmark"):
        base = _without_description(start(catalog, "train"))
    return in_order(
        {
            "kind": "sweep",
            **said,
            "base": base,
            "strategy": {"method": "grid"},
            "space": _first_axis(base, catalog),
        }
    )


def with_base_kind(spec: Mapping[str, Any], runs: str, catalog: Catalog) -> Spec:
    """A sweep over runs of another kind."""
    said = {name: spec[name] for name in _DESCRIBING if name in spec}
    return with_kind({**_without_description(start(catalog, runs)), **said}, "sweep", catalog)


def with_entry(spec: Mapping[str, Any], key: str, name: str, catalog: Catalog) -> Spec:
    """The spec with another model, data set or kernel; what the new one cannot take is dropped."""
    sweep = spec.get("kind") == "sweep"
    inner = spec.get("base") if sweep else spec
    base = {**(inner if isinstance(inner, Mapping) else {}), key: name}
    model, dataset = catalog.models.get(name), catalog.datasets.get(name)
    if key == "model":
        _keep(base, "parameters", model.parameters if model else {})
        _refit(base, model, catalog)
    elif key == "dataset":
        _keep(base, "dataset_parameters", dataset.parameters if dataset else {})
    else:
        kernel = catalog.kernels.get(name)
        _keep(base, "sizes", kernel.sizes if kernel else {})
        _keep(base, "launch", kernel.launch if kernel else {})
        for key, choices in (
            (("dtype", kernel.dtypes), ("variant", kernel.variants)) if kernel else ()
        ):
            if base.get(key) not in choices:
                base.pop(key, None)
    changed = {**spec, "base": base} if sweep else base
    if spec.get("name") and spec.get("name") == _example_name(inner, catalog):
        del changed["name"]
    if not sweep:
        return in_order(changed)
    if isinstance(spec.get("space"), Mapping):
        changed["space"] = _kept_axes(spec["space"], base, catalog)
    return in_order(changed)


def _refit(base: Spec, model: ModelEntry | None, catalog: Catalog) -> None:
    """Take out of `base` what another `model` cannot take, and give it data if it needs some."""
    for name in [name for name in base if model and not is_heeded(model, name)]:
        del base[name]
    if model and not model.needs_data:
        return
    other = catalog.datasets.get(str(base.get("dataset")))
    if (other and not fits(model, other)) or not base.get("dataset"):
        base["dataset"] = _fitting(catalog, model)
        base.pop("dataset_parameters", None)


def _keep(base: Spec, group: str, declared: Mapping[str, Any]) -> None:
    given = base.get(group)
    if not isinstance(given, Mapping):
        return
    kept = {
        name: value
        for name, value in given.items()
        if name in declared and declared[name].refuse(value) is None
    }
    if kept:
        base[group] = kept
    else:
        del base[group]


def _kept_axes(space: Mapping[str, Any], base: Spec, catalog: Catalog) -> dict[str, Any]:
    model = catalog.models.get(str(base.get("model")))
    dataset = catalog.datasets.get(str(base.get("dataset")))
    kernel = catalog.kernels.get(str(base.get("kernel")))
    declared: dict[str, Mapping[str, Any]] = {
        "parameters": model.parameters if model else {},
        "dataset_parameters": dataset.parameters if dataset else {},
        "sizes": kernel.sizes if kernel else {},
        "launch": kernel.launch if kernel else {},
    }
    kept = {}
    for path, axis in space.items():
        group, _, name = str(path).partition(".")
        ignored = model is not None and not is_heeded(model, group)
        if not ignored and (not name or name in declared.get(group, {})):
            kept[path] = axis
    return kept or _first_axis(base, catalog)


def _first_axis(base: Mapping[str, Any], catalog: Catalog) -> dict[str, Any]:
    """Something worth varying, so that a new sweep is one that can be submitted."""
    if base.get("kind") == "benchmark":
        kernel = catalog.kernels.get(str(base.get("kernel")))
        for group in ("sizes", "launch"):
            for name, size in (getattr(kernel, group) if kernel else {}).items():
                low = max(size.minimum, size.default // 2)
                return {f"{group}.{name}": sorted({low, size.default})}
        return {"seed": [0, 1]}
    model = catalog.models.get(str(base.get("model")))
    if model and "learning_rate" not in model.heeds:
        return {"seed": [0, 1, 2]}
    rate = model.defaults.learning_rate if model else 1e-3
    return {"learning_rate": [float(f"{rate * factor:.3g}") for factor in (0.5, 1, 2)]}


def _example(entry: Entry) -> Spec:
    """The example beside an entry; empty when there is none, or none that can be used."""
    path = entry.path / "example.yaml"
    try:
        spec = read_spec(path.read_bytes(), "yaml") if path.is_file() else None
    except (OSError, SpecError):
        return {}
    if not isinstance(spec, dict):
        return {}
    base = spec.get("base", spec)
    key = "kernel" if isinstance(entry, KernelEntry) else "model"
    ours = isinstance(base, dict) and base.get(key) == entry.name
    return spec if ours and base.get("kind") == _ROOMS[key] else {}


def _example_name(base: Any, catalog: Catalog) -> Any:
    """What the example of the base's entry is called: a name that fits no other entry."""
    if not isinstance(base, Mapping):
        return None
    model, kernel = str(base.get("model")), str(base.get("kernel"))
    entry = catalog.models.get(model) or catalog.kernels.get(kernel)
    return _example(entry).get("name") if entry else None


def _least(catalog: Catalog, name: str, entry: Entry | None, *, benchmark: bool) -> Spec:
    if benchmark:
        return {"kind": "benchmark", "kernel": name}
    model = entry if isinstance(entry, ModelEntry) else None
    least = {"kind": "train", "model": name}
    if model and not model.needs_data:
        return least
    return {**least, "dataset": _fitting(catalog, model)}


def _fitting(catalog: Catalog, model: ModelEntry | None) -> str:
    found: list[DatasetEntry] = [entry for entry in catalog.datasets.values() if fits(model, entry)]
    # One that runs as it is comes before one whose files have to be fetched first.
    found.sort(key=lambda entry: entry.files is not None)
    return found[0].name if found else ""


def _without_description(spec: Mapping[str, Any]) -> Spec:
    return {name: value for name, value in spec.items() if name not in _DESCRIBING}
