"""A trial's resolved spec as a submission of its own, with the code that it ran with or today's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labpool.catalog import Catalog
from labpool.planning import Plan, plan

_SAYS_NOTHING: tuple[Any, ...] = (None, "", [], {})


def changed_entries(
    spec: Mapping[str, Any], code_digest: str, data_digest: str | None, catalog: Catalog
) -> list[str]:
    """What of a trial is another thing in the catalog now, as 'the model mlp has changed'."""
    made_of: list[tuple[str, Mapping[str, Any], str, str | None]] = (
        [("model", catalog.models, spec["model"], code_digest)]
        if spec["kind"] == "train"
        else [("kernel", catalog.kernels, spec["kernel"], code_digest)]
    )
    if spec.get("dataset") is not None:
        made_of.append(("data set", catalog.datasets, spec["dataset"], data_digest))
    found = []
    for what, entries, name, digest in made_of:
        if name not in entries:
            found.append(f"the {what} {name} is no longer in the catalog")
        elif entries[name].digest != digest:
            found.append(f"the {what} {name} has changed")
    return found


def rerun_plan(
    trial_id: int, spec: Mapping[str, Any], changed: list[str], catalog: Catalog
) -> Plan:
    """The trial once more, its seed the same. Raises SpecError where today's catalog refuses it.

    Its priority is normal, or low as it was: high is given to one trial, not to its repetition.
    """
    raw = {name: value for name, value in spec.items() if value not in _SAYS_NOTHING}
    raw["name"] = f"Trial {trial_id} again"
    raw["notes"] = f"With today's code: {', '.join(changed)}." if changed else ""
    raw.pop("tags", None)
    if raw.get("priority") == "high":
        raw.pop("priority")
    return plan(raw, catalog)
