"""What a sweep's trials are made from, kept with the sweep.

A search makes trials hours after the submission, and whoever makes them may have another catalog by
then. All trials of a sweep are to be runs of the same code.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from labpool.catalog import Catalog, DatasetEntry, Entry, KernelEntry, ModelEntry
from labpool.spec import SweepSpec

_KINDS: Final = (("model", "models"), ("dataset", "datasets"), ("kernel", "kernels"))
# Rows hold no paths, and planning reads none.
_NOWHERE = Path("pinned")


def pin(spec: SweepSpec, catalog: Catalog) -> dict[str, dict[str, Any]]:
    """The entries that any trial of the sweep can need, as JSON has them."""
    return {
        group: {
            name: entries[name].model_dump(mode="json", exclude={"path"}, exclude_unset=True)
            for name in _named(spec, field)
            if name in entries
        }
        for field, group in _KINDS
        for entries in (_entries(catalog, group),)
    }


def pinned_catalog(pinned: Mapping[str, Mapping[str, Any]]) -> Catalog:
    """A catalog of these entries alone."""
    forms: dict[str, type[Entry]] = {
        "models": ModelEntry, "datasets": DatasetEntry, "kernels": KernelEntry,
    }  # fmt: skip
    found: dict[str, Any] = {
        group: {
            name: form.model_validate({**entry, "path": _NOWHERE})
            for name, entry in pinned.get(group, {}).items()
        }
        for group, form in forms.items()
    }
    return Catalog(**found, boards={})


def _entries(catalog: Catalog, group: str) -> Mapping[str, Entry]:
    entries: Mapping[str, Entry] = getattr(catalog, group)
    return entries


def _named(spec: SweepSpec, field: str) -> list[str]:
    """What the base or the space names in this field."""
    named = [getattr(spec.base, field, None)]
    axis = spec.space.get(field)
    if isinstance(axis, list):
        named += axis
    return list(dict.fromkeys(name for name in named if isinstance(name, str)))
